//! Many clients of one node: sockets that are looked at without waiting, one after the other.

#![allow(dead_code, missing_docs, clippy::unwrap_used)]

use std::{
    io::{ErrorKind, Read, Write},
    os::unix::net::UnixStream,
    time::{Duration, Instant},
};

use antiphon_reactor::{Accepted, RawSocket};
use antiphon_session::Opening;
use antiphon_ws::{Opcode, client};
use serde_json::Value;

use crate::support::Running;

pub const PATIENCE: Duration = Duration::from_secs(40);

/// One client.
pub struct Ear {
    socket: UnixStream,
    bytes: Vec<u8>,
    /// Texts that came and nobody has taken yet.
    pub heard: Vec<String>,
    /// The code of the node's close frame.
    pub closed: Option<u16>,
    /// The node has ended the connection.
    pub is_over: bool,
}

impl Ear {
    pub fn connect(node: &Running) -> Self {
        let (here, there) = UnixStream::pair().unwrap();
        let opening = Opening::default();
        node.reactor.accept(Accepted {
            socket: RawSocket::Unix(there),
            read: bytes::Bytes::new(),
            opening,
            place: None,
        });
        here.set_nonblocking(true).unwrap();
        Self { socket: here, bytes: Vec::new(), heard: Vec::new(), closed: None, is_over: false }
    }

    /// Says a short frame: a socket's buffer takes it.
    pub fn say(&mut self, frame: &Value) {
        self.socket.write_all(&client::frame(Opcode::Text, frame.to_string().as_bytes())).unwrap();
    }

    /// Takes in what is there, without waiting.
    pub fn listen(&mut self) {
        let mut chunk = [0; 64 * 1024];
        while !self.is_over {
            match self.socket.read(&mut chunk) {
                Ok(0) => self.is_over = true,
                Ok(len) => self.bytes.extend_from_slice(&chunk[..len]),
                Err(error) if error.kind() == ErrorKind::WouldBlock => break,
                Err(_) => self.is_over = true,
            }
        }
        let mut at = 0;
        while let Some((opcode, payload, next)) = frame_at(&self.bytes, at) {
            assert_eq!(self.closed, None, "a frame behind the close frame");
            match (opcode, payload) {
                (1, text) => self.heard.push(String::from_utf8(text.to_vec()).unwrap()),
                (8, [high, low, ..]) => self.closed = Some(u16::from_be_bytes([*high, *low])),
                (8, _) => self.closed = Some(1005),
                _ => {}
            }
            at = next;
        }
        self.bytes.drain(..at);
    }
}

fn frame_at(bytes: &[u8], at: usize) -> Option<(u8, &[u8], usize)> {
    let [first, second, ..] = *bytes.get(at..)? else { return None };
    let (len, head) = match second {
        126 => (u16::from_be_bytes(bytes.get(at + 2..at + 4)?.try_into().ok()?) as usize, 4),
        127 => (u64::from_be_bytes(bytes.get(at + 2..at + 10)?.try_into().ok()?) as usize, 10),
        len => (len as usize, 2),
    };
    let end = at + head + len;
    Some((first & 0xf, bytes.get(at + head..end)?, end))
}

/// The text of a MESSAGE frame that says a number; none for any other frame.
pub fn number_said(frame: &str) -> Option<usize> {
    let rest = frame.strip_prefix(r#"{"type":"MESSAGE","text":""#)?;
    rest[..rest.find('"')?].parse().ok()
}

/// Looks at all of them again and again until it holds.
#[track_caller]
pub fn listen_until(ears: &mut [Ear], what: &str, mut holds: impl FnMut(&mut [Ear]) -> bool) {
    let until = Instant::now() + PATIENCE;
    loop {
        ears.iter_mut().for_each(Ear::listen);
        if holds(ears) {
            return;
        }
        assert!(Instant::now() < until, "never: {what}");
        // poll: a sweep over all sockets.
        std::thread::sleep(Duration::from_millis(2));
    }
}

/// What makes a run another one than the last; `TESTKIT_SEED` makes it the same again.
pub fn seed() -> u64 {
    let given = std::env::var("TESTKIT_SEED").ok().and_then(|seed| seed.parse().ok());
    let seed = given.unwrap_or_else(rand::random);
    println!("TESTKIT_SEED={seed}");
    seed
}

/// Numbers that the seed decides (SplitMix64).
pub struct Random(pub u64);

impl Random {
    pub fn below(&mut self, bound: u64) -> u64 {
        self.0 = self.0.wrapping_add(0x9e37_79b9_7f4a_7c15);
        let mut mixed = self.0;
        mixed = (mixed ^ (mixed >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
        mixed = (mixed ^ (mixed >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
        (mixed ^ (mixed >> 31)) % bound
    }
}
