//! The golden fixtures: what the clients' tests and the docs share is what this crate reads and writes.

#![allow(clippy::unwrap_used)]

use antiphon_protocol::{
    Command, CommandFrame, Content, Entry, EntryRef, Epoch, FRAME_TYPES, Key, Link, Position, ProjectId,
    Refusal, ResetReason, ServerFrame, Signal, SubscribedTopic, SystemEntry, TenantId, TerminateReason,
    Topic, TopicName, UserId, encode_message, encode_signal,
};
use serde_json::{Value, value::RawValue};
use uuid::Uuid;

const ID: Uuid = Uuid::from_u128(0x0190f8a4_5b1c_7cc3_98c4_dc0c0c07398f);

fn fixture(kind: &str, side: &str) -> Value {
    let file =
        format!("{}/fixtures/{}.json", env!("CARGO_MANIFEST_DIR"), kind.to_lowercase().replace('_', "-"));
    let text = std::fs::read_to_string(&file).expect("each frame type has a fixture");
    serde_json::from_str::<Value>(&text).expect("a fixture is JSON")[side].clone()
}

fn position(offset: u64, link: u64) -> Position {
    Position { epoch: Epoch(0xe1), offset, link: Link(link) }
}

fn name(text: &str) -> TopicName {
    TopicName::parse(text).unwrap()
}

fn message() -> Vec<u8> {
    encode_message(&Entry {
        id: ID,
        topic: Topic::of_tenant(&TenantId::parse("acme").unwrap()),
        position: position(42, 0xa7),
        author: Some(UserId::parse("ann").unwrap()),
        project: Some(ProjectId::parse("apollo").unwrap()),
        key: None,
        content: Content::text("good morning").unwrap(),
        created_at: 1_764_000_000_000,
        revision: 3,
    })
}

fn assert_written(kind: &str, json: &[u8]) {
    let mut written: Value = serde_json::from_slice(json).unwrap();
    assert_eq!(written["type"], kind);
    // A system entry's id is fresh each time.
    if let Some(id) = written.pointer_mut("/entry/id") {
        assert!(id.as_str().is_some_and(|id| Uuid::parse_str(id).is_ok()), "{kind}");
        *id = ID.to_string().into();
    }
    assert_eq!(written, fixture(kind, "server"), "{kind}");
}

#[test]
fn every_frame_type_has_a_fixture() {
    for kind in FRAME_TYPES {
        let sides = [fixture(kind, "client"), fixture(kind, "server")];
        assert!(sides.iter().any(|side| side["type"] == *kind), "{kind}");
    }
}

#[test]
fn every_client_fixture_is_read_as_what_it_says() {
    let read = |kind| CommandFrame::parse(&fixture(kind, "client").to_string()).unwrap();
    let subscribe = read("SUBSCRIBE");
    assert_eq!((subscribe.reference.as_deref(), subscribe.token.as_deref()), (Some("1"), Some("ant_x")));
    let Ok(Command::Subscribe(ask)) = subscribe.command else { panic!("not a SUBSCRIBE") };
    let topics = vec![(name("acme"), None), (name("news"), Some(position(42, 0xa7)))];
    assert_eq!((ask.topics, ask.refused), (Some(topics), vec![]));
    assert_eq!(read("UNSUBSCRIBE").command, Ok(Command::Unsubscribe(vec![name("news")])));
    let Ok(Command::Message(draft)) = read("MESSAGE").command else { panic!("not a MESSAGE") };
    assert_eq!((draft.topic, draft.key), (Some(name("acme")), Some(Key::parse("k-1").unwrap())));
    let Ok(Command::Signal(draft)) = read("SIGNAL").command else { panic!("not a SIGNAL") };
    assert_eq!(draft.content.json(), r#"{"typing":true}"#);
    let Ok(Command::History(ask)) = read("HISTORY").command else { panic!("not a HISTORY") };
    assert_eq!((ask.before, ask.limit), (Some(position(42, 0xa7)), 20));
    assert_eq!(read("PRESENCE").command, Ok(Command::Presence(Some(name("acme")))));
    assert_eq!(read("PING").command, Ok(Command::Ping));
}

#[test]
fn every_server_fixture_is_what_is_written() {
    let (acme, ann) = (TenantId::parse("acme").unwrap(), UserId::parse("ann").unwrap());
    let key = Key::parse("k-1").unwrap();
    let topics = [
        ("acme".into(), SubscribedTopic::Subscribed { position: position(41, 0xa6), recovered: false }),
        ("project:secret".into(), SubscribedTopic::Refused { error: Refusal::forbidden().into() }),
    ];
    let raw = RawValue::from_string(String::from_utf8(message()).unwrap()).unwrap();
    let users = [ann.clone(), UserId::parse("bob").unwrap()];
    let (own, news, project) = (name("acme"), [name("news")], name("project:apollo"));
    let frames = [
        ServerFrame::SubscriptionSuccessful {
            reference: Some("1"),
            text: &acme,
            user_id: &ann,
            expires_at: Some(1_764_003_600_000),
            keep_alive_ms: 25_000,
            topics: &topics,
            entry: SystemEntry::fresh(),
        },
        ServerFrame::UnsubscriptionSuccessful { reference: Some("2"), topics: &news },
        ServerFrame::Accepted {
            reference: Some("3"),
            position: position(42, 0xa7),
            offset: 42,
            entry: EntryRef { id: ID },
            duplicate: true,
            key: Some(&key),
        },
        ServerFrame::History { reference: Some("4"), topic: &own, entries: vec![raw], more: false },
        ServerFrame::Presence { reference: Some("5"), topic: &own, users: &users },
        ServerFrame::Pong { reference: Some("6") },
        ServerFrame::Position { topic: &own, position: position(42, 0xa7), offset: 42 },
        ServerFrame::Reset { topic: &own, reason: ResetReason::Retention, position: position(42, 0xa7) },
        ServerFrame::Unsubscribed { topic: &project, reason: "FORBIDDEN" },
        ServerFrame::Error {
            reference: Some("7"),
            topic: Some(own.as_str()),
            refusal: Refusal::unavailable(1000).into(),
        },
        ServerFrame::Reconnect { after_ms: 1500 },
        ServerFrame::TerminateConnection { text: TerminateReason::InvalidToken, entry: SystemEntry::fresh() },
    ];
    for frame in &frames {
        let json = frame.encode();
        let kind: Value = serde_json::from_slice(&json).unwrap();
        assert_written(kind["type"].as_str().unwrap(), &json);
    }
    assert_written("MESSAGE", &message());
    let signal = Signal {
        topic: Topic::of_tenant(&acme),
        author: Some(ann),
        named_project: None,
        content: Content::body(&serde_json::json!({"typing": true})).unwrap(),
    };
    assert_written("SIGNAL", &encode_signal(&signal));
}
