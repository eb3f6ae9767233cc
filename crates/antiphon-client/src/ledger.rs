//! What was asked and is not yet answered, in the order in which it was asked. After a reconnect all of it is said
//! again: a publish has a key, and the rest changes nothing when it is said twice.

use std::collections::BTreeMap;

use tokio::sync::{mpsc, oneshot};

use crate::{Error, event::Event, says::Answer};

/// The most asks that may wait for an answer, as many as a node takes of one connection.
const MAX_WAITING: usize = 256;

pub(crate) type Reply = oneshot::Sender<Result<Answer, Error>>;

/// What an answer is for.
#[derive(Debug)]
pub(crate) enum Purpose {
    /// Somebody waits for it.
    Reply(Reply),
    /// A new subscription begins with it.
    Subscribe { reply: Reply, events: mpsc::Sender<Event>, positions: BTreeMap<String, String> },
    /// These topics go on with it.
    Resume(Vec<String>),
    /// Nobody minds.
    None,
}

impl Purpose {
    fn is_over(&self) -> bool {
        match self {
            Purpose::Reply(reply) | Purpose::Subscribe { reply, .. } => reply.is_closed(),
            Purpose::Resume(_) | Purpose::None => false,
        }
    }
}

/// The asks without an answer.
#[derive(Debug)]
pub(crate) struct Ledger {
    waiting: BTreeMap<u64, (String, Purpose)>,
    next: u64,
}

impl Ledger {
    pub(crate) fn new() -> Self {
        // 0 is the greeting's.
        Self { waiting: BTreeMap::new(), next: 1 }
    }

    /// Whether another ask may be made.
    pub(crate) fn has_room(&mut self) -> bool {
        if self.waiting.len() >= MAX_WAITING {
            self.waiting.retain(|_, (_, purpose)| !purpose.is_over());
        }
        self.waiting.len() < MAX_WAITING
    }

    /// The number for the next ask.
    pub(crate) fn number(&mut self) -> u64 {
        self.next += 1;
        self.next - 1
    }

    /// Notes an ask.
    pub(crate) fn note(&mut self, number: u64, frame: String, purpose: Purpose) {
        self.waiting.insert(number, (frame, purpose));
    }

    /// Takes what this answer is for.
    pub(crate) fn take(&mut self, number: u64) -> Option<Purpose> {
        self.waiting.remove(&number).map(|(_, purpose)| purpose)
    }

    /// The frames that have to be said again on a new connection; resumptions are made anew.
    pub(crate) fn unanswered(&mut self) -> Vec<String> {
        self.waiting.retain(|_, (_, purpose)| {
            !purpose.is_over() && !matches!(purpose, Purpose::Resume(_) | Purpose::None)
        });
        self.waiting.values().map(|(frame, _)| frame.clone()).collect()
    }

    /// Tells everybody that nothing will come.
    pub(crate) fn fail(&mut self, error: &Error) {
        for (_, purpose) in std::mem::take(&mut self.waiting).into_values() {
            if let Purpose::Reply(reply) | Purpose::Subscribe { reply, .. } = purpose {
                // Who no longer waits needs no answer.
                let _ = reply.send(Err(error.clone()));
            }
        }
    }
}
