//! What was said and is not yet answered, and on which line. When a line ends, asks wait for the next one; what becomes
//! of the rest is for whoever said it.

use std::collections::BTreeMap;

use tokio::sync::oneshot;

use crate::{
    Error,
    ask::Ask,
    lines::{LineId, Lines},
    says::Answer,
};

/// The most asks that may wait for an answer, as many as a node takes of one connection.
const MAX_WAITING: usize = 256;

pub(crate) type Reply = oneshot::Sender<Result<Answer, Error>>;

/// What an answer is for.
#[derive(Debug)]
pub(crate) enum Purpose {
    /// Somebody waits for it; the frame is said again after a loss.
    Reply { frame: String, reply: Reply },
    /// These topics begin, or go on, with it.
    Subscribe(Vec<String>),
    /// These topics have ended.
    Unsubscribe(u64),
    /// This publish is committed.
    Publish(u64),
    /// A token was shown.
    Token,
}

#[derive(Debug)]
struct Entry {
    line: Option<LineId>,
    purpose: Purpose,
}

/// The lines, and what was said on them.
pub(crate) struct Ledger {
    pub(crate) lines: Lines,
    waiting: BTreeMap<u64, Entry>,
    next: u64,
}

impl Ledger {
    pub(crate) fn new() -> Self {
        // 0 is the greeting's.
        Self { lines: Lines::default(), waiting: BTreeMap::new(), next: 1 }
    }

    /// Whether another ask may be made.
    pub(crate) fn has_room(&mut self) -> bool {
        if self.asks() >= MAX_WAITING {
            self.waiting.retain(
                |_, entry| !matches!(&entry.purpose, Purpose::Reply { reply, .. } if reply.is_closed()),
            );
        }
        self.asks() < MAX_WAITING
    }

    fn asks(&self) -> usize {
        // The other entries are bounded by those who make them; counted together they are few.
        self.waiting.values().filter(|entry| matches!(entry.purpose, Purpose::Reply { .. })).count()
    }

    /// Says a frame on a line.
    pub(crate) fn say(&mut self, line: LineId, ask: Ask<'_>, purpose: Purpose) {
        let number = self.number();
        self.lines.say(line, ask.encode(Some(number)));
        self.waiting.insert(number, Entry { line: Some(line), purpose });
    }

    /// Asks on the line to speak on, now or once there is one.
    pub(crate) fn ask(&mut self, encode: impl FnOnce(u64) -> String, reply: Reply) {
        let number = self.number();
        let frame = encode(number);
        self.waiting.insert(number, Entry { line: None, purpose: Purpose::Reply { frame, reply } });
        self.flush();
    }

    fn number(&mut self) -> u64 {
        self.next += 1;
        self.next - 1
    }

    /// There may be a line again: asks are said on it.
    pub(crate) fn flush(&mut self) {
        let Some(id) = self.lines.current_id() else { return };
        self.waiting.retain(|_, entry| match (&entry.purpose, entry.line) {
            (Purpose::Reply { reply, .. }, None) if reply.is_closed() => false,
            (Purpose::Reply { frame, .. }, None) => {
                entry.line = Some(id);
                self.lines.say(id, frame.clone());
                true
            }
            _ => true,
        });
    }

    /// Takes what this answer is for, and the line that it came on.
    pub(crate) fn take(&mut self, number: u64) -> Option<(LineId, Purpose)> {
        let entry = self.waiting.remove(&number)?;
        Some((entry.line?, entry.purpose))
    }

    /// Whether a line still owes answers.
    pub(crate) fn owes(&self, line: LineId) -> bool {
        self.waiting.values().any(|entry| entry.line == Some(line))
    }

    /// A line has ended: gives the publishes that it has not answered.
    pub(crate) fn lost(&mut self, line: LineId) -> Vec<u64> {
        let mut publishes = Vec::new();
        self.waiting.retain(|_, entry| {
            if entry.line != Some(line) {
                return true;
            }
            entry.line = None;
            if let Purpose::Publish(id) = entry.purpose {
                publishes.push(id);
            }
            matches!(entry.purpose, Purpose::Reply { .. })
        });
        publishes
    }

    /// Tells everybody that nothing will come.
    pub(crate) fn fail(&mut self, error: &Error) {
        for entry in std::mem::take(&mut self.waiting).into_values() {
            if let Purpose::Reply { reply, .. } = entry.purpose {
                // Who no longer waits needs no answer.
                let _ = reply.send(Err(error.clone()));
            }
        }
    }
}
