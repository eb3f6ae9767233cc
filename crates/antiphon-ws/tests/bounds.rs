//! What a hostile client can make us hold or do: as much as arrived, up to the rules, and nothing for a promise.

mod support;

use antiphon_ws::Opcode::{Binary, Close, Continuation, Ping, Text};
use antiphon_ws::{Decoder, Error, Event, Rules, client};
use support::{Heard, feed, hear, refusal};

const RULES: Rules = Rules { message_bytes_max: 1_000, fragments_max: 16, binary: true };

#[test]
fn a_length_over_the_limit_is_refused_at_its_head_and_holds_nothing() {
    for declared in [1_001, 1 << 31, (1 << 32) + 5, (1 << 63) - 1] {
        for opcode in [Text, Binary] {
            let head = client::header(opcode, true, client::MASK, declared);
            assert_eq!(refusal(RULES, &head), Error::TooBig, "{declared}");
            assert_eq!(refusal(RULES, &head).close_code(), 1009);
            let mut decoder = Decoder::new();
            let mut heard = Heard { events: Vec::new(), error: None };
            feed(&mut decoder, RULES, &head, &mut heard);
            assert_eq!(decoder.held_bytes(), 0);
        }
    }
}

#[test]
fn a_declared_length_within_the_limit_holds_only_what_arrived() {
    let rules = Rules { message_bytes_max: 1 << 40, ..RULES };
    let mut decoder = Decoder::new();
    let mut heard = Heard { events: Vec::new(), error: None };
    feed(&mut decoder, rules, &client::header(Binary, true, client::MASK, 1 << 40), &mut heard);
    feed(&mut decoder, rules, &[0; 100], &mut heard);
    assert!(decoder.held_bytes() < 400, "{}", decoder.held_bytes());
}

#[test]
fn a_message_of_exactly_the_limit_is_taken_and_one_byte_more_is_not() {
    for fragments in [1, 2, 7, 16] {
        for (bytes, taken) in [(1_000, true), (1_001, false)] {
            let payload = vec![b'a'; bytes];
            let parts: Vec<&[u8]> = payload.chunks(bytes.div_ceil(fragments)).collect();
            let stream: Vec<u8> = parts
                .iter()
                .enumerate()
                .flat_map(|(at, part)| {
                    let opcode = if at == 0 { Text } else { Continuation };
                    client::fragment(opcode, at + 1 == parts.len(), part)
                })
                .collect();
            let heard = hear(RULES, &stream);
            assert_eq!(heard.error, if taken { None } else { Some(Error::TooBig) }, "{bytes} in {fragments}");
            assert_eq!(heard.events.len(), usize::from(taken));
        }
    }
}

#[test]
fn a_flood_of_empty_fragments_ends_at_the_bound() {
    let mut stream = client::fragment(Text, false, b"");
    let empty = client::fragment(Continuation, false, b"");
    let mut decoder = Decoder::new();
    let mut heard = Heard { events: Vec::new(), error: None };
    assert!(!feed(&mut decoder, RULES, &stream, &mut heard));
    let mut sent = 1;
    while sent < 1_000_000 && !feed(&mut decoder, RULES, &empty, &mut heard) {
        sent += 1;
    }
    assert_eq!(sent, 16, "the seventeenth is refused");
    assert_eq!(heard.error, Some(Error::TooManyFragments));
    assert_eq!(Error::TooManyFragments.close_code(), 1009);
    for _ in 0..1_000_000 {
        stream.extend_from_slice(&empty);
    }
    assert_eq!(hear(RULES, &stream).error, Some(Error::TooManyFragments));
}

#[test]
fn control_frames_between_fragments_count_neither_as_fragments_nor_as_bytes() {
    let mut stream = client::fragment(Text, false, &[b'a'; 500]);
    for _ in 0..100 {
        stream.extend(client::frame(Ping, &[b'p'; 125]));
    }
    stream.extend(client::fragment(Continuation, true, &[b'b'; 500]));
    let heard = hear(RULES, &stream);
    assert_eq!((heard.events.len(), heard.error), (101, None));
}

#[test]
fn a_door_without_binary_refuses_it_before_its_payload() {
    let rules = Rules { binary: false, ..RULES };
    let error = refusal(rules, &client::header(Binary, true, client::MASK, 10));
    assert_eq!((error, error.close_code()), (Error::Binary, 1003));
    assert_eq!(hear(rules, &client::frame(Text, b"ok")).events, [Event::Text("ok".into())]);
}

#[test]
fn nothing_counts_after_a_close_or_an_error() {
    for end in [client::frame(Close, b""), vec![0xFF]] {
        let mut decoder = Decoder::new();
        let mut heard = Heard { events: Vec::new(), error: None };
        feed(&mut decoder, RULES, &client::fragment(Text, false, b"held"), &mut heard);
        feed(&mut decoder, RULES, &end, &mut heard);
        assert!(decoder.has_ended() && decoder.held_bytes() == 0);
        let events = heard.events.len();
        assert!(!feed(&mut decoder, RULES, &client::frame(Text, b"more"), &mut heard));
        assert!(!feed(&mut decoder, RULES, &[0xFF; 20], &mut heard));
        assert_eq!(heard.events.len(), events);
    }
}
