//! What a client says: one JSON object a frame, read into a [`Command`] and the token beside it.
//! Fields that are not known are ignored; a wrong type of a known field is refused with words for its sender.

use std::collections::{HashMap, HashSet};

use serde::Deserialize;
use serde_json::value::RawValue;

use crate::{Content, Key, Position, ProjectId, Refusal, TopicName, check_nesting};

/// The most characters of a `ref`.
pub const MAX_REF_CHARS: usize = 64;
/// The most topics that one frame may name.
const MAX_TOPICS: usize = 1000;

/// A client's frame, read.
#[derive(Debug)]
pub struct CommandFrame {
    /// Comes back in the answer.
    pub reference: Option<Box<str>>,
    /// The token shown with this frame.
    pub token: Option<Box<str>>,
    /// What is wanted, or why it can't be read.
    pub command: Result<Command, Refusal>,
    /// The `topic` that is at fault where it can't be read.
    pub at_fault: Option<Box<str>>,
}

/// A frame of which not even the token could be read.
#[derive(Debug)]
pub struct CommandError {
    /// Comes back in the answer, where it could be read.
    pub reference: Option<Box<str>>,
    /// What is wrong.
    pub refusal: Refusal,
}

/// SUBSCRIBE.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct SubscribeAsk {
    /// The topics with the position each goes on from; none named: the tenant's own topic.
    pub topics: Option<Vec<(TopicName, Option<Position>)>>,
    /// The position for the tenant's own topic when none is named, under the name the client gave.
    pub positions: HashMap<TopicName, Position>,
    /// What can't be subscribed, under the names the client gave: bad names, and topics with a malformed position.
    pub refused: Vec<(String, Refusal)>,
}

/// MESSAGE or SIGNAL.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct MessageDraft {
    /// The topic; none: the tenant's own.
    pub topic: Option<TopicName>,
    /// The project that is named.
    pub project: Option<ProjectId>,
    /// The idempotency key.
    pub key: Option<Key>,
    /// What it says.
    pub content: Content,
}

/// HISTORY.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct HistoryAsk {
    /// The topic; none: the tenant's own.
    pub topic: Option<TopicName>,
    /// Entries before this position.
    pub before: Option<Position>,
    /// Entries after this position.
    pub after: Option<Position>,
    /// How many at most, 1 to 200.
    pub limit: u32,
}

impl HistoryAsk {
    /// How many entries a page has if nobody says.
    pub const LIMIT: u32 = 50;
    /// The most entries of a page.
    pub const LIMIT_MAX: u32 = 200;
}

/// A page's limit as JSON writes a number: more than the most, however large, is the most; none: no whole number from 1.
pub fn page_limit(text: &str, most: u32) -> Option<u32> {
    // Rust's own parser would also take words.
    if !text.starts_with(|first: char| first.is_ascii_digit()) {
        return None;
    }
    let limit: f64 = text.parse().ok()?;
    if limit > f64::from(most) {
        return Some(most);
    }
    (limit >= 1.0 && limit.fract() == 0.0).then_some(limit as u32)
}

/// What a client wants.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Command {
    /// Subscribe to topics.
    Subscribe(SubscribeAsk),
    /// End subscriptions; none named: the tenant's own topic.
    Unsubscribe(Vec<TopicName>),
    /// Publish an entry.
    Message(MessageDraft),
    /// Send a signal.
    Signal(MessageDraft),
    /// Read a page of the past.
    History(HistoryAsk),
    /// Who is subscribed.
    Presence(Option<TopicName>),
    /// Answer with PONG.
    Ping,
}

#[derive(Deserialize)]
struct Fields<'a> {
    #[serde(borrow, rename = "type", default)]
    kind: Option<&'a RawValue>,
    #[serde(borrow, rename = "ref", default)]
    reference: Option<&'a RawValue>,
    #[serde(borrow, default)]
    token: Option<&'a RawValue>,
    #[serde(borrow, default)]
    topics: Option<&'a RawValue>,
    #[serde(borrow, default)]
    positions: Option<&'a RawValue>,
    #[serde(borrow, default)]
    topic: Option<&'a RawValue>,
    #[serde(borrow, default)]
    text: Option<&'a RawValue>,
    #[serde(borrow, default, deserialize_with = "present")]
    body: Option<&'a RawValue>,
    #[serde(borrow, rename = "projectId", default)]
    project: Option<&'a RawValue>,
    #[serde(borrow, default)]
    key: Option<&'a RawValue>,
    #[serde(borrow, default)]
    before: Option<&'a RawValue>,
    #[serde(borrow, default)]
    after: Option<&'a RawValue>,
    #[serde(borrow, default)]
    limit: Option<&'a RawValue>,
}

