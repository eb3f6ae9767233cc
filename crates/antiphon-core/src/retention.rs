//! What a topic keeps of its log, and how a store is brought there in small steps.

/// What a topic keeps: its newest entries, as long as each is young enough and there are not too many of them.
/// A bound that is none is no bound; the strictest of those that are there decides.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct Retention {
    /// Entries made before this time go (ms since the Unix epoch).
    pub before_ms: Option<i64>,
    /// So many entries stay at most.
    pub entries: Option<u64>,
    /// The contents of those that stay have so many bytes at most, as JSON. A newest entry that alone has more goes too.
    pub bytes: Option<u64>,
}

impl Retention {
    /// By age alone.
    pub fn before(before_ms: i64) -> Self {
        Self { before_ms: Some(before_ms), ..Self::default() }
    }

    /// True if a topic that only grows has to be looked at, however young its entries are.
    pub fn bounds_size(&self) -> bool {
        self.entries.is_some() || self.bytes.is_some()
    }
}

/// Where a round of trimming goes on; a new one begins at the default. The number is the store's own.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct TrimCursor(pub u64);

/// What one call of [`crate::Store::trim`] did.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Trimmed {
    /// Entries that are gone.
    pub removed: u64,
    /// Where to go on; none: the round is at its end.
    pub next: Option<TrimCursor>,
}
