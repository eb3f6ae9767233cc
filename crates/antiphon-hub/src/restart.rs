//! What the shards are told where a feed has to begin anew.

use antiphon_protocol::{Position, ResetReason};

/// A log that turned out to be another one than what was delivered of it.
#[derive(Debug, Clone, Copy)]
pub struct Restart {
    /// Up to where it was delivered.
    pub was: Position,
    /// Why that can't be continued.
    pub reason: ResetReason,
}