/// A `null` is a value here, not an absence.
fn present<'de, D: serde::Deserializer<'de>>(from: D) -> Result<Option<&'de RawValue>, D::Error> {
    <&RawValue>::deserialize(from).map(Some)
}

fn string(field: &str, raw: Option<&RawValue>) -> Result<Option<Box<str>>, Refusal> {
    raw.map(|raw| serde_json::from_str(raw.get()))
        .transpose()
        .map_err(|_| Refusal::invalid(format_args!("`{field}` must be a string")))
}

fn parsed<T, E: std::fmt::Display>(
    field: &str,
    raw: Option<&RawValue>,
    parse: impl Fn(&str) -> Result<T, E>,
) -> Result<Option<T>, Refusal> {
    let wrong = |error: E| Refusal::invalid(format_args!("`{field}`: {error}"));
    string(field, raw)?.map(|text| parse(&text).map_err(wrong)).transpose()
}

/// What is left to be read of a frame that is no good as a whole.
#[derive(Deserialize)]
struct ReferenceAlone<'a> {
    #[serde(borrow, rename = "ref", default)]
    reference: Option<&'a RawValue>,
}

/// A `ref` that may come back; none given is none.
fn reference(raw: Option<&RawValue>) -> Result<Option<Box<str>>, Refusal> {
    match string("ref", raw)? {
        Some(long) if long.chars().count() > MAX_REF_CHARS => {
            Err(Refusal::invalid("`ref` may have at most 64 characters"))
        }
        reference => Ok(reference),
    }
}

impl CommandFrame {
    /// Reads a text frame. Neither pass recurses: what the fields hold is skipped here, and parsed once its depth is known.
    pub fn parse(text: &str) -> Result<Self, CommandError> {
        let is_object = text.trim_start().starts_with('{');
        // An array would be read as the fields in their order.
        let fields = is_object.then(|| serde_json::from_str::<Fields<'_>>(text).ok()).flatten();
        let Some(fields) = fields else {
            let refusal = Refusal::invalid("a frame must be one JSON object, each field once");
            return Err(CommandError { reference: Self::reference_of(text), refusal });
        };
        let reference = reference(fields.reference);
        let token = match string("token", fields.token) {
            Ok(token) => token,
            Err(refusal) => return Err(CommandError { reference: reference.unwrap_or_default(), refusal }),
        };
        let (reference, command) = match reference {
            Err(refusal) => (None, Err(refusal)),
            // The frame itself is around what it says.
            Ok(reference) if check_nesting(text, 1) => (reference, fields.command()),
            Ok(reference) => {
                (reference, Err(Refusal::invalid("what a frame says may be nested at most 32 deep")))
            }
        };
        let at_fault = if command.is_err() { fields.bad_topic() } else { None };
        Ok(Self { reference, token, command, at_fault })
    }

    /// The `ref` of a frame that is not carried out, where it is JSON and says one.
    pub fn reference_of(text: &str) -> Option<Box<str>> {
        let alone = text.trim_start().starts_with('{').then(|| serde_json::from_str(text).ok()).flatten();
        alone.and_then(|ReferenceAlone { reference: raw }| reference(raw).ok().flatten())
    }
}

impl Fields<'_> {
    fn command(&self) -> Result<Command, Refusal> {
        let kind = string("type", self.kind)?.ok_or_else(|| Refusal::invalid("`type` is missing"))?;
        match &*kind {
            "SUBSCRIBE" => self.subscribe().map(Command::Subscribe),
            "UNSUBSCRIBE" => Ok(Command::Unsubscribe(self.topics()?)),
            "MESSAGE" => self.draft(Content::MAX_ENTRY_BYTES).map(Command::Message),
            "SIGNAL" => self.draft(Content::MAX_SIGNAL_BYTES).map(Command::Signal),
            "HISTORY" => self.history().map(Command::History),
            "PRESENCE" => Ok(Command::Presence(self.topic()?)),
            "PING" => Ok(Command::Ping),
            _ => Err(Refusal::invalid("unknown frame type; see the list of frames in the protocol")),
        }
    }

    fn topic(&self) -> Result<Option<TopicName>, Refusal> {
        parsed("topic", self.topic, TopicName::parse)
    }

    /// What `topic` says where that is no topic's name.
    fn bad_topic(&self) -> Option<Box<str>> {
        string("topic", self.topic).ok().flatten().filter(|name| TopicName::parse(name).is_err())
    }

