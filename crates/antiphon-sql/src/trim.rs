//! How much one call of `trim` removes at most, so that no other write waits for long.

/// Entries.
pub(crate) const BATCH_ENTRIES: i64 = 5000;
/// Topics.
pub(crate) const BATCH_TOPICS: i64 = 64;
