//! What the RFC forbids from one frame to the next, and how early it is refused.

mod support;

use antiphon_ws::Opcode::{Binary, Close, Continuation, Ping, Pong, Text};
use antiphon_ws::{Decoder, Error, Event, Rules, client};
use support::{Heard, feed, hear, hear_singly, refusal};

fn rules() -> Rules {
    Rules::default()
}

#[test]
fn a_continuation_needs_a_message_and_a_message_needs_the_last_one_to_be_whole() {
    for stream in [
        client::frame(Continuation, b"x"),
        client::fragment(Continuation, false, b""),
        [client::frame(Text, b"x"), client::frame(Continuation, b"y")].concat(),
        [client::fragment(Text, false, b"x"), client::frame(Text, b"y")].concat(),
        [client::fragment(Text, false, b""), client::fragment(Binary, false, b"")].concat(),
    ] {
        assert_eq!(refusal(rules(), &stream).close_code(), 1002, "{stream:02x?}");
    }
}

#[test]
fn text_is_refused_at_the_byte_that_spoils_it_not_at_the_end_of_its_frame() {
    let payload = b"\xCE\xBA\xE1\xBD\xB9\xCF\x83\xCE\xBC\xCE\xB5\xF4\x90\x80\x80edited";
    let frame = client::frame(Text, payload);
    let spoilt_at = frame.len() - payload.len() + 12;
    let mut decoder = Decoder::new();
    let mut heard = Heard { events: Vec::new(), error: None };
    assert!(!feed(&mut decoder, rules(), &frame[..spoilt_at], &mut heard));
    assert!(feed(&mut decoder, rules(), &frame[spoilt_at..=spoilt_at], &mut heard));
    assert_eq!(heard.error, Some(Error::Utf8));
    assert_eq!(Error::Utf8.close_code(), 1007);
}

#[test]
fn a_character_may_be_cut_by_fragments_but_not_by_the_end_of_the_message() {
    let euro = "\u{20ac}".as_bytes();
    let begin = client::fragment(Text, false, &euro[..1]);
    let middle = [client::frame(Ping, b""), client::fragment(Continuation, false, &euro[1..2])].concat();
    let end = client::fragment(Continuation, true, &euro[2..]);
    let heard = hear_singly(rules(), &[&begin[..], &middle, &end].concat());
    assert_eq!(heard.events, [Event::Ping(b""[..].into()), Event::Text("\u{20ac}".into())]);
    let cut = client::fragment(Continuation, true, b"");
    assert_eq!(refusal(rules(), &[&begin[..], &middle, &cut].concat()), Error::Utf8);
    assert_eq!(refusal(rules(), &client::frame(Text, &euro[..2])), Error::Utf8);
}

#[test]
fn binary_need_not_be_text() {
    let stream = [client::frame(Binary, b"\xFF"), client::frame(Ping, b"\xFF"), client::frame(Pong, b"\xFE")];
    assert_eq!(
        hear(rules(), &stream.concat()).events,
        [Event::Binary(b"\xFF"[..].into()), Event::Ping(b"\xFF"[..].into()), Event::Pong(b"\xFE"[..].into())]
    );
}

#[test]
fn a_close_says_its_code_and_reason_or_is_refused() {
    assert_eq!(hear(rules(), &client::frame(Close, b"")).events, [Event::Close(None, "".into())]);
    assert_eq!(
        hear_singly(rules(), &client::close(4401, "late")).events,
        [Event::Close(Some(4401), "late".into())]
    );
    assert_eq!(refusal(rules(), &client::frame(Close, b"\x03")).close_code(), 1002);
    assert_eq!(refusal(rules(), &client::close(1005, "")).close_code(), 1002);
    assert_eq!(refusal(rules(), &client::frame(Close, b"\x03\xE8\xFF")).close_code(), 1007);
}

#[test]
fn a_head_is_refused_as_soon_as_the_byte_that_spoils_it_is_there() {
    for head in [&[0xC1][..], &[0x83], &[0x09], &[0x81, 0x00], &[0x89, 0xFE], &[0x88, 0x81]] {
        assert_eq!(refusal(rules(), head).close_code(), 1002, "{head:02x?}");
    }
}
