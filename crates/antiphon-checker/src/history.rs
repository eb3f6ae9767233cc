//! A history in memory: receptions, of which there may be tens of millions, take 56 bytes each.

use std::collections::HashMap;
use std::hash::Hash;
use std::io::{self, BufRead, Write};

use crate::event::{Event, Place};

/// What happened, in the order in which it was pushed.
#[derive(Debug, Default)]
pub struct History {
    pub(crate) records: Vec<Record>,
    pub(crate) clients: Names<String>,
    /// Tenant and name.
    pub(crate) topics: Names<(String, String)>,
}

/// An event as it is kept.
#[derive(Debug)]
pub(crate) enum Record {
    Received(Reception),
    Other(Box<Event>),
}

/// [`Event::Received`] with numbers for names.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Reception {
    pub client: u32,
    pub connection: u32,
    /// With the tenant that the entry names.
    pub topic: u32,
    pub place: Place,
    pub hash: u64,
    pub at: u64,
}

/// Names and their numbers.
#[derive(Debug)]
pub(crate) struct Names<T> {
    numbers: HashMap<T, u32>,
    names: Vec<T>,
}

/// Why lines are no history.
#[derive(Debug, thiserror::Error)]
pub enum ReadError {
    /// They could not be read.
    #[error("the history can't be read: {0}")]
    Io(#[from] io::Error),
    /// A line is no event.
    #[error("line {line} of the history is no event: {source}")]
    Line {
        /// Which, from 1.
        line: usize,
        /// Why.
        source: serde_json::Error,
    },
}

impl History {
    /// An empty one.
    #[must_use]
    pub fn new() -> Self {
        Self::default()
    }

    /// Adds what happened.
    pub fn push(&mut self, event: Event) {
        let record = match event {
            Event::Received { client, connection, tenant, topic, place, hash, at } => {
                let client = self.clients.number(client);
                let topic = self.topics.number((tenant, topic));
                Record::Received(Reception { client, connection, topic, place, hash, at })
            }
            other => Record::Other(Box::new(other)),
        };
        self.records.push(record);
    }

    /// How many events it has.
    #[must_use]
    pub fn len(&self) -> usize {
        self.records.len()
    }

    /// Whether nothing has happened.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.records.is_empty()
    }

    /// All events, as they were pushed.
    pub fn events(&self) -> impl Iterator<Item = Event> {
        self.records.iter().map(|record| match record {
            Record::Other(event) => (**event).clone(),
            Record::Received(reception) => {
                let (tenant, topic) = self.topics.name(reception.topic).clone();
                Event::Received {
                    client: self.clients.name(reception.client).clone(),
                    connection: reception.connection,
                    tenant,
                    topic,
                    place: reception.place,
                    hash: reception.hash,
                    at: reception.at,
                }
            }
        })
    }

    /// Reads JSON lines.
    ///
    /// # Errors
    /// When they can't be read, or one of them is no event.
    pub fn read(lines: impl BufRead) -> Result<Self, ReadError> {
        let mut history = Self::new();
        for (index, line) in lines.lines().enumerate() {
            let wrong = |source| ReadError::Line { line: index + 1, source };
            history.push(serde_json::from_str(&line?).map_err(wrong)?);
        }
        Ok(history)
    }

    /// Writes JSON lines.
    ///
    /// # Errors
    /// When they can't be written.
    pub fn write(&self, mut to: impl Write) -> io::Result<()> {
        for event in self.events() {
            serde_json::to_writer(&mut to, &event)?;
            to.write_all(b"\n")?;
        }
        to.flush()
    }
}

impl FromIterator<Event> for History {
    fn from_iter<I: IntoIterator<Item = Event>>(events: I) -> Self {
        let mut history = Self::new();
        events.into_iter().for_each(|event| history.push(event));
        history
    }
}

impl<T> Default for Names<T> {
    fn default() -> Self {
        Self { numbers: HashMap::new(), names: Vec::new() }
    }
}

impl<T: Clone + Eq + Hash> Names<T> {
    /// The number of a name, made if it is new.
    pub(crate) fn number(&mut self, name: T) -> u32 {
        if let Some(number) = self.numbers.get(&name) {
            return *number;
        }
        let number = u32::try_from(self.names.len()).expect("a run has fewer than 2^32 names");
        self.names.push(name.clone());
        self.numbers.insert(name, number);
        number
    }

    pub(crate) fn name(&self, number: u32) -> &T {
        &self.names[number as usize]
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_reception_takes_at_most_56_bytes() {
        assert!(size_of::<Record>() <= 56, "{}", size_of::<Record>());
    }
}
