//! What happened, for the checker.

use std::{
    fs::File,
    io::BufWriter,
    path::Path,
    sync::{
        Arc, Mutex,
        atomic::{AtomicI64, AtomicU32, AtomicU64, Ordering},
    },
    time::{Duration, Instant},
};

use antiphon_checker::{Event, History};

/// The record of a run, shared by all who take part.
#[derive(Clone)]
pub struct Recorder(Arc<Shared>);

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

impl Recorder {
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
    pub fn now(&self) -> u64 {
        self.0.begun.elapsed().as_micros() as u64
    }

    pub fn push(&self, event: Event) {
        if let Event::Received { at, .. } = &event {
            self.0.received.fetch_add(1, Ordering::Relaxed);
            self.0.heard.fetch_max(*at, Ordering::Relaxed);
        }
        self.0.history.lock().unwrap().push(event);
    }

    /// A number that no other connection has.
    pub fn connection(&self) -> u32 {
        self.0.connections.fetch_add(1, Ordering::Relaxed)
    }

    pub fn fault(&self, what: impl Into<String>) {
        self.push(Event::Fault { what: what.into(), at: self.now() });
    }

    pub fn begin_publish(&self) {
        self.0.published.fetch_add(1, Ordering::Relaxed);
        self.0.open.fetch_add(1, Ordering::Relaxed);
    }

    pub fn end_publish(&self) {
        self.0.open.fetch_sub(1, Ordering::Relaxed);
    }

    pub fn published(&self) -> u64 {
        self.0.published.load(Ordering::Relaxed)
    }

    pub fn received(&self) -> u64 {
        self.0.received.load(Ordering::Relaxed)
    }

    pub fn open(&self) -> i64 {
        self.0.open.load(Ordering::Relaxed)
    }

    /// For how long nobody has heard anything.
    pub fn silence(&self) -> Duration {
        Duration::from_micros(self.now().saturating_sub(self.0.heard.load(Ordering::Relaxed)))
    }

    /// The history so far; what is recorded later is lost.
    pub fn take(&self) -> History {
        std::mem::take(&mut *self.0.history.lock().unwrap())
    }
}

/// Writes a history where it can be read again.
pub fn keep(history: &History, file: &Path) {
    history.write(BufWriter::new(File::create(file).unwrap())).unwrap();
}
