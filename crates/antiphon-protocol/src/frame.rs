//! What the server says: every frame's JSON is written here, once.

use serde::Serialize;
use serde_json::value::RawValue;
use uuid::Uuid;

use crate::{
    Entry, Key, Position, Refusal, ResetReason, SYSTEM_PROJECT, Signal, TenantId, TerminateReason, TopicName,
    UserId,
};

/// Every frame type of both directions; each has a row in docs/protocol.md and a golden fixture.
pub const FRAME_TYPES: &[&str] = &[
    "SUBSCRIBE",
    "UNSUBSCRIBE",
    "MESSAGE",
    "SIGNAL",
    "HISTORY",
    "PRESENCE",
    "PING",
    "SUBSCRIPTION_SUCCESSFUL",
    "UNSUBSCRIPTION_SUCCESSFUL",
    "ACCEPTED",
    "PONG",
    "POSITION",
    "RESET",
    "UNSUBSCRIBED",
    "ERROR",
    "RECONNECT",
    "TERMINATE_CONNECTION",
];

/// The post's system entry.
#[derive(Debug, Clone, Serialize)]
#[serde(rename_all = "camelCase")]
pub struct SystemEntry {
    id: Uuid,
    project_id: &'static str,
}

impl SystemEntry {
    /// One with a fresh id.
    pub fn fresh() -> Self {
        Self { id: Uuid::new_v4(), project_id: SYSTEM_PROJECT }
    }
}

/// What became of one topic of a SUBSCRIBE.
#[derive(Debug, Clone, Serialize)]
#[serde(untagged)]
pub enum SubscribedTopic {
    /// Subscribed, from this position on.
    Subscribed {
        /// Where this client's stream goes on from.
        position: Position,
        /// A given position was proved good.
        recovered: bool,
    },
    /// Refused.
    Refused {
        /// Why.
        error: RefusalBody,
    },
}

/// A refusal within another frame.
#[derive(Debug, Clone, Serialize)]
#[serde(rename_all = "camelCase")]
pub struct RefusalBody {
    code: &'static str,
    text: String,
    #[serde(skip_serializing_if = "Option::is_none")]
    retry_after_ms: Option<u64>,
}

impl From<Refusal> for RefusalBody {
    fn from(refusal: Refusal) -> Self {
        Self { code: refusal.code.as_str(), text: refusal.text, retry_after_ms: refusal.retry_after_ms }
    }
}

type Reference<'a> = Option<&'a str>;