    /// The names in `topics`, each once.
    fn names(&self) -> Result<Option<Vec<String>>, Refusal> {
        let Some(raw) = self.topics else { return Ok(None) };
        let mut names: Vec<String> = serde_json::from_str(raw.get())
            .map_err(|_| Refusal::invalid("`topics` must be an array of strings"))?;
        if names.len() > MAX_TOPICS {
            return Err(Refusal::invalid("`topics` may name at most 1000 topics"));
        }
        let mut seen = HashSet::new();
        names.retain(|name| seen.insert(name.clone()));
        Ok(Some(names))
    }

    fn topics(&self) -> Result<Vec<TopicName>, Refusal> {
        let wrong = |error| Refusal::invalid(format_args!("`topics`: {error}"));
        let names = self.names()?.unwrap_or_default();
        names.iter().map(|name| TopicName::parse(name).map_err(wrong)).collect()
    }

    /// What `positions` says of each name.
    fn positions(&self) -> Result<HashMap<String, &RawValue>, Refusal> {
        let Some(raw) = self.positions else { return Ok(HashMap::new()) };
        let positions: HashMap<String, &RawValue> = serde_json::from_str(raw.get())
            .map_err(|_| Refusal::invalid("`positions` must be an object from topic to position"))?;
        if positions.len() > MAX_TOPICS {
            return Err(Refusal::invalid("`positions` may name at most 1000 topics"));
        }
        Ok(positions)
    }

    /// One bad name or position refuses its own topic alone.
    fn subscribe(&self) -> Result<SubscribeAsk, Refusal> {
        // `topic` is taken too: users of the other frames expect it.
        let names = match (self.names()?, self.topic()?) {
            (Some(names), _) => names,
            (None, Some(topic)) => vec![topic.as_str().to_owned()],
            (None, None) => Vec::new(),
        };
        let (mut positions, mut refused) = (HashMap::new(), HashMap::new());
        for (name, raw) in self.positions()? {
            let raw = Some(raw).filter(|raw| raw.get() != "null");
            match (TopicName::parse(&name), parsed("positions", raw, Position::parse)) {
                (Ok(topic), Ok(position)) => positions.extend(position.map(|position| (topic, position))),
                (Ok(_), Err(refusal)) => drop(refused.insert(name, refusal)),
                (Err(error), _) => drop(refused.insert(name, Refusal::invalid(error))),
            }
        }
        let is_own = names.is_empty();
        let mut topics = Vec::with_capacity(names.len());
        for name in names {
            match TopicName::parse(&name) {
                Ok(_) if refused.contains_key(&name) => {}
                Ok(topic) => {
                    let position = positions.get(&topic).copied();
                    topics.push((topic, position));
                }
                Err(error) => drop(refused.insert(name, Refusal::invalid(error))),
            }
        }
        let topics = (!is_own).then_some(topics);
        Ok(SubscribeAsk { topics, positions, refused: refused.into_iter().collect() })
    }

    fn draft(&self, max: usize) -> Result<MessageDraft, Refusal> {
        Ok(MessageDraft {
            topic: self.topic()?,
            project: parsed("projectId", self.project, ProjectId::parse)?,
            key: parsed("key", self.key, Key::parse)?,
            content: Content::from_fields(self.text, self.body, max)?,
        })
    }

