//! tungstenite as a second opinion: each decodes what the other encodes, and both refuse the same streams. Known and
//! wanted differences: we insist on the shortest form of a length, refuse before a frame is whole, refuse a bad close
//! code where tungstenite reports it as a close with 1002, and know the registered code 1014 that it refuses.

#[path = "support/streams.rs"]
mod streams;
mod support;

use std::io::{self, Cursor, Read, Write};

use antiphon_ws::{Error, Event, Opcode, Rules, encode};
use proptest::prelude::*;
use support::{Heard, hear};
use tungstenite::protocol::{CloseFrame, Role, WebSocketConfig};
use tungstenite::{Message, WebSocket};

const RULES: Rules = Rules { message_bytes_max: 70_000, fragments_max: u32::MAX, binary: true };

/// A socket whose peer has said all it will say and doesn't listen.
struct Wire {
    arrived: Cursor<Vec<u8>>,
    sent: Vec<u8>,
}

impl Wire {
    fn new(arrived: Vec<u8>) -> Self {
        Self { arrived: Cursor::new(arrived), sent: Vec::new() }
    }
}

impl Read for Wire {
    fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        self.arrived.read(buffer)
    }
}

impl Write for Wire {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        self.sent.write(bytes)
    }

    fn flush(&mut self) -> io::Result<()> {
        Ok(())
    }
}

/// What tungstenite hears in this role, and whether it refused rather than came to the end.
fn oracle_hears(role: Role, bytes: &[u8]) -> (Vec<Event<'static>>, bool) {
    let config = WebSocketConfig::default()
        .max_message_size(Some(RULES.message_bytes_max))
        .max_frame_size(Some(RULES.message_bytes_max));
    let mut socket = WebSocket::from_raw_socket(Wire::new(bytes.to_vec()), role, Some(config));
    let mut events = Vec::new();
    loop {
        match socket.read() {
            Ok(Message::Text(text)) => events.push(Event::Text(text.as_str().to_owned().into())),
            Ok(Message::Binary(bytes)) => events.push(Event::Binary(bytes.to_vec().into())),
            Ok(Message::Ping(bytes)) => events.push(Event::Ping(bytes.to_vec().into())),
            Ok(Message::Pong(bytes)) => events.push(Event::Pong(bytes.to_vec().into())),
            Ok(Message::Close(Some(close))) if is_refusal(&close) => return (events, true),
            Ok(Message::Close(close)) => {
                let (code, reason) = match close {
                    Some(close) => (Some(close.code.into()), close.reason.as_str().to_owned()),
                    None => (None, String::new()),
                };
                events.push(Event::Close(code, reason.into()));
                return (events, false);
            }
            Ok(Message::Frame(_)) => unreachable!("never read"),
            Err(tungstenite::Error::Protocol(
                tungstenite::error::ProtocolError::ResetWithoutClosingHandshake,
            )) => return (events, false),
            Err(_) => return (events, true),
        }
    }
}

/// What we hear, with a close of code 1014 taken for the refusal that it is to the oracle.
fn we_hear(bytes: &[u8]) -> Heard {
    let mut heard = hear(RULES, bytes);
    if let Some(Event::Close(Some(1014), _)) = heard.events.last() {
        heard.events.pop();
        heard.error = Some(Error::Protocol("close code is not known to the oracle"));
    }
    heard
}

fn is_refusal(close: &CloseFrame) -> bool {
    u16::from(close.code) == 1002 && close.reason.as_str() == "Protocol violation"
}

/// Payloads of few and of many bytes, around the lengths where the head changes.
fn binary() -> impl Strategy<Value = Vec<u8>> {
    let length = prop_oneof![8 => 0..200usize, 1 => 0xFFF0..0x1_0010usize];
    (length, prop::collection::vec(any::<u8>(), 1..40))
        .prop_map(|(length, pattern)| pattern.into_iter().cycle().take(length).collect())
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(4_000))]

    #[test]
    fn both_hear_the_same_of_whole_frames_and_refuse_the_same(bytes in streams::stream()) {
        let ours = we_hear(&bytes);
        let (events, refused) = oracle_hears(Role::Server, &bytes);
        prop_assert_eq!(&ours.events, &events);
        prop_assert_eq!(ours.error.is_some(), refused, "{:?}", ours.error);
    }

    #[test]
    fn of_broken_streams_we_refuse_at_least_what_the_oracle_refuses(bytes in streams::broken_stream()) {
        let Heard { events: ours, error } = we_hear(&bytes);
        let (events, refused) = oracle_hears(Role::Server, &bytes);
        // A control frame whose short length stands in a long form is refused at its second byte.
        let is_long_form = |error| {
            let words = ["length is not in its shortest form", "control frame is too long"];
            words.iter().any(|text| error == Error::Protocol(text))
        };
        if error.is_some_and(is_long_form) {
            prop_assert!(events.starts_with(&ours));
        } else {
            prop_assert_eq!(ours, events);
            prop_assert!(error.is_some() || !refused);
        }
    }

    #[test]
    fn the_oracle_reads_what_we_encode(
        text in "\\PC{0,200}",
        bytes in binary(),
        control in prop::collection::vec(any::<u8>(), 0..=125),
        code in prop_oneof![1000..=1003u16, 1007..=1013u16, 3000..=4999u16],
        reason in "\\PC{0,60}",
    ) {
        let mut stream = Vec::new();
        encode::push_frame(&mut stream, Opcode::Text, text.as_bytes());
        encode::push_frame(&mut stream, Opcode::Ping, &control);
        stream.extend_from_slice(&encode::frame(Opcode::Binary, &bytes));
        stream.extend_from_slice(&encode::frame(Opcode::Pong, &control));
        stream.extend_from_slice(&encode::close_frame(code, &reason));
        let (events, refused) = oracle_hears(Role::Client, &stream);
        prop_assert!(!refused);
        prop_assert_eq!(&events[..4], &[
            Event::Text(text.into()),
            Event::Ping(control.clone().into()),
            Event::Binary(bytes.into()),
            Event::Pong(control.into()),
        ]);
        let Event::Close(heard_code, heard_reason) = &events[4] else { panic!("{:?}", events[4]) };
        prop_assert_eq!(*heard_code, Some(code));
        prop_assert!(reason.starts_with(&**heard_reason) && (heard_reason.len() > 119 || **heard_reason == *reason));
    }

    #[test]
    fn we_read_what_the_oracle_encodes(
        text in "\\PC{0,200}",
        bytes in binary(),
        control in prop::collection::vec(any::<u8>(), 0..=125),
    ) {
        let mut socket = WebSocket::from_raw_socket(Wire::new(Vec::new()), Role::Client, None);
        for message in [
            Message::text(text.clone()),
            Message::Ping(control.clone().into()),
            Message::binary(bytes.clone()),
        ] {
            socket.send(message).expect("the wire takes all");
        }
        let close = CloseFrame { code: 4000.into(), reason: "done".into() };
        socket.close(Some(close)).expect("the wire takes all");
        let heard = hear(RULES, &socket.get_ref().sent);
        prop_assert_eq!(heard.error, None);
        prop_assert_eq!(heard.events, vec![
            Event::Text(text.into()),
            Event::Ping(control.into()),
            Event::Binary(bytes.into()),
            Event::Close(Some(4000), "done".into()),
        ]);
    }
}
