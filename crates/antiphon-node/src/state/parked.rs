//! What waits for a fresh audience: plain messages, and signals that were sent after a change not seen here yet.

use std::sync::Arc;

use antiphon_hub::{Delivery, Feed};
use tokio::sync::mpsc;

/// What waits for a fresh audience: plain messages, and signals that were sent after a change not seen here yet.
pub(crate) struct PlainQueue(pub mpsc::Sender<Parked>);

pub(crate) struct Parked {
    pub feed: Arc<Feed>,
    /// None: as of now.
    pub revision: Option<u64>,
    pub delivery: Delivery,
}

impl PlainQueue {
    pub fn new(bound: usize) -> (Self, mpsc::Receiver<Parked>) {
        let (to, from) = mpsc::channel(bound.max(1));
        (Self(to), from)
    }
}
