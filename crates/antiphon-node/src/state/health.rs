//! What is known of how the node is.

use std::sync::atomic::{AtomicBool, Ordering};

use antiphon_core::SeamError;

pub(crate) struct HealthState {
    pub draining: AtomicBool,
    pub accepting: AtomicBool,
    pub database: AtomicBool,
    /// The broker was up when its state was told last.
    pub hears: AtomicBool,
}

impl Default for HealthState {
    fn default() -> Self {
        Self {
            draining: AtomicBool::new(false),
            accepting: AtomicBool::new(true),
            database: AtomicBool::new(true),
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
                None => tracing::info!("the database is back"),
            }
        }
    }
}
