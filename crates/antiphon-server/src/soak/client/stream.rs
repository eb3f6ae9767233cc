//! What a client knows of a topic, and of what it publishes.

use antiphon_checker::Place;
use tokio::time::Instant;

use crate::soak::draft::Draft;

/// A topic and what is known of it.
#[derive(Debug, Default)]
pub(super) struct Stream {
    /// As it was given, to be handed back.
    pub position: Option<String>,
    /// The same, read.
    pub place: Option<Place>,
    /// The server has confirmed it on this connection.
    pub is_on: bool,
    /// An UNSUBSCRIBE is under way.
    pub is_ending: bool,
    /// It was ended, and has not begun again.
    pub is_ended: bool,
    /// When it is asked for, if it is not on.
    pub due: Option<Instant>,
    /// Since when it is on, in microseconds of the run.
    pub since: u64,
}

/// A publish that has no final answer.
#[derive(Debug)]
pub(super) struct Open {
    /// What.
    pub draft: Draft,
    /// When this attempt was sent, on this connection.
    pub sent: Option<u64>,
    /// When it may be tried again.
    pub due: Instant,
}

impl Stream {
    /// It has come to this position.
    pub fn advance(&mut self, position: &str, place: Place) {
        (self.position, self.place) = (Some(position.to_owned()), Some(place));
    }

    /// Its connection is lost: it is asked for on the next one.
    pub fn lose(&mut self) {
        let Self { position, place, is_ended, .. } = std::mem::take(self);
        *self = Self { position, place, is_ended, ..Self::default() };
    }

    /// It was on, and must go on where it was, or begin anew where it was ended.
    pub fn is_owed(&self) -> bool {
        !self.is_on && (self.position.is_some() || self.is_ended)
    }
}
