//! Topics that a line was asked to end. Until it has, they are not asked for on it again: to a SUBSCRIBE of what it has
//! not ended the node answers that it goes on from where it is, and what was left out meanwhile would be passed over.

use std::{collections::BTreeMap, time::Duration};

use antiphon_protocol::Refusal;
use tokio::{sync::mpsc, time::Instant};

use crate::{
    ask::{Ask, TOPICS_A_FRAME},
    ledger::{Ledger, Purpose},
    lines::LineId,
};

#[derive(Debug)]
struct Farewell {
    line: LineId,
    topics: Vec<String>,
    /// When it is said again.
    again: Option<Instant>,
    /// Held until it is over, for whoever waits.
    _told: Option<mpsc::Sender<()>>,
}

#[derive(Debug, Default)]
pub(crate) struct Leaving {
    farewells: BTreeMap<u64, Farewell>,
    next: u64,
}

impl Leaving {
    /// Whether a line has yet to end a topic.
    pub(crate) fn has(&self, line: LineId, topic: &str) -> bool {
        let of = |farewell: &&Farewell| farewell.line == line;
        self.farewells.values().filter(of).any(|farewell| farewell.topics.iter().any(|one| one == topic))
    }

    /// Ends topics on a line.
    pub(crate) fn end(
        &mut self,
        ledger: &mut Ledger,
        line: LineId,
        topics: &[String],
        told: Option<&mpsc::Sender<()>>,
    ) {
        let due: Vec<String> = topics.iter().filter(|topic| !self.has(line, topic)).cloned().collect();
        for topics in due.chunks(TOPICS_A_FRAME) {
            self.next += 1;
            ledger.say(line, Ask::unsubscribe(topics), Purpose::Unsubscribe(self.next));
            let farewell = Farewell { line, topics: topics.to_vec(), again: None, _told: told.cloned() };
            self.farewells.insert(self.next, farewell);
        }
    }

    /// The node has answered; false: it will never do it.
    pub(crate) fn answered(&mut self, id: u64, refusal: Option<&Refusal>, now: Instant) -> bool {
        let Some(farewell) = self.farewells.get_mut(&id) else { return true };
        match refusal {
            None => {
                self.farewells.remove(&id);
                true
            }
            Some(refusal) => {
                farewell.again = refusal.retry_after_ms.map(|after| now + Duration::from_millis(after));
                farewell.again.is_some()
            }
        }
    }

    /// A line has ended, and with it all that it had.
    pub(crate) fn lost(&mut self, line: LineId) {
        self.farewells.retain(|_, farewell| farewell.line != line);
    }

    pub(crate) fn due(&self) -> Option<Instant> {
        self.farewells.values().filter_map(|farewell| farewell.again).min()
    }

    /// Says again what is due.
    pub(crate) fn fire(&mut self, ledger: &mut Ledger, now: Instant) {
        for (id, farewell) in &mut self.farewells {
            if farewell.again.is_some_and(|again| again <= now) {
                farewell.again = None;
                ledger.say(farewell.line, Ask::unsubscribe(&farewell.topics), Purpose::Unsubscribe(*id));
            }
        }
    }
}
