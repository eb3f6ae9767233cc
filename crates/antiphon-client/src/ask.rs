//! What this client asks: drafts of entries and signals, and the frames that carry them.

use std::{collections::BTreeMap, fmt};

use antiphon_protocol::Refusal;
use serde::Serialize;
use serde_json::value::RawValue;

use crate::{
    Error,
    event::{Content, Message},
};

/// The most bytes of a frame; over it the server would close the connection.
const FRAME_BYTES_MAX: usize = 64 * 1024;
/// The most topics that one SUBSCRIBE names, so that its frame stays below the bound whatever their names are.
pub(crate) const TOPICS_A_FRAME: usize = 50;

/// Something to publish or to signal.
///
/// A draft has an idempotency key from the start, so the same draft published twice is one entry.
#[derive(Clone)]
pub struct Draft {
    pub(crate) content: Content,
    pub(crate) topic: Option<String>,
    pub(crate) project: Option<String>,
    pub(crate) key: String,
}

impl Draft {
    /// A text.
    pub fn text(text: impl Into<String>) -> Self {
        Self::new(Content::Text(text.into()))
    }

    /// Any value, as JSON.
    pub fn body<T: Serialize + ?Sized>(value: &T) -> Result<Self, serde_json::Error> {
        serde_json::value::to_raw_value(value).map(|body| Self::new(Content::Body(body)))
    }

    fn new(content: Content) -> Self {
        Self { content, topic: None, project: None, key: uuid::Uuid::new_v4().to_string() }
    }

    /// The topic; without it the tenant's own.
    #[must_use]
    pub fn topic(mut self, topic: impl Into<String>) -> Self {
        self.topic = Some(topic.into());
        self
    }

    /// The project: its members alone get it.
    #[must_use]
    pub fn project(mut self, project: impl Into<String>) -> Self {
        self.project = Some(project.into());
        self
    }

    /// The idempotency key, in place of a random one.
    #[must_use]
    pub fn key(mut self, key: impl Into<String>) -> Self {
        self.key = key.into();
        self
    }
}

impl fmt::Debug for Draft {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Draft").field("topic", &self.topic).field("key", &self.key).finish_non_exhaustive()
    }
}

/// A page of the past: from the newest backwards, or onwards from a position.
#[derive(Debug, Clone, Default)]
pub struct HistoryPage {
    pub(crate) topic: Option<String>,
    pub(crate) before: Option<String>,
    pub(crate) after: Option<String>,
    pub(crate) limit: Option<u32>,
}

impl HistoryPage {
    /// The newest entries of the tenant's own topic.
    pub fn newest() -> Self {
        Self::default()
    }

    /// The topic; without it the tenant's own.
    #[must_use]
    pub fn topic(mut self, topic: impl Into<String>) -> Self {
        self.topic = Some(topic.into());
        self
    }

    /// Entries before this position.
    #[must_use]
    pub fn before(mut self, position: impl Into<String>) -> Self {
        self.before = Some(position.into());
        self
    }

    /// Entries after this position.
    #[must_use]
    pub fn after(mut self, position: impl Into<String>) -> Self {
        self.after = Some(position.into());
        self
    }

    /// How many at most, 1 to 200; 50 if it is not said.
    #[must_use]
    pub fn limit(mut self, limit: u32) -> Self {
        self.limit = Some(limit);
        self
    }
}

/// What HISTORY answered.
pub(crate) type Past = (Vec<Message>, bool);

/// A frame of this client; its fields are those of the protocol.
#[derive(Debug, Default, Serialize)]
#[serde(rename_all = "camelCase")]
pub(crate) struct Ask<'a> {
    r#type: &'static str,
    #[serde(skip_serializing_if = "Option::is_none")]
    r#ref: Option<String>,
    #[serde(skip_serializing_if = "Option::is_none")]
    token: Option<&'a str>,
    #[serde(skip_serializing_if = "<[String]>::is_empty")]
    topics: &'a [String],
    #[serde(skip_serializing_if = "BTreeMap::is_empty")]
    positions: BTreeMap<&'a str, &'a str>,
    #[serde(skip_serializing_if = "Option::is_none")]
    topic: Option<&'a str>,
    #[serde(skip_serializing_if = "Option::is_none")]
    text: Option<&'a str>,
    #[serde(skip_serializing_if = "Option::is_none")]
    body: Option<&'a RawValue>,
    #[serde(skip_serializing_if = "Option::is_none")]
    project_id: Option<&'a str>,
    #[serde(skip_serializing_if = "Option::is_none")]
    key: Option<&'a str>,
    #[serde(skip_serializing_if = "Option::is_none")]
    before: Option<&'a str>,
    #[serde(skip_serializing_if = "Option::is_none")]
    after: Option<&'a str>,
    #[serde(skip_serializing_if = "Option::is_none")]
    limit: Option<u32>,
}

impl<'a> Ask<'a> {
    /// An empty token is none: the upgrade may have had one.
    pub(crate) fn ping(token: &'a str) -> Self {
        Self { r#type: "PING", token: Some(token).filter(|token| !token.is_empty()), ..Self::default() }
    }

    /// Shows another token: a SUBSCRIBE for what is subscribed already changes nothing, and tells when the token ends.
    pub(crate) fn show(token: &'a str, heard: Option<&'a String>) -> Self {
        let topics = heard.map_or(&[][..], std::slice::from_ref);
        let r#type = if topics.is_empty() { "PING" } else { "SUBSCRIBE" };
        Self { r#type, token: Some(token), topics, ..Self::default() }
    }

    pub(crate) fn subscribe(topics: &'a [String], positions: BTreeMap<&'a str, &'a str>) -> Self {
        Self { r#type: "SUBSCRIBE", topics, positions, ..Self::default() }
    }

    pub(crate) fn unsubscribe(topics: &'a [String]) -> Self {
        Self { r#type: "UNSUBSCRIBE", topics, ..Self::default() }
    }

    pub(crate) fn message(draft: &'a Draft) -> Self {
        Self { r#type: "MESSAGE", key: Some(&draft.key), ..Self::signal(draft) }
    }

    pub(crate) fn signal(draft: &'a Draft) -> Self {
        let (text, body) = match &draft.content {
            Content::Text(text) => (Some(text.as_str()), None),
            Content::Body(body) => (None, Some(&**body)),
        };
        let (topic, project_id) = (draft.topic.as_deref(), draft.project.as_deref());
        Self { r#type: "SIGNAL", topic, text, body, project_id, ..Self::default() }
    }

    pub(crate) fn history(page: &'a HistoryPage) -> Self {
        let (before, after) = (page.before.as_deref(), page.after.as_deref());
        let topic = page.topic.as_deref();
        Self { r#type: "HISTORY", topic, before, after, limit: page.limit, ..Self::default() }
    }

    pub(crate) fn presence(topic: Option<&'a str>) -> Self {
        Self { r#type: "PRESENCE", topic, ..Self::default() }
    }

    /// The frame's JSON; a reference comes back in its answer.
    pub(crate) fn encode(mut self, reference: Option<u64>) -> String {
        self.r#ref = reference.map(|number| number.to_string());
        serde_json::to_string(&self).expect("strings and raw JSON are always JSON")
    }
}

/// Refuses here what the server would close the connection for, again after every reconnect.
pub(crate) fn fits(frame: &str) -> Result<(), Error> {
    if frame.len() > FRAME_BYTES_MAX {
        let why =
            format_args!("a frame may have at most {FRAME_BYTES_MAX} bytes, this one has {}", frame.len());
        return Err(Error::Refused(Refusal::too_large(why)));
    }
    Ok(())
}