/// A frame of the server, but for MESSAGE and SIGNAL, which are written once for all their receivers.
#[derive(Debug, Serialize)]
#[serde(tag = "type", rename_all = "SCREAMING_SNAKE_CASE", rename_all_fields = "camelCase")]
pub enum ServerFrame<'a> {
    /// The answer to SUBSCRIBE.
    SubscriptionSuccessful {
        /// The frame that is answered.
        #[serde(rename = "ref", skip_serializing_if = "Option::is_none")]
        reference: Reference<'a>,
        /// The tenant's id.
        text: &'a TenantId,
        /// Who the token says this is.
        user_id: &'a UserId,
        /// When the token ends; null: never.
        expires_at: Option<i64>,
        /// How often the server pings.
        keep_alive_ms: u64,
        /// What became of each topic, under the name that the client gave.
        #[serde(serialize_with = "as_object")]
        topics: &'a [(String, SubscribedTopic)],
        /// The system entry.
        entry: SystemEntry,
    },
    /// The answer to UNSUBSCRIBE.
    UnsubscriptionSuccessful {
        /// The frame that is answered.
        #[serde(rename = "ref", skip_serializing_if = "Option::is_none")]
        reference: Reference<'a>,
        /// The topics that were named.
        topics: &'a [TopicName],
    },
    /// The answer to MESSAGE, after the commit.
    Accepted {
        /// The frame that is answered.
        #[serde(rename = "ref", skip_serializing_if = "Option::is_none")]
        reference: Reference<'a>,
        /// Where the entry stands.
        position: Position,
        /// Its number.
        offset: u64,
        /// Its id.
        entry: EntryRef,
        /// The key had been used before for the same content.
        #[serde(skip_serializing_if = "std::ops::Not::not")]
        duplicate: bool,
        /// The idempotency key, where one was given.
        #[serde(skip_serializing_if = "Option::is_none")]
        key: Option<&'a Key>,
    },
    /// The answer to HISTORY.
    History {
        /// The frame that is answered.
        #[serde(rename = "ref", skip_serializing_if = "Option::is_none")]
        reference: Reference<'a>,
        /// The topic.
        topic: &'a TopicName,
        /// The entries as MESSAGE frames, oldest first.
        entries: Vec<Box<RawValue>>,
        /// There is more in the direction that was asked for.
        more: bool,
    },
    /// The answer to PRESENCE.
    Presence {
        /// The frame that is answered.
        #[serde(rename = "ref", skip_serializing_if = "Option::is_none")]
        reference: Reference<'a>,
        /// The topic.
        topic: &'a TopicName,
        /// Who is subscribed, on all nodes.
        users: &'a [UserId],
    },
    /// The answer to PING.
    Pong {
        /// The frame that is answered.
        #[serde(rename = "ref", skip_serializing_if = "Option::is_none")]
        reference: Reference<'a>,
    },
    /// Entries that are not for this client have moved its stream.
    Position {
        /// The topic.
        topic: &'a TopicName,
        /// Where the stream is.
        position: Position,
        /// Its number.
        offset: u64,
    },
    /// Continuity can't be proved.
    Reset {
        /// The topic.
        topic: &'a TopicName,
        /// Why.
        reason: ResetReason,
        /// The topic's head, from which the stream goes on.
        position: Position,
    },
    /// The right to a topic has ended.
    Unsubscribed {
        /// The topic.
        topic: &'a TopicName,
        /// Why.
        reason: &'static str,
    },
    /// Something was refused; the connection goes on.
    Error {
        /// The frame that is answered.
        #[serde(rename = "ref", skip_serializing_if = "Option::is_none")]
        reference: Reference<'a>,
        /// The topic at fault, as the client gave its name.
        #[serde(skip_serializing_if = "Option::is_none")]
        topic: Option<&'a str>,
        /// Code, text and when to try again.
        #[serde(flatten)]
        refusal: RefusalBody,
    },
    /// The node is going away.
    Reconnect {
        /// When to leave and come back.
        after_ms: u64,
    },
    /// The connection ends for its identity.
    TerminateConnection {
        /// Why.
        text: TerminateReason,
        /// The system entry.
        entry: SystemEntry,
    },
}

/// An entry by its id.
#[derive(Debug, Serialize)]
pub struct EntryRef {
    /// The id.
    pub id: Uuid,
}

fn as_object<S: serde::Serializer>(topics: &&[(String, SubscribedTopic)], to: S) -> Result<S::Ok, S::Error> {
    to.collect_map(topics.iter().map(|(name, outcome)| (name, outcome)))
}

impl ServerFrame<'_> {
    /// The frame's JSON.
    pub fn encode(&self) -> Vec<u8> {
        serde_json::to_vec(self).expect("frames hold nothing that JSON can't say")
    }
}

#[derive(Serialize)]
#[serde(rename_all = "camelCase")]
struct EntryBody<'a> {
    id: Uuid,
    company_id: &'a str,
    project_id: Option<&'a str>,
    topic: &'a str,
    user_id: Option<&'a str>,
    created_at: i64,
}

#[derive(Serialize)]
struct ProjectBody<'a> {
    id: &'a str,
}

#[derive(Serialize)]
struct MessageBody<'a> {
    r#type: &'static str,
    #[serde(skip_serializing_if = "Option::is_none")]
    text: Option<&'a RawValue>,
    #[serde(skip_serializing_if = "Option::is_none")]
    body: Option<&'a RawValue>,
    entry: EntryBody<'a>,
    #[serde(skip_serializing_if = "Option::is_none")]
    project: Option<ProjectBody<'a>>,
    position: Position,
    offset: u64,
}

