//! What the server says, read. Fields that are not known are ignored.

use std::collections::BTreeMap;

use antiphon_protocol::{ErrorCode, Refusal, TerminateReason};
use serde::Deserialize;
use serde_json::value::RawValue;

use crate::{
    event::{Accepted, Content, EntryInfo, Message, Signal},
    place::Start,
};

/// A frame of the server.
#[derive(Debug)]
pub(crate) enum Says {
    Message(Message),
    Signal(Signal),
    Reset {
        topic: String,
        reason: String,
        position: String,
    },
    Position {
        topic: String,
        position: String,
        offset: u64,
    },
    Unsubscribed {
        topic: String,
        reason: String,
    },
    Reconnect {
        after_ms: u64,
    },
    Terminate {
        reason: Option<TerminateReason>,
    },
    Answer {
        reference: Option<u64>,
        answer: Result<Answer, Refusal>,
    },
    /// What a plain Redis listener published: not ours to read.
    Plain,
}

/// The answer to an ask.
#[derive(Debug)]
pub(crate) enum Answer {
    Subscribed(Subscribed),
    Unsubscribed,
    Accepted(Accepted),
    History { entries: Vec<Message>, more: bool },
    Presence { topic: String, users: Vec<String> },
    Pong,
}

/// The answer to SUBSCRIBE.
#[derive(Debug)]
pub(crate) struct Subscribed {
    pub(crate) tenant: String,
    pub(crate) user: String,
    /// When the token ends, in milliseconds since the Unix epoch.
    pub(crate) expires_at: Option<u64>,
    pub(crate) topics: BTreeMap<String, Result<Start, Refusal>>,
}

#[derive(Deserialize)]
struct StartFields {
    position: String,
    recovered: bool,
}

#[derive(Deserialize)]
#[serde(rename_all = "camelCase")]
struct Fields {
    r#type: Option<String>,
    r#ref: Option<String>,
    text: Option<String>,
    #[serde(default, deserialize_with = "present")]
    body: Option<Box<RawValue>>,
    topic: Option<String>,
    topics: Option<Box<RawValue>>,
    position: Option<String>,
    offset: Option<u64>,
    entry: Option<Box<RawValue>>,
    key: Option<String>,
    user_id: Option<String>,
    project_id: Option<String>,
    #[serde(default)]
    duplicate: bool,
    entries: Option<Vec<Box<RawValue>>>,
    #[serde(default)]
    more: bool,
    users: Option<Vec<String>>,
    reason: Option<String>,
    code: Option<ErrorCode>,
    after_ms: Option<u64>,
    expires_at: Option<u64>,
    retry_after_ms: Option<u64>,
}

#[derive(Deserialize)]
#[serde(untagged)]
enum TopicFields {
    Begun(StartFields),
    Refused { error: RefusalFields },
}

#[derive(Deserialize)]
#[serde(rename_all = "camelCase")]
struct RefusalFields {
    code: ErrorCode,
    text: String,
    retry_after_ms: Option<u64>,
}

#[derive(Deserialize)]
struct IdOnly {
    id: String,
}

/// A `null` is a value here, not an absence.
fn present<'de, D: serde::Deserializer<'de>>(from: D) -> Result<Option<Box<RawValue>>, D::Error> {
    Box::<RawValue>::deserialize(from).map(Some)
}

impl Says {
    /// Reads a text frame; none: it is not one that this client can read.
    pub(crate) fn parse(text: &str) -> Option<Self> {
        let Ok(fields) = serde_json::from_str::<Fields>(text) else {
            // A plain frame is another program's, whose fields may have any type.
            return serde_json::from_str::<BTreeMap<String, &RawValue>>(text).ok().map(|_| Says::Plain);
        };
        fields.read()
    }
}

