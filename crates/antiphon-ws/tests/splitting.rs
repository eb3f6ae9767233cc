//! The network may cut a stream anywhere and a session may stop anywhere: neither may change what is heard.

#[path = "support/streams.rs"]
mod streams;
mod support;

use antiphon_ws::Opcode::{Binary, Continuation, Ping, Text};
use antiphon_ws::{Decoder, Event, Rules, client};
use proptest::prelude::*;
use std::borrow::Cow;
use support::{Heard, hear, hear_parts, hear_singly, owned};

const RULES: Rules = Rules { message_bytes_max: 70_000, fragments_max: 6, binary: true };

/// The parts between these cuts.
fn parts<'b>(bytes: &'b [u8], cuts: &[prop::sample::Index]) -> Vec<&'b [u8]> {
    let mut ends: Vec<usize> = cuts.iter().map(|cut| cut.index(bytes.len() + 1)).collect();
    ends.push(bytes.len());
    ends.sort_unstable();
    let mut from = 0;
    ends.into_iter().map(|to| &bytes[std::mem::replace(&mut from, to)..to]).collect()
}

/// Hears one event at a time: after each, what is left is put by and comes again with what arrives next.
fn hear_with_stops<'p>(arrivals: impl IntoIterator<Item = &'p [u8]>) -> Heard {
    let mut decoder = Decoder::new();
    let mut heard = Heard { events: Vec::new(), error: None };
    let mut kept: Vec<u8> = Vec::new();
    let mut arrivals = arrivals.into_iter();
    loop {
        let arrival = arrivals.next();
        kept.extend_from_slice(arrival.unwrap_or_default());
        let mut shared = kept.clone();
        let mut input = &mut shared[..];
        match decoder.next_event(RULES, &mut input) {
            Ok(Some(event)) => heard.events.push(owned(event)),
            Ok(None) if arrival.is_none() => return heard,
            Ok(None) => {}
            Err(error) => {
                heard.error = Some(error);
                return heard;
            }
        }
        let rest = input.len();
        assert_eq!(kept[kept.len() - rest..], *input, "the bytes behind an event are left as they came");
        kept.drain(..kept.len() - rest);
    }
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(2_000))]

    #[test]
    fn any_splitting_gives_the_same_events_and_the_same_error(
        bytes in prop_oneof![streams::stream(), streams::broken_stream()],
        cuts in prop::collection::vec(any::<prop::sample::Index>(), 0..12),
    ) {
        let whole = hear(RULES, &bytes);
        let parts = parts(&bytes, &cuts);
        prop_assert_eq!(&whole, &hear_parts(RULES, parts.iter().copied()));
        prop_assert_eq!(&whole, &hear_with_stops(parts));
        if bytes.len() < 4_096 {
            prop_assert_eq!(&whole, &hear_singly(RULES, &bytes));
        }
    }

    #[test]
    fn noise_never_panics_and_never_holds_more_than_twice_what_arrived(
        bytes in streams::broken_stream(),
        cuts in prop::collection::vec(any::<prop::sample::Index>(), 0..6),
    ) {
        let mut decoder = Decoder::new();
        let mut heard = Heard { events: Vec::new(), error: None };
        let mut arrived = 0;
        for part in parts(&bytes, &cuts) {
            arrived += part.len();
            if support::feed(&mut decoder, RULES, part, &mut heard) {
                break;
            }
            prop_assert!(decoder.held_bytes() <= 2 * arrived + 160, "{} of {arrived}", decoder.held_bytes());
        }
        prop_assert_eq!(decoder.has_ended(), heard.error.is_some()
            || matches!(heard.events.last(), Some(Event::Close(..))));
    }
}

#[test]
fn a_frame_that_lies_whole_in_the_input_is_lent_and_not_copied() {
    let mut bytes = [client::frame(Text, "gr\u{fc}n".as_bytes()), client::frame(Binary, &[7; 300])].concat();
    let lies_in = bytes.as_ptr_range();
    let mut decoder = Decoder::new();
    let mut input = &mut bytes[..];
    let Ok(Some(Event::Text(Cow::Borrowed(text)))) = decoder.next_event(RULES, &mut input) else {
        panic!("not lent")
    };
    assert_eq!(text, "gr\u{fc}n");
    assert!(lies_in.contains(&text.as_ptr()));
    let Ok(Some(Event::Binary(Cow::Borrowed(bytes)))) = decoder.next_event(RULES, &mut input) else {
        panic!("not lent")
    };
    assert_eq!(bytes, [7; 300]);
    assert_eq!((decoder.held_bytes(), decoder.is_idle()), (0, true));
}

#[test]
fn nothing_is_held_once_a_message_is_whole() {
    let bytes = [
        client::fragment(Text, false, b"one "),
        client::frame(Ping, b"between"),
        client::fragment(Continuation, true, b"two"),
    ]
    .concat();
    for cut in 0..=bytes.len() {
        let mut decoder = Decoder::new();
        let mut heard = Heard { events: Vec::new(), error: None };
        support::feed(&mut decoder, RULES, &bytes[..cut], &mut heard);
        assert_eq!(decoder.held_bytes() > 0, cut > 0 && cut < bytes.len(), "cut at {cut}");
        support::feed(&mut decoder, RULES, &bytes[cut..], &mut heard);
        assert_eq!((decoder.held_bytes(), decoder.is_idle()), (0, true), "cut at {cut}");
        assert_eq!(heard.events, [Event::Ping(b"between"[..].into()), Event::Text("one two".into())]);
    }
}