    fn history(&self) -> Result<HistoryAsk, Refusal> {
        let limit = match self.limit {
            None => HistoryAsk::LIMIT,
            Some(raw) => page_limit(raw.get(), HistoryAsk::LIMIT_MAX)
                .ok_or_else(|| Refusal::invalid("`limit` must be a whole number from 1 to 200"))?,
        };
        let ask = HistoryAsk {
            topic: self.topic()?,
            before: parsed("before", self.before, Position::parse)?,
            after: parsed("after", self.after, Position::parse)?,
            limit,
        };
        if ask.before.is_some() && ask.after.is_some() {
            return Err(Refusal::invalid("`before` and `after` exclude each other"));
        }
        Ok(ask)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::ErrorCode;

    fn refused(text: &str) -> Refusal {
        match CommandFrame::parse(text) {
            Ok(frame) => frame.command.expect_err(text),
            Err(CommandError { refusal, .. }) => refusal,
        }
    }

    #[test]
    fn every_wrong_frame_is_refused_with_a_reason() {
        for text in [
            "",
            "nope",
            "[]",
            r#"["PING","r"]"#,
            "5",
            "null",
            "{",
            r#"{"type":5}"#,
            r#"{"type":"SHOUT"}"#,
            "{}",
            r#"{"type":"PING","type":"PING"}"#,
            r#"{"type":"SUBSCRIBE","topics":"a"}"#,
            r#"{"type":"SUBSCRIBE","topics":["a",5]}"#,
            r#"{"type":"SUBSCRIBE","positions":["a"]}"#,
            r#"{"type":"UNSUBSCRIBE","topics":["a b"]}"#,
            r#"{"type":"MESSAGE"}"#,
            r#"{"type":"MESSAGE","text":5}"#,
            r#"{"type":"MESSAGE","text":"a","body":1}"#,
            r#"{"type":"MESSAGE","text":"a","key":5}"#,
            r#"{"type":"MESSAGE","text":"a","projectId":[]}"#,
            r#"{"type":"HISTORY","limit":0}"#,
            r#"{"type":"HISTORY","limit":"5"}"#,
            r#"{"type":"HISTORY","before":"x"}"#,
            r#"{"type":"PING","token":5}"#,
        ] {
            assert_eq!(refused(text).code, ErrorCode::Invalid, "{text}");
        }
        let large = format!(r#"{{"type":"SIGNAL","text":"{}"}}"#, "x".repeat(4097));
        assert_eq!(refused(&large).code, ErrorCode::TooLarge);
    }

    #[test]
    fn a_refused_frame_keeps_its_ref_and_its_token() {
        let frame = CommandFrame::parse(r#"{"type":"X","ref":"r1","token":"t"}"#).unwrap();
        assert_eq!((frame.reference.as_deref(), frame.token.as_deref()), (Some("r1"), Some("t")));
        assert!(frame.command.is_err());
    }

    #[test]
    fn whatever_is_wrong_with_a_frame_its_ref_comes_back() {
        let deep = format!("{}{}", "[".repeat(20_000), "]".repeat(20_000));
        for text in [
            r#"{"type":"PING","token":5,"ref":"r1"}"#,
            r#"{"ref":"r1","type":"PING","type":"PING"}"#,
            &format!(r#"{{"type":"MESSAGE","body":{deep},"ref":"r1"}}"#),
            &format!(r#"{{"type":"PING","unknown":{deep},"ref":"r1"}}"#),
            r#"{"type":"HISTORY","limit":"5","ref":"r1"}"#,
        ] {
            let (reference, refusal) = match CommandFrame::parse(text) {
                Ok(frame) => (frame.reference, frame.command.expect_err(text)),
                Err(CommandError { reference, refusal }) => (reference, refusal),
            };
            assert_eq!((reference.as_deref(), refusal.code), (Some("r1"), ErrorCode::Invalid), "{text}");
        }
        // What can't be read, or not be given back, is none.
        for text in [r#"{"ref":"r1""#, r#"["r1"]"#, r#"{"ref":"a","ref":"b"}"#, r#"{"ref":5}"#] {
            assert_eq!(CommandFrame::reference_of(text), None, "{text}");
        }
        assert_eq!(CommandFrame::reference_of(&format!(r#"{{"ref":"{}"}}"#, "x".repeat(65))), None);
    }

    #[test]
    fn a_frame_that_is_nested_too_deep_still_shows_its_token() {
        let text = format!(r#"{{"type":"PING","token":"t","x":{}1{}}}"#, "[".repeat(33), "]".repeat(33));
        let frame = CommandFrame::parse(&text).unwrap();
        assert_eq!((frame.token.as_deref(), frame.command.is_err()), (Some("t"), true));
    }

    #[test]
    fn fields_that_are_not_known_are_ignored_and_nulls_are_absent() {
        let text = r#"{"type":"MESSAGE","x":[1],"topic":null,"projectId":null,"key":null,"token":null,"body":{"a": 1}}"#;
        let Ok(Command::Message(draft)) = CommandFrame::parse(text).unwrap().command else {
            panic!("refused")
        };
        assert_eq!((draft.topic, draft.key, draft.content.json()), (None, None, r#"{"a": 1}"#));
    }

    #[test]
    fn a_limit_over_the_most_is_the_most() {
        let limit = |limit: &str| {
            let text = format!(r#"{{"type":"HISTORY","limit":{limit}}}"#);
            match CommandFrame::parse(&text).unwrap().command {
                Ok(Command::History(ask)) => Some(ask.limit),
                _ => None,
            }
        };
        for more in ["201", "100000", "18446744073709551616", "1e3", "1e400", "200.5"] {
            assert_eq!(limit(more), Some(200), "{more}");
        }
        for (given, taken) in [("null", 50), ("1", 1), ("1.0", 1), ("2e1", 20), ("200", 200)] {
            assert_eq!(limit(given), Some(taken), "{given}");
        }
        for bad in ["0", "0.5", "1.5", "-1", "-1e400", "\"5\"", "true", "[5]", "{}"] {
            assert_eq!(limit(bad), None, "{bad}");
        }
        for bad in ["", "inf", "nan", "+1", ".5", " 1", "1 "] {
            assert_eq!(page_limit(bad, 200), None, "{bad}");
        }
    }
}
