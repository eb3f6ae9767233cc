//! The record of a run, shared by all who take part in it.

use std::{
    sync::{
        Arc, Mutex, MutexGuard, PoisonError,
        atomic::{AtomicI64, AtomicU32, AtomicU64, Ordering},
    },
    time::{Duration, Instant},
};

use crate::event::Event;
use crate::history::History;

/// Takes what happens, with a clock for all of it. A clone is the same one.
#[derive(Debug, Clone)]
pub struct Recorder(Arc<Shared>);

#[derive(Debug)]
struct Shared {
    begun: Instant,
    history: Mutex<History>,
    connections: AtomicU32,
    published: AtomicU64,
    received: AtomicU64,
    /// Publishes that have no final answer yet.
    open: AtomicI64,
    /// When somebody last heard something.
    heard: AtomicU64,
}

impl Default for Recorder {
    fn default() -> Self {
        Self::new()
    }
}

impl Recorder {
    /// An empty one, whose clock begins now.
    #[must_use]
    pub fn new() -> Self {
        Self(Arc::new(Shared {
            begun: Instant::now(),
            history: Mutex::default(),
            connections: AtomicU32::new(1),
            published: AtomicU64::new(0),
            received: AtomicU64::new(0),
            open: AtomicI64::new(0),
            heard: AtomicU64::new(0),
        }))
    }

    /// Microseconds since the run began.
    #[must_use]
    pub fn now(&self) -> u64 {
        u64::try_from(self.0.begun.elapsed().as_micros()).unwrap_or(u64::MAX)
    }

    /// Takes what happened.
    pub fn push(&self, event: Event) {
        if let Event::Received { at, .. } = &event {
            self.0.received.fetch_add(1, Ordering::Relaxed);
            self.0.heard.fetch_max(*at, Ordering::Relaxed);
        }
        self.history().push(event);
    }

    /// A number that no other connection has.
    #[must_use]
    pub fn connection(&self) -> u32 {
        self.0.connections.fetch_add(1, Ordering::Relaxed)
    }

    /// A fault began or ended.
    pub fn fault(&self, what: impl Into<String>) {
        self.push(Event::Fault { what: what.into(), at: self.now() });
    }

    /// An entry shall be published, and is until [`Recorder::end_publish`].
    pub fn begin_publish(&self) {
        self.0.published.fetch_add(1, Ordering::Relaxed);
        self.0.open.fetch_add(1, Ordering::Relaxed);
    }

    /// Its final answer has come.
    pub fn end_publish(&self) {
        self.0.open.fetch_sub(1, Ordering::Relaxed);
    }

    /// How many entries were begun.
    #[must_use]
    pub fn published(&self) -> u64 {
        self.0.published.load(Ordering::Relaxed)
    }

    /// How many receptions there were.
    #[must_use]
    pub fn received(&self) -> u64 {
        self.0.received.load(Ordering::Relaxed)
    }

    /// Publishes that have no final answer yet.
    #[must_use]
    pub fn open(&self) -> i64 {
        self.0.open.load(Ordering::Relaxed)
    }

    /// For how long nobody has heard anything.
    #[must_use]
    pub fn silence(&self) -> Duration {
        Duration::from_micros(self.now().saturating_sub(self.0.heard.load(Ordering::Relaxed)))
    }

    /// How many events the history has.
    #[must_use]
    pub fn len(&self) -> usize {
        self.history().len()
    }

    /// Whether nothing has happened.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.len() == 0
    }

    /// Reads the history so far. Who pushes meanwhile waits.
    pub fn read<T>(&self, read: impl FnOnce(&History) -> T) -> T {
        read(&self.history())
    }

    /// The history so far; what is recorded later is lost.
    #[must_use]
    pub fn take(&self) -> History {
        std::mem::take(&mut *self.history())
    }

    /// The history so far; what is recorded later goes to its [`History::successor`].
    #[must_use]
    pub fn cut(&self) -> History {
        let mut history = self.history();
        let next = history.successor();
        std::mem::replace(&mut *history, next)
    }

    fn history(&self) -> MutexGuard<'_, History> {
        // Whoever panicked has lost its event, and the checker will say so.
        self.0.history.lock().unwrap_or_else(PoisonError::into_inner)
    }
}