impl Fields {
    fn read(self) -> Option<Says> {
        let reference = self.r#ref.as_deref().and_then(|text| text.parse().ok());
        let answer = |answer| Some(Says::Answer { reference, answer: Ok(answer) });
        match self.r#type.as_deref() {
            Some("MESSAGE") if self.position.is_some() => self.message().map(Says::Message),
            Some("SIGNAL") => self.signal(),
            Some("RESET") => {
                Some(Says::Reset { topic: self.topic?, reason: self.reason?, position: self.position? })
            }
            Some("POSITION") => {
                Some(Says::Position { topic: self.topic?, position: self.position?, offset: self.offset? })
            }
            Some("UNSUBSCRIBED") => Some(Says::Unsubscribed { topic: self.topic?, reason: self.reason? }),
            Some("RECONNECT") => Some(Says::Reconnect { after_ms: self.after_ms? }),
            Some("TERMINATE_CONNECTION") => {
                Some(Says::Terminate { reason: self.text.as_deref().and_then(terminate_reason) })
            }
            Some("SUBSCRIPTION_SUCCESSFUL") => answer(Answer::Subscribed(self.subscribed()?)),
            Some("UNSUBSCRIPTION_SUCCESSFUL") => answer(Answer::Unsubscribed),
            Some("ACCEPTED") => answer(Answer::Accepted(self.accepted()?)),
            Some("HISTORY") => answer(Answer::History { more: self.more, entries: self.history()? }),
            Some("PRESENCE") => answer(Answer::Presence { topic: self.topic?, users: self.users? }),
            Some("PONG") => answer(Answer::Pong),
            Some("ERROR") => {
                let text = self.text.unwrap_or_default();
                let refusal = Refusal { code: self.code?, text, retry_after_ms: self.retry_after_ms };
                Some(Says::Answer { reference, answer: Err(refusal) })
            }
            _ => Some(Says::Plain),
        }
    }

    fn content(text: Option<String>, body: Option<Box<RawValue>>) -> Option<Content> {
        text.map(Content::Text).or(body.map(Content::Body))
    }

    fn message(self) -> Option<Message> {
        let entry: EntryInfo = serde_json::from_str(self.entry?.get()).ok()?;
        let content = Self::content(self.text, self.body)?;
        Some(Message { content, entry, position: self.position?, offset: self.offset?, key: self.key })
    }

    fn signal(self) -> Option<Says> {
        let content = Self::content(self.text, self.body)?;
        let (topic, user_id, project_id) = (self.topic?, self.user_id, self.project_id);
        Some(Says::Signal(Signal { content, topic, user_id, project_id }))
    }

    fn subscribed(self) -> Option<Subscribed> {
        let topics: BTreeMap<String, TopicFields> = serde_json::from_str(self.topics?.get()).ok()?;
        let topics = topics.into_iter().map(|(topic, outcome)| match outcome {
            TopicFields::Begun(StartFields { position, recovered }) => {
                (topic, Ok(Start { position, recovered }))
            }
            TopicFields::Refused { error } => {
                let RefusalFields { code, text, retry_after_ms } = error;
                (topic, Err(Refusal { code, text, retry_after_ms }))
            }
        });
        let (expires_at, topics) = (self.expires_at, topics.collect());
        Some(Subscribed { tenant: self.text?, user: self.user_id?, expires_at, topics })
    }

    fn accepted(self) -> Option<Accepted> {
        let id = serde_json::from_str::<IdOnly>(self.entry?.get()).ok()?.id;
        Some(Accepted { position: self.position?, offset: self.offset?, id, duplicate: self.duplicate })
    }

    fn history(self) -> Option<Vec<Message>> {
        let read = |entry: Box<RawValue>| serde_json::from_str::<Fields>(entry.get()).ok()?.message();
        self.entries?.into_iter().map(read).collect()
    }
}

fn terminate_reason(text: &str) -> Option<TerminateReason> {
    use TerminateReason::{InvalidToken, NoTokenProvided, TokenExpired, TokenRevoked};
    let known = [NoTokenProvided, InvalidToken, TokenExpired, TokenRevoked];
    known.into_iter().find(|reason| reason.as_str() == text)
}

#[cfg(test)]
mod tests {
    use antiphon_protocol::{
        Content as Said, Entry, Epoch, Key, Link, Position, ProjectId, TenantId, Topic, TopicName, UserId,
        encode_message, encode_plain_message, message_with_key,
    };

    use super::*;

    fn entry(content: Said) -> Entry {
        let tenant = TenantId::parse("acme").unwrap();
        Entry {
            topic: Topic::new(tenant, TopicName::parse("news").unwrap()),
            position: Position { epoch: Epoch(1), offset: 7, link: Link(9) },
            id: uuid::Uuid::nil(),
            author: Some(UserId::parse("ann").unwrap()),
            project: Some(ProjectId::parse("apollo").unwrap()),
            key: None,
            content,
            created_at: 5,
            revision: 0,
        }
    }

    #[test]
    fn an_entry_is_read_as_the_server_writes_it() {
        let sent = entry(Said::text("hi").unwrap());
        let frame = message_with_key(&encode_message(&sent), &Key::parse("k").unwrap());
        let Some(Says::Message(message)) = Says::parse(std::str::from_utf8(&frame).unwrap()) else {
            panic!()
        };
        assert_eq!(message.content, Content::Text("hi".into()));
        assert_eq!((message.topic(), message.offset, message.key.as_deref()), ("news", 7, Some("k")));
        assert_eq!(message.position, sent.position.to_string());
        assert_eq!(message.entry.project_id.as_deref(), Some("apollo"));
        let sent = entry(Said::body(&Option::<u8>::None).unwrap());
        let frame = encode_plain_message(&sent);
        let Some(Says::Message(message)) = Says::parse(std::str::from_utf8(&frame).unwrap()) else {
            panic!()
        };
        assert!(matches!(message.content, Content::Body(body) if body.get() == "null"));
    }

    #[test]
    fn what_another_program_wrote_is_plain_whatever_its_fields_are() {
        for plain in [
            r#"{"type":"MESSAGE","text":"no position"}"#,
            r#"{"type":"MESSAGE","text":{"a":1},"entry":7}"#,
            r#"{"hello":1}"#,
            r#"{"type":"OWN","topics":3,"offset":"x"}"#,
        ] {
            assert!(matches!(Says::parse(plain), Some(Says::Plain)), "{plain}");
        }
        for broken in ["", "[]", "5", "{", r#"{"type":"RESET"}"#] {
            assert!(Says::parse(broken).is_none(), "{broken}");
        }
    }
}
