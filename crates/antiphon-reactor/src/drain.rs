//! A drain under way.

use std::time::{Duration, Instant};

pub(crate) struct Drain {
    pub started: Instant,
    pub window: Duration,
    /// Those that have not been asked to leave yet.
    pub rest: Vec<usize>,
    pub batch: usize,
}
