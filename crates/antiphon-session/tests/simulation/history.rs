//! What happened in a world, and what must not have.

use std::collections::{BTreeMap, HashMap};

use antiphon_protocol::Entry;
use tokio::time::Instant;

/// A publish, from its first frame on.
pub struct Publish {
    pub asked_at: Instant,
    pub accepted: Option<String>,
}

/// What one client has of one topic.
#[derive(Default, Clone)]
pub struct Stream {
    /// Where it goes on from, as the server said.
    pub position: Option<String>,
    /// The offset at which it began.
    pub from: Option<u64>,
    /// The offset that it has passed.
    pub passed: u64,
    /// What its application was given.
    pub got: Vec<(u64, String)>,
}

/// When somebody was no member of the project: from the removal's answer to the asking of the next addition.
#[derive(Clone, Copy)]
pub struct Absence {
    pub from: Instant,
    pub to: Option<Instant>,
}

#[derive(Default)]
pub struct History {
    pub publishes: HashMap<String, Publish>,
    pub streams: BTreeMap<(usize, String), Stream>,
    pub absences: Vec<Absence>,
    pub violations: Vec<String>,
    pub faults: BTreeMap<&'static str, u64>,
}

impl History {
    pub fn violation(&mut self, what: String) {
        if self.violations.len() < 10 {
            self.violations.push(what);
        }
    }

    pub fn fault(&mut self, kind: &'static str) {
        *self.faults.entry(kind).or_default() += 1;
    }

    /// May an entry that was asked for then still be given to the one who comes and goes?
    pub fn may_see(&self, key: &str, now: Instant) -> bool {
        let Some(publish) = self.publishes.get(key) else { return false };
        let still_away = |one: &Absence| one.from < publish.asked_at && one.to.is_none_or(|to| to > now);
        !self.absences.iter().any(still_away)
    }

    /// Compares what a client that was never removed was given with the log.
    pub fn compare(&mut self, client: usize, topic: &str, is_member: bool, log: &[Entry]) {
        let stream = self.streams.get(&(client, topic.to_owned())).cloned().unwrap_or_default();
        let Some(from) = stream.from else {
            return self.violation(format!("client {client} never got subscribed to {topic}"));
        };
        let is_due = |entry: &&Entry| entry.position.offset > from && (is_member || entry.project.is_none());
        let due: Vec<(u64, String)> = log
            .iter()
            .filter(is_due)
            .map(|entry| {
                (entry.position.offset, entry.key.as_ref().map_or("", |key| key.as_str()).to_owned())
            })
            .collect();
        if due != stream.got {
            let first = due.iter().zip(&stream.got).position(|(a, b)| a != b);
            let at = first.unwrap_or(due.len().min(stream.got.len()));
            self.violation(format!(
                "client {client} on {topic} from {from}: {} due, {} given; the first that differs: due {:?}, given {:?}",
                due.len(),
                stream.got.len(),
                due.get(at),
                stream.got.get(at)
            ));
        }
    }

    /// Every publish that was answered is in the log, once, where the answer said.
    pub fn compare_publishes(&mut self, logs: &[Vec<Entry>]) {
        let mut rows: HashMap<String, Vec<String>> = HashMap::new();
        for entry in logs.iter().flatten() {
            let key = entry.key.as_ref().map(|key| key.to_string()).unwrap_or_default();
            rows.entry(key).or_default().push(entry.position.to_string());
        }
        let mut wrong = Vec::new();
        for (key, publish) in &self.publishes {
            let rows = rows.get(key).map_or(&[][..], Vec::as_slice);
            let is_right = match &publish.accepted {
                Some(position) => rows == std::slice::from_ref(position),
                None => rows.len() <= 1,
            };
            if !is_right {
                wrong.push(format!("publish {key} was answered {:?} and is at {rows:?}", publish.accepted));
            }
        }
        wrong.into_iter().for_each(|what| self.violation(what));
    }
}
