//! What all who take part tell: the history for the checker, and what is only counted.

use std::collections::{BTreeMap, HashMap};

use antiphon_checker::{Kind, Recorder, Report, Violation};
use parking_lot::Mutex;

use super::{
    draft::{Payload, SIGNALS},
    latency::Histogram,
};

/// Shared by all.
#[derive(Debug)]
pub struct Journal {
    /// The history, and the clock.
    pub recorder: Recorder,
    /// No other lock is taken under it.
    figures: Mutex<Figures>,
}

/// All that is counted, over the whole run.
#[derive(Debug, Default)]
pub struct Figures {
    /// From each node to each, row by row: of entries that came while their receiver was connected.
    pub latency: Vec<Histogram>,
    /// The longest of these since the last look.
    pub worst: u64,
    /// By node.
    pub nodes: Vec<NodeFigures>,
    /// What publishers were told but success, by code.
    pub errors: BTreeMap<String, u64>,
    /// Why connections were ended by the server: `RECONNECT`, `TERMINATED`, `CLOSED` and more.
    pub ended: BTreeMap<String, u64>,
    /// Connections that a client left by itself, to go elsewhere.
    pub moves: u64,
    /// RESETs by reason.
    pub resets: BTreeMap<String, u64>,
    /// Members removed and added again.
    pub removals: u64,
    /// Signals.
    pub signals: Signals,
    /// What is found at once, without the log.
    pub found: Report,
    /// Which signals each client has heard in this round, by author and number, and on which connection.
    heard: HashMap<usize, HashMap<(String, u64), u32>>,
}

/// One node's part.
#[derive(Debug, Clone, Default)]
pub struct NodeFigures {
    /// Connections that it has accepted.
    pub connections: u64,
    /// Those that could not be made.
    pub failures: u64,
    /// Attempts to publish through it.
    pub attempts: u64,
    /// Entries that came through it.
    pub receptions: u64,
    /// Rounds whose log was read through it.
    pub logs: u64,
    /// Why its log could not be read the last time.
    pub unread: Option<String>,
}

/// Signals are sent at most once.
#[derive(Debug, Clone, Copy, Default)]
pub struct Signals {
    /// By clients.
    pub sent: u64,
    /// Had each reached all who were subscribed and may get it.
    pub expected: u64,
    /// How many came.
    pub received: u64,
    /// Those that a client had heard on another connection before. It subscribed anew where they were yet to be
    /// delivered, which is no fault.
    pub after_moves: u64,
}

/// A client as a receiver of signals.
#[derive(Debug, Clone, Copy)]
pub struct Ear<'a> {
    /// Its number among all.
    pub index: usize,
    /// The connection's number.
    pub connection: u32,
    /// Its name in the history.
    pub name: &'a str,
    /// Its tenant.
    pub tenant: &'a str,
    /// The projects of which it may be a member.
    pub projects: &'a [&'a str],
}

impl Journal {
    /// Of a cluster with so many nodes.
    pub fn new(nodes: usize) -> Self {
        let figures = Figures {
            latency: vec![Histogram::default(); nodes * nodes],
            nodes: vec![NodeFigures::default(); nodes],
            ..Figures::default()
        };
        Self { recorder: Recorder::new(), figures: Mutex::new(figures) }
    }

    /// Microseconds since the run began.
    pub fn now(&self) -> u64 {
        self.recorder.now()
    }

    /// Counts something, or reads it.
    pub fn count<T>(&self, count: impl FnOnce(&mut Figures) -> T) -> T {
        count(&mut self.figures.lock())
    }

    /// A publisher was told this code.
    pub fn error(&self, code: &str) {
        self.count(|figures| *figures.errors.entry(code.to_owned()).or_default() += 1);
    }

    /// An entry came live through the node `to`.
    pub fn took(&self, from: usize, to: usize, micros: u64) {
        self.count(|figures| {
            let nodes = figures.nodes.len();
            if let Some(histogram) = figures.latency.get_mut(from * nodes + to).filter(|_| from < nodes) {
                histogram.add(micros);
                figures.worst = figures.worst.max(micros);
            }
        });
    }

    /// A signal came. Twice over one connection is a fault, and so is one that is not for it.
    pub fn signal(&self, ear: Ear<'_>, text: &str, at: u64) {
        let Some(payload) = Payload::read(text) else { return };
        self.count(|figures| {
            figures.signals.received += 1;
            let mut found = |kind, what: String| {
                figures.found.add(Violation {
                    kind,
                    client: Some(ear.name.to_owned()),
                    tenant: payload.tenant.to_owned(),
                    topic: SIGNALS.to_owned(),
                    offset: 0,
                    at: Some(at),
                    what,
                });
            };
            let which = format!("signal {} of {}", payload.number, payload.author);
            if payload.tenant != ear.tenant {
                return found(Kind::Leak, format!("{which} reached a client of the tenant {}", ear.tenant));
            }
            if let Some(audience) = payload.audience.filter(|audience| !ear.projects.contains(audience)) {
                found(Kind::Leak, format!("{which} is for members of {audience}, which this user never was"));
            }
            let heard = figures.heard.entry(ear.index).or_default();
            match heard.insert((payload.author.to_owned(), payload.number), ear.connection) {
                Some(connection) if connection == ear.connection => {
                    found(Kind::Duplicate, format!("{which} came twice over one connection"));
                }
                Some(_) => figures.signals.after_moves += 1,
                None => {}
            }
        });
    }

    /// A round is over: what came in it will not come again.
    pub fn forget_signals(&self) {
        self.count(|figures| figures.heard.clear());
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use antiphon_checker::Rng;

    #[test]
    fn a_signal_that_comes_twice_or_to_a_stranger_is_found() {
        let journal = Journal::new(1);
        let text = |tenant: &str, audience: Option<&str>, number| {
            let payload = Payload { tenant, audience, author: "a", number, node: 0, sent: 1 };
            payload.write(&mut Rng::new(1))
        };
        let ear = Ear { index: 0, connection: 1, name: "b", tenant: "acme", projects: &["p"] };
        for number in 0..3 {
            journal.signal(ear, &text("acme", Some("p"), number), 5);
        }
        assert!(journal.count(|figures| figures.found.is_clean()));
        journal.signal(ear, &text("acme", Some("p"), 2), 5);
        journal.signal(ear, &text("acme", Some("q"), 3), 5);
        journal.signal(ear, &text("other", None, 4), 5);
        journal.count(|figures| {
            assert_eq!(figures.found.count(Kind::Duplicate), 1);
            assert_eq!(figures.found.count(Kind::Leak), 2);
            assert_eq!((figures.signals.received, figures.signals.after_moves), (6, 0));
        });
        journal.signal(Ear { connection: 2, ..ear }, &text("acme", Some("p"), 2), 5);
        journal.count(|figures| {
            assert_eq!((figures.found.count(Kind::Duplicate), figures.signals.after_moves), (1, 1));
        });
    }
}
