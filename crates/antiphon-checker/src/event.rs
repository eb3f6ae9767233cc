//! What is recorded: one line each.

use antiphon_protocol::Position;
use serde::{Deserialize, Serialize};

/// A place in a topic's log: the entry's number, and the chain hash that proves the history up to it.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Serialize, Deserialize)]
pub struct Place {
    /// The entry's number, from 1 without gaps; 0 is before the first.
    pub offset: u64,
    /// The chain hash.
    pub link: u64,
}

impl Place {
    /// Reads a position's text; none: it is not one.
    #[must_use]
    pub fn parse(position: &str) -> Option<Self> {
        Position::parse(position).ok().map(Self::from)
    }
}

impl From<Position> for Place {
    fn from(position: Position) -> Self {
        Self { offset: position.offset, link: position.link.0 }
    }
}

/// What became of one attempt to publish.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Outcome {
    /// It was acknowledged.
    Accepted {
        /// Where the entry stands.
        place: Place,
        /// The answer said that the key had been used before.
        duplicate: bool,
    },
    /// It was refused for good: the entry is nowhere.
    Refused,
    /// No answer, or one that says that it may be tried again: it may be in the log, or come there later.
    Unknown,
}

/// What became of a membership.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Change {
    /// The user is a member now.
    Added,
    /// The user is none any more.
    Removed,
}

/// Who ended a subscription.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum EndedBy {
    /// The client asked for it, and it was answered.
    Client,
    /// The server, for the right to it had ended.
    Server,
}

/// What makes a RESET true.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Plant {
    /// Old entries were removed.
    Retention,
    /// The log was cut, or replaced by an earlier one.
    Restore,
}

/// One thing that happened. Times are in microseconds since the run began.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(tag = "event", rename_all = "snake_case")]
pub enum Event {
    /// A client and whom it speaks for; before all its other events.
    Client {
        /// Its name, unique in the run.
        client: String,
        /// The tenant of its token.
        tenant: String,
        /// The user of its token; none: an application with an API key.
        user: Option<String>,
    },
    /// A connection was accepted with a token.
    Connected {
        /// The client.
        client: String,
        /// Its number, unique in the run.
        connection: u32,
        /// The node, as the harness calls it.
        node: String,
        /// When the token was made, at the earliest.
        issued: u64,
        /// When.
        at: u64,
    },
    /// One attempt to publish. A retry is another one with the same key.
    Published {
        /// The client.
        client: String,
        /// Its connection.
        connection: u32,
        /// The node, as the harness calls it.
        node: String,
        /// The topic.
        topic: String,
        /// The project whose members alone may get it.
        project: Option<String>,
        /// The idempotency key.
        key: String,
        /// The content's [`fingerprint`](crate::fingerprint).
        hash: u64,
        /// When it was sent.
        sent: u64,
        /// When it was answered.
        answered: Option<u64>,
        /// How.
        outcome: Outcome,
    },
    /// A SUBSCRIBE was answered.
    Subscribed {
        /// The client.
        client: String,
        /// Its connection.
        connection: u32,
        /// The topic.
        topic: String,
        /// The offset of the position that the client gave.
        given: Option<u64>,
        /// From where the answer says that the stream goes on.
        from: Place,
        /// The answer says that the given position was proved good.
        recovered: bool,
        /// When it was answered.
        at: u64,
    },
    /// An entry reached the application.
    Received {
        /// The client.
        client: String,
        /// Its connection.
        connection: u32,
        /// The tenant that the entry's content, or else its frame, names.
        tenant: String,
        /// The topic.
        topic: String,
        /// Where it stands.
        place: Place,
        /// The content's fingerprint.
        hash: u64,
        /// When.
        at: u64,
    },
    /// Entries that were not for this client have moved its stream.
    Moved {
        /// The client.
        client: String,
        /// The topic.
        topic: String,
        /// To where.
        offset: u64,
        /// When.
        at: u64,
    },
    /// The client was told that continuity can't be proved.
    Reset {
        /// The client.
        client: String,
        /// The topic.
        topic: String,
        /// `RETENTION`, `EPOCH`, `FORK` or `AHEAD`.
        reason: String,
        /// From where the stream goes on.
        to: Place,
        /// When.
        at: u64,
    },
    /// A subscription ended, and the client knows it.
    Unsubscribed {
        /// The client.
        client: String,
        /// The topic.
        topic: String,
        /// By whom.
        by: EndedBy,
        /// When.
        at: u64,
    },
    /// The client has gone for good and need not get what comes later.
    Left {
        /// The client.
        client: String,
        /// When.
        at: u64,
    },
    /// A membership was changed, or may have been, where it was not answered.
    Member {
        /// The tenant.
        tenant: String,
        /// The project.
        project: String,
        /// The user.
        user: String,
        /// How.
        change: Change,
        /// When it was asked for.
        asked: u64,
        /// When it was answered.
        answered: Option<u64>,
    },
    /// All tokens of a user were revoked, or may have been.
    Revoked {
        /// The tenant.
        tenant: String,
        /// The user.
        user: String,
        /// When it was asked for.
        asked: u64,
        /// When it was answered.
        answered: Option<u64>,
    },
    /// The run itself damaged a log.
    Planted {
        /// The tenant.
        tenant: String,
        /// The topic.
        topic: String,
        /// What.
        plant: Plant,
        /// When it began.
        at: u64,
    },
    /// A fault began or ended; for the reader of a report.
    Fault {
        /// What.
        what: String,
        /// When.
        at: u64,
    },
    /// The last fault has ended: from now on everybody comes to the head.
    Healed {
        /// When.
        at: u64,
    },
    /// A row of the log at the end.
    Row {
        /// The tenant.
        tenant: String,
        /// The topic.
        topic: String,
        /// Where it stands.
        place: Place,
        /// Its author.
        author: Option<String>,
        /// Its project.
        project: Option<String>,
        /// Its key.
        key: Option<String>,
        /// The content's fingerprint.
        hash: u64,
    },
    /// A topic's log at the end.
    Log {
        /// The tenant.
        tenant: String,
        /// The topic.
        topic: String,
        /// The last entry.
        head: u64,
        /// The last entry that is no longer kept.
        trimmed: u64,
    },
}
