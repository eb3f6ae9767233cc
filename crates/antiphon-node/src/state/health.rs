//! What is known of how the node is.

use std::sync::atomic::{AtomicBool, Ordering};

use antiphon_core::SeamError;

pub(crate) struct HealthState {
    pub draining: AtomicBool,
    pub accepting: AtomicBool,
    pub database: AtomicBool,
    /// It took what was published last.
    pub writable: AtomicBool,
    /// The broker was up when its state was told last.
    pub hears: AtomicBool,
}

impl Default for HealthState {
    fn default() -> Self {
        Self {
            draining: AtomicBool::new(false),
            accepting: AtomicBool::new(true),
            database: AtomicBool::new(true),
            writable: AtomicBool::new(true),
            hears: AtomicBool::new(false),
        }
    }
}

impl HealthState {
    pub fn database_answered(&self, error: Option<&SeamError>) {
        let is_there = !matches!(error, Some(SeamError::Unavailable { .. }));
        if self.database.swap(is_there, Ordering::Relaxed) != is_there {
            match error {
                Some(error) => tracing::error!(%error, "the database is away: not ready"),
                None => {
                    tracing::info!("the database is back");
                    // Of one that was away nothing is known but that it answers.
                    self.writable.store(true, Ordering::Relaxed);
                }
            }
        }
    }

    /// A database that takes nothing, as with a full disk, may still be there for all else.
    pub fn database_took(&self, error: Option<&SeamError>) {
        let is_writable = error.is_none();
        if self.writable.swap(is_writable, Ordering::Relaxed) != is_writable {
            match error {
                Some(error) => tracing::error!(%error, "the database takes nothing that is published"),
                None => tracing::info!("the database takes again what is published"),
            }
        }
    }
}
