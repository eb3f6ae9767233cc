//! What the checker found.

use std::collections::BTreeMap;
use std::fmt;

use serde::Serialize;

/// How many violations of each kind are told in full; the rest is counted.
const TOLD_MAX: u64 = 20;

/// How long some things may take.
#[derive(Debug, Clone, Copy)]
pub struct Bounds {
    /// From the answer of a revocation until nothing reaches the revoked any more, in microseconds.
    pub revoked_within: u64,
    /// For how much longer it may be, where a node is stopped and can't look, in microseconds: for what was sent before that answer.
    pub stopped: u64,
    /// From the end of the last fault, or an entry's commit, until everybody has it, in microseconds.
    pub at_head_within: u64,
}

impl Default for Bounds {
    /// 2 s, no node stopped, and 10 s.
    fn default() -> Self {
        Self { revoked_within: 2_000_000, stopped: 0, at_head_within: 10_000_000 }
    }
}

/// Which promise was broken.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize)]
#[serde(rename_all = "snake_case")]
pub enum Kind {
    /// What is acknowledged is in the log, once, where the answer said; what is refused is not.
    Durable,
    /// What is received is what the log holds, and what the log holds was published.
    Invention,
    /// A subscriber gets every entry that is meant for it.
    Loss,
    /// And gets it once.
    Duplicate,
    /// In the log's order.
    Order,
    /// What was sent after another's answer stands behind it.
    PublisherOrder,
    /// Nobody gets what is another tenant's, or a project's of which he never was a member.
    Leak,
    /// Nothing comes after an unsubscribe; nothing that was sent after a removal, or long after a revocation.
    Fence,
    /// A stream is reset or ended only for a true reason, and a recovered one goes on where it was.
    Recovery,
    /// Once the faults are over, everybody is at the head within a bound.
    Bounded,
}

/// A broken promise.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct Violation {
    /// Which.
    pub kind: Kind,
    /// Who suffered from it.
    pub client: Option<String>,
    /// The tenant.
    pub tenant: String,
    /// The topic.
    pub topic: String,
    /// The entry.
    pub offset: u64,
    /// When, in microseconds since the run began.
    pub at: Option<u64>,
    /// What exactly.
    pub what: String,
}

/// What a history shows.
#[derive(Debug, Clone, Default, Serialize)]
pub struct Report {
    /// Entries in the log.
    pub entries: u64,
    /// Different entries that clients tried to publish.
    pub publishes: u64,
    /// Attempts to publish them.
    pub attempts: u64,
    /// Attempts whose answer is not known.
    pub unknown: u64,
    /// Entries as they reached applications.
    pub receptions: u64,
    /// Pairs of a client and a topic.
    pub streams: u64,
    /// Streams that went on after another connection with all that they had missed.
    pub recoveries: u64,
    /// How long the last client took to come to the head after the last fault, in microseconds.
    pub time_to_head: u64,
    /// How many violations there are of each kind.
    pub counts: BTreeMap<Kind, u64>,
    /// The first of each kind.
    pub violations: Vec<Violation>,
}

impl Report {
    /// Whether every promise was kept.
    #[must_use]
    pub fn is_clean(&self) -> bool {
        self.counts.is_empty()
    }

    /// How many violations of this kind there are.
    #[must_use]
    pub fn count(&self, kind: Kind) -> u64 {
        self.counts.get(&kind).copied().unwrap_or(0)
    }

    /// Adds what the next round of the same run has shown.
    pub fn merge(&mut self, next: Self) {
        self.entries += next.entries;
        self.publishes += next.publishes;
        self.attempts += next.attempts;
        self.unknown += next.unknown;
        self.receptions += next.receptions;
        self.streams = self.streams.max(next.streams);
        self.recoveries += next.recoveries;
        self.time_to_head = self.time_to_head.max(next.time_to_head);
        for violation in next.violations {
            let told = self.violations.iter().filter(|other| other.kind == violation.kind).count() as u64;
            if told < TOLD_MAX {
                self.violations.push(violation);
            }
        }
        for (kind, count) in next.counts {
            *self.counts.entry(kind).or_default() += count;
        }
    }

    /// Adds a violation. Those behind the 20th of a kind are only counted.
    pub fn add(&mut self, violation: Violation) {
        let count = self.counts.entry(violation.kind).or_default();
        *count += 1;
        if *count <= TOLD_MAX {
            self.violations.push(violation);
        }
    }
}

impl fmt::Display for Report {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let seconds = self.time_to_head as f64 / 1e6;
        writeln!(
            f,
            "{} entries of {} publishes ({} attempts, {} of them unknown), {} receptions in {} streams, {} recoveries, \
             at head after {seconds:.2} s",
            self.entries,
            self.publishes,
            self.attempts,
            self.unknown,
            self.receptions,
            self.streams,
            self.recoveries
        )?;
        let count = |kind| self.count(kind);
        write!(
            f,
            "missing or doubled in the log {}, invented {}, lost {}, doubled {}, reordered {} (publishers {}), leaked \
             {}, past a fence {}, false resets {}, late {}",
            count(Kind::Durable),
            count(Kind::Invention),
            count(Kind::Loss),
            count(Kind::Duplicate),
            count(Kind::Order),
            count(Kind::PublisherOrder),
            count(Kind::Leak),
            count(Kind::Fence),
            count(Kind::Recovery),
            count(Kind::Bounded)
        )?;
        self.violations.iter().try_for_each(|violation| write!(f, "\n{violation}"))
    }
}

impl fmt::Display for Violation {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{:?}: {}/{} entry {}", self.kind, self.tenant, self.topic, self.offset)?;
        if let Some(client) = &self.client {
            write!(f, ", client {client}")?;
        }
        if let Some(at) = self.at {
            write!(f, ", at {:.6} s", at as f64 / 1e6)?;
        }
        write!(f, ": {}", self.what)
    }
}
