//! What a subscription hears.

use std::fmt;

use antiphon_protocol::TerminateReason;
use serde::Deserialize;
use serde_json::value::RawValue;

/// One thing that happened, in order within its topic.
#[derive(Debug, Clone)]
#[non_exhaustive]
pub enum Event {
    /// An entry. Store its position once it is dealt with, and hand it back to go on from there.
    Message(Message),
    /// Something ephemeral.
    Signal(Signal),
    /// Continuity can't be proved: load the application's state afresh; the stream goes on from `position`.
    Reset {
        /// The topic.
        topic: String,
        /// Why: `RETENTION`, `EPOCH`, `FORK` or `AHEAD`.
        reason: String,
        /// From where the stream goes on.
        position: String,
    },
    /// Entries that are not for this client have moved its stream.
    Position {
        /// The topic.
        topic: String,
        /// Where the stream is.
        position: String,
        /// Its number.
        offset: u64,
    },
    /// The topic is no longer heard.
    Unsubscribed {
        /// The topic.
        topic: String,
        /// Why: `FORBIDDEN`.
        reason: String,
    },
    /// What another program published on plain Redis under the tenant's id, as it is: ephemeral, without position.
    Plain(Box<str>),
    /// The connection was lost; the client comes back by itself.
    Disconnected {
        /// The close code, where there was a close.
        code: Option<u16>,
    },
    /// The connection is back and goes on from where each topic was.
    Reconnected {
        /// The node that answered.
        url: String,
    },
    /// The server ended this identity; nothing comes after it.
    Terminated {
        /// Why.
        reason: Option<TerminateReason>,
    },
}

impl Event {
    /// Where its topic is once this is dealt with.
    pub(crate) fn place(&self) -> Option<(String, String)> {
        match self {
            Event::Message(message) => Some((message.entry.topic.clone(), message.position.clone())),
            Event::Position { topic, position, .. } | Event::Reset { topic, position, .. } => {
                Some((topic.clone(), position.clone()))
            }
            _ => None,
        }
    }
}

/// What an entry or a signal says.
#[derive(Clone)]
pub enum Content {
    /// A text.
    Text(String),
    /// Any JSON, as it came.
    Body(Box<RawValue>),
}

impl Content {
    /// The text, if it is one.
    pub fn as_text(&self) -> Option<&str> {
        match self {
            Content::Text(text) => Some(text),
            Content::Body(_) => None,
        }
    }

    /// Reads a body.
    pub fn parse<'a, T: Deserialize<'a>>(&'a self) -> Option<Result<T, serde_json::Error>> {
        match self {
            Content::Text(_) => None,
            Content::Body(body) => Some(serde_json::from_str(body.get())),
        }
    }
}

impl fmt::Debug for Content {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Content::Text(text) => f.debug_tuple("Text").field(text).finish(),
            Content::Body(body) => f.debug_tuple("Body").field(&body.get()).finish(),
        }
    }
}

impl PartialEq for Content {
    fn eq(&self, other: &Self) -> bool {
        match (self, other) {
            (Content::Text(a), Content::Text(b)) => a == b,
            (Content::Body(a), Content::Body(b)) => a.get() == b.get(),
            _ => false,
        }
    }
}

/// An entry as this client got it.
#[derive(Debug, Clone, PartialEq)]
pub struct Message {
    /// What it says.
    pub content: Content,
    /// Who, where and when.
    pub entry: EntryInfo,
    /// Where it stands; handed back as it is.
    pub position: String,
    /// Its number in the topic.
    pub offset: u64,
    /// The idempotency key, where this client's user is the author.
    pub key: Option<String>,
}

impl Message {
    /// The topic.
    pub fn topic(&self) -> &str {
        &self.entry.topic
    }
}

/// Who, where and when.
#[derive(Debug, Clone, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "camelCase")]
#[non_exhaustive]
pub struct EntryInfo {
    /// Its id, a UUID.
    pub id: String,
    /// The tenant.
    #[serde(rename = "companyId")]
    pub tenant: String,
    /// The project, where there is one.
    #[serde(default)]
    pub project_id: Option<String>,
    /// The topic.
    pub topic: String,
    /// The author; none: the application.
    #[serde(default)]
    pub user_id: Option<String>,
    /// When, in milliseconds since the Unix epoch.
    pub created_at: i64,
}

/// A signal as this client got it.
#[derive(Debug, Clone, PartialEq)]
pub struct Signal {
    /// What it says.
    pub content: Content,
    /// The topic.
    pub topic: String,
    /// The author; none: the application.
    pub user_id: Option<String>,
    /// The project, where there is one.
    pub project_id: Option<String>,
}

/// What became of a publish: it is committed.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Accepted {
    /// Where the entry stands.
    pub position: String,
    /// Its number in the topic.
    pub offset: u64,
    /// Its id, a UUID.
    pub id: String,
    /// The key had been used before for the same content; this is the entry of then.
    pub duplicate: bool,
}
