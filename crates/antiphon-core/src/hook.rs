//! The seam to the application's own say in what its users publish: it is asked before an entry is made.

use std::time::Duration;

use antiphon_protocol::{Draft, Position, UserId};
use async_trait::async_trait;

use crate::SeamError;

/// What the application says to a user's message.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Verdict {
    /// It may be published.
    Publish,
    /// The application has published it itself, in a transaction of its own that is committed.
    Published {
        /// The entry's id.
        id: uuid::Uuid,
        /// The entry's position.
        position: Position,
        /// It had been published before: a repeat with the same key.
        duplicate: bool,
    },
    /// It may not: FORBIDDEN with this text, without control characters and at most [`Verdict::TEXT_CHARS_MAX`] long;
    /// an empty one is the usual text.
    Refuse(String),
    /// Not for now: UNAVAILABLE, and worth the same again after this time, of which a client is told at most
    /// [`Verdict::LATER_MAX`].
    Later(Duration),
}

impl Verdict {
    /// The most characters of a refusal's text that a client is told.
    pub const TEXT_CHARS_MAX: usize = 512;
    /// The longest time that a client is asked to wait before it says the same again.
    pub const LATER_MAX: Duration = Duration::from_secs(60);
}

/// Is asked about each message of a user before it is published. What an API key or the application itself publishes, and
/// signals, it is not asked about.
///
/// # Promises
/// - It answers for this message alone, and may be asked about it again: after an answer that did not come, or by a client
///   that repeats it with the same key.
/// - `Published` is said only after the commit.
/// - An error means that nothing is known: the client is told to try again.
///
/// # Not promised
/// An answer in time: the node waits `Limits::publish_hook_timeout` and drops the future then.
///
/// # What the node owes it
/// The user may publish there as far as the rules and memberships say. What one connection sends is asked about one after
/// the other: everything that it sent before is published or refused by then. At most `Limits::publish_hook_calls` are under way.
#[async_trait]
pub trait PublishHook: Send + Sync {
    /// May this user's message be published?
    async fn ask(&self, user: &UserId, draft: &Draft) -> Result<Verdict, SeamError>;
}
