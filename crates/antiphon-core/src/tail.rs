//! The seam to what other programs append to the log in transactions of their own.

use antiphon_protocol::Entry;
use async_trait::async_trait;

use crate::SeamError;

/// What a look found.
#[derive(Debug)]
pub enum Tailed {
    /// Entries that were committed since the last look, topic by topic, in the order of each topic's log; `more` waits.
    Entries {
        /// The entries.
        entries: Vec<Entry>,
        /// There is more to be had at once.
        more: bool,
    },
    /// Another node of the cluster looks.
    Elsewhere,
}

/// Entries that were not appended by a node.
///
/// # Promises
/// - In a cluster one node looks at a time; when it is gone, another does within seconds.
/// - While one node goes on looking, each such entry is told once, soon after its commit, however long its transaction took and
///   in whatever order others committed; what was committed while nobody looked is found by the tick.
/// - An entry's `revision` is its tenant's as of the look: whoever was removed before the commit does not get it. It is 0 where
///   tenants are kept elsewhere: then it is to be asked there, after the look.
#[async_trait]
pub trait Tail: Send + Sync {
    /// Looks once.
    async fn look(&self) -> Result<Tailed, SeamError>;
}
