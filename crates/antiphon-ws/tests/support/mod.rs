//! Short arrangements: feed bytes to a decoder in any parts and see what it said, owned.

// Each test file compiles this module for itself and uses a part of it.
#![allow(dead_code, reason = "shared by several test files")]

use antiphon_ws::{Decoder, Error, Event, Rules};

/// What a whole stream came to: the events in order, and the error that ended it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Heard {
    pub events: Vec<Event<'static>>,
    pub error: Option<Error>,
}

/// An event that outlives its buffer.
pub fn owned(event: Event<'_>) -> Event<'static> {
    match event {
        Event::Text(text) => Event::Text(text.into_owned().into()),
        Event::Binary(bytes) => Event::Binary(bytes.into_owned().into()),
        Event::Ping(bytes) => Event::Ping(bytes.into_owned().into()),
        Event::Pong(bytes) => Event::Pong(bytes.into_owned().into()),
        Event::Close(code, reason) => Event::Close(code, reason.into_owned().into()),
    }
}

/// Feeds one input to a decoder; true once it has ended in an error.
pub fn feed(decoder: &mut Decoder, rules: Rules, bytes: &[u8], heard: &mut Heard) -> bool {
    let mut bytes = bytes.to_vec();
    let mut input = &mut bytes[..];
    loop {
        match decoder.next_event(rules, &mut input) {
            Ok(Some(event)) => heard.events.push(owned(event)),
            Ok(None) => {
                assert!(input.is_empty(), "no event although there are bytes left");
                return false;
            }
            Err(error) => {
                heard.error = Some(error);
                return true;
            }
        }
    }
}

/// What a new decoder hears of a stream that arrives in these parts.
pub fn hear_parts<'p>(rules: Rules, parts: impl IntoIterator<Item = &'p [u8]>) -> Heard {
    let mut decoder = Decoder::new();
    let mut heard = Heard { events: Vec::new(), error: None };
    for part in parts {
        if feed(&mut decoder, rules, part, &mut heard) {
            break;
        }
    }
    heard
}

/// What a new decoder hears of a stream that arrives at once.
pub fn hear(rules: Rules, bytes: &[u8]) -> Heard {
    hear_parts(rules, [bytes])
}

/// What a new decoder hears of a stream that arrives byte by byte.
pub fn hear_singly(rules: Rules, bytes: &[u8]) -> Heard {
    hear_parts(rules, bytes.chunks(1))
}

/// The error of a stream that must be refused, however it is split.
pub fn refusal(rules: Rules, bytes: &[u8]) -> Error {
    let heard = hear(rules, bytes);
    assert_eq!(heard, hear_singly(rules, bytes));
    heard.error.expect("refused")
}
