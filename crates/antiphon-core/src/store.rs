//! The seam to the log of entries: the store is the truth.

use std::time::Duration;

use antiphon_protocol::{Draft, Entry, Head, Link, Position, Topic};
use async_trait::async_trait;

use crate::{Retention, SeamError, TrimCursor, Trimmed};

/// An appended draft.
#[derive(Debug, Clone)]
pub struct Appended {
    /// The entry it became, or had become before.
    pub entry: Entry,
    /// Its key had been used before for the same content: nothing was written.
    pub duplicate: bool,
}

/// Why a group of drafts was not appended.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum AppendRefusal {
    /// The draft at this index has a key that was used with other content.
    Conflict(usize),
    /// Its topic stayed locked by somebody else: worth the same again.
    Locked,
    /// Its tenant was deleted at the revision that it is stamped with, or later: whoever was allowed to say it is gone.
    Gone,
}

/// What became of a group: all of it, or none.
pub type GroupOutcome = Result<Vec<Appended>, AppendRefusal>;

/// Where a topic's log is, and what it knows of a position.
#[derive(Debug, Clone, Copy)]
pub struct Located {
    /// The log's end and beginning.
    pub head: Head,
    /// The link that the log has at the asked offset; none where it is trimmed away or not reached.
    /// At the last trimmed offset the link is still known.
    pub link: Option<Link>,
}

/// A page of a topic's past.
#[derive(Debug, Clone, Default)]
pub struct HistoryPage {
    /// Oldest first.
    pub entries: Vec<Entry>,
    /// There is more in the direction that was read.
    pub more: bool,
}

/// The log of entries.
///
/// # Promises
/// - `append`: a group is appended whole or not at all; when it answers Ok, all that it reports as appended is committed
///   durably; groups of one call take effect in their order; offsets of a topic are consecutive from 1, each entry's position is
///   `ClusterSecret::next` of the one before; a key is unique for (topic, author) among kept entries, where no author
///   counts as one; the same key with equal content (and project) is a duplicate (also within one call) and answers the stored entry.
///   `revision` is stamped on each entry of the call (one for each group).
/// - An engine that keeps tenants too appends nothing for one that was deleted at the group's revision or later, also when it
///   was made again: the deletion is before the append or after it, never between its permission and its commit.
/// - `read`: entries after an offset, ascending, without gaps, at most `limit` and about `max_bytes` (at least one). An entry
///   of revision 0 was stamped by nobody: it is for whom the directory says now, asked after it was read.
/// - `locate` and `heads`: a topic that nobody used has the origin position of its first epoch and is empty.
/// - `trim`: removes a topic's oldest entry while that is outside of the retention, keeps the head, the link of the last entry
///   that went, and the keys of those that stay. A call does a bounded amount of work; after a round, from the first cursor to
///   no next one, each topic that nobody wrote to meanwhile keeps exactly its newest entries within the retention.
///
/// # Not promised
/// Order across topics. That an append which failed with `Unavailable` was not committed: with a key it can be repeated.
#[async_trait]
pub trait Store: Send + Sync {
    /// Appends groups of drafts in one transaction; `groups[i].0` is the tenant revision stamped on group i.
    async fn append(&self, groups: &[(u64, Vec<Draft>)]) -> Result<Vec<GroupOutcome>, SeamError>;
    /// The same, but it waits for a topic that somebody else holds no longer than this; zero: not at all. The groups that would have
    /// to wait are [`AppendRefusal::Locked`], and those behind them that share a topic with one of them.
    ///
    /// An engine in which nobody holds a topic for long need not know of it.
    async fn append_within(
        &self,
        groups: &[(u64, Vec<Draft>)],
        wait: Duration,
    ) -> Result<Vec<GroupOutcome>, SeamError> {
        let _ = wait;
        self.append(groups).await
    }
    /// Entries with an offset greater than `after`.
    async fn read(
        &self,
        topic: &Topic,
        after: u64,
        limit: u32,
        max_bytes: usize,
    ) -> Result<Vec<Entry>, SeamError>;
    /// Up to `limit` entries with an offset lower than `before` (none: the newest), oldest first.
    async fn read_before(
        &self,
        topic: &Topic,
        before: Option<u64>,
        limit: u32,
    ) -> Result<HistoryPage, SeamError>;
    /// One entry by its id.
    async fn entry(&self, topic: &Topic, id: uuid::Uuid) -> Result<Option<Entry>, SeamError>;
    /// The topic's head, and the link at an offset.
    async fn locate(&self, topic: &Topic, at: Option<u64>) -> Result<Located, SeamError>;
    /// The last positions of many topics, in one query, in the order asked for.
    async fn heads(&self, topics: &[Topic]) -> Result<Vec<Position>, SeamError>;
    /// One step of a round of trimming: removes some thousands of entries at most.
    async fn trim(&self, keep: &Retention, from: TrimCursor) -> Result<Trimmed, SeamError>;
    /// Asks for nothing but an answer.
    async fn ping(&self) -> Result<(), SeamError>;
}