fn raw(json: &str) -> &RawValue {
    serde_json::from_str(json).expect("a content is JSON")
}

fn write_message(entry: &Entry, project: Option<&str>) -> Vec<u8> {
    let content = raw(entry.content.json());
    let is_text = entry.content.kind() == crate::ContentKind::Text;
    let body = MessageBody {
        r#type: "MESSAGE",
        text: is_text.then_some(content),
        body: (!is_text).then_some(content),
        entry: EntryBody {
            id: entry.id,
            company_id: entry.topic.tenant().as_str(),
            project_id: project,
            topic: entry.topic.name().as_str(),
            user_id: entry.author.as_ref().map(UserId::as_str),
            created_at: entry.created_at,
        },
        project: project.map(|id| ProjectBody { id }),
        position: entry.position,
        offset: entry.position.offset,
    };
    serde_json::to_vec(&body).expect("an entry holds nothing that JSON can't say")
}

/// An entry as a MESSAGE frame, as all but its author get it.
pub fn encode_message(entry: &Entry) -> Vec<u8> {
    write_message(entry, entry.project.as_ref().map(crate::ProjectId::as_str))
}

/// How a MESSAGE frame begins; its content comes next. Both kinds of content have a name of four letters.
const MESSAGE_START: &[u8] = br#"{"type":"MESSAGE","text":"#;

/// Where the content stands in the JSON of [`encode_message`], if it has so many bytes.
pub fn content_range(content_bytes: usize) -> std::ops::Range<usize> {
    MESSAGE_START.len()..MESSAGE_START.len() + content_bytes
}

/// Where the content stands in a MESSAGE frame's JSON; empty if this is none.
pub fn find_content(message: &[u8]) -> std::ops::Range<usize> {
    let rest = message.get(MESSAGE_START.len()..).unwrap_or_default();
    let content = serde_json::Deserializer::from_slice(rest).into_iter::<&RawValue>().next();
    content_range(content.and_then(Result::ok).map_or(0, |content| content.get().len()))
}

/// An entry as the post's own listeners read it: always with a project.
pub fn encode_plain_message(entry: &Entry) -> Vec<u8> {
    write_message(entry, Some(entry.project.as_ref().map_or(SYSTEM_PROJECT, |project| project.as_str())))
}

/// A MESSAGE frame as its author gets it: with the key.
pub fn message_with_key(message: &[u8], key: &Key) -> Vec<u8> {
    let mut out = message.strip_suffix(b"}").unwrap_or(message).to_vec();
    out.extend_from_slice(b",\"key\":");
    serde_json::to_writer(&mut out, key).expect("a key is a string");
    out.push(b'}');
    out
}

#[derive(Serialize)]
#[serde(rename_all = "camelCase")]
struct SignalBody<'a> {
    r#type: &'static str,
    #[serde(skip_serializing_if = "Option::is_none")]
    text: Option<&'a RawValue>,
    #[serde(skip_serializing_if = "Option::is_none")]
    body: Option<&'a RawValue>,
    topic: &'a TopicName,
    user_id: Option<&'a UserId>,
    project_id: Option<&'a crate::ProjectId>,
}

/// A SIGNAL frame.
pub fn encode_signal(signal: &Signal) -> Vec<u8> {
    let content = raw(signal.content.json());
    let is_text = signal.content.kind() == crate::ContentKind::Text;
    let project = signal.project();
    let body = SignalBody {
        r#type: "SIGNAL",
        text: is_text.then_some(content),
        body: (!is_text).then_some(content),
        topic: signal.topic.name(),
        user_id: signal.author.as_ref(),
        project_id: project.as_ref(),
    };
    serde_json::to_vec(&body).expect("a signal holds nothing that JSON can't say")
}
