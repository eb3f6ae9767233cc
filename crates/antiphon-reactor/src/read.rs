//! Reading: from a socket through the decoder to the session, as far as the session wants frames.

use std::{io::ErrorKind, time::Instant};

use antiphon_node::EndReason;
use antiphon_ws::{Error, Event, Opcode, Rules, encode};

use crate::shard::ShardThread;

/// How often one connection is read in a turn: then others have theirs.
const READS_PER_TURN: usize = 4;
/// How many of its frames are taken in a turn: small ones come by the thousand in one read.
const FRAMES_PER_TURN: usize = 64;

impl ShardThread {
    /// Reads a connection until it has nothing more, has had its turn, or its session wants to wait.
    pub(crate) fn read(&mut self, index: usize) {
        let mut buffer = std::mem::take(&mut self.buffer);
        self.frames_left = FRAMES_PER_TURN;
        for turn in 0.. {
            if self.frames_left == 0 {
                self.again.push(index);
                break;
            }
            let Some(connection) = self.links.connections.get_mut(index) else { break };
            if let Some(mut unread) = connection.unread.take() {
                let used = self.feed(index, &mut unread);
                if let Some(connection) = self.links.connections.get_mut(index)
                    && used < unread.len()
                {
                    unread.drain(..used);
                    connection.unread = Some(unread);
                    self.again.extend((self.frames_left == 0).then_some(index));
                    break;
                }
                continue;
            }
            if !connection.is_readable || !self.may_read(index) {
                break;
            }
            if turn >= READS_PER_TURN {
                self.again.push(index);
                break;
            }
            let Some(connection) = self.links.connections.get_mut(index) else { break };
            match connection.outlet.socket.read(&mut buffer) {
                Ok(0) => {
                    self.links.end(index, EndReason::Closed);
                    break;
                }
                Ok(len) => {
                    connection.last_heard = Instant::now();
                    connection.pinged_at = None;
                    let is_closing = connection.closing_since.is_some();
                    self.links.node.metrics().bytes_in.inc_by(len as u64);
                    if is_closing {
                        continue;
                    }
                    let used = self.feed(index, &mut buffer[..len]);
                    if used < len
                        && let Some(connection) = self.links.connections.get_mut(index)
                    {
                        connection.unread = Some(buffer[used..len].to_vec());
                        self.again.extend((self.frames_left == 0).then_some(index));
                        break;
                    }
                }
                Err(error) if error.kind() == ErrorKind::WouldBlock => {
                    connection.is_readable = false;
                    break;
                }
                Err(error) if error.kind() == ErrorKind::Interrupted => {}
                Err(_) => {
                    self.links.end(index, EndReason::Reset);
                    break;
                }
            }
        }
        self.buffer = buffer;
    }

    /// May this connection be read? Not while its session waits, or while its answers are not taken.
    pub(crate) fn may_read(&self, index: usize) -> bool {
        let Some(connection) = self.links.connections.get(index) else { return false };
        let node = &self.links.node;
        connection.closing_since.is_some()
            || (connection.session.wants_frames(node)
                && connection.outlet.waiting_bytes() < node.limits().answers_bytes)
    }

    pub(crate) fn wants_again(&mut self, index: usize) {
        let waits =
            self.links.connections.get(index).is_some_and(|held| held.is_readable || held.unread.is_some());
        if waits && self.may_read(index) {
            self.again.push(index);
        }
    }

    /// Gives bytes to the decoder and frames to the session; how many bytes were used.
    pub(crate) fn feed(&mut self, index: usize, bytes: &mut [u8]) -> usize {
        let len = bytes.len();
        let message_bytes_max = self.links.node.limits().frame_bytes;
        let rules = Rules { message_bytes_max, ..Rules::default() };
        let mut rest: &mut [u8] = bytes;
        loop {
            if !self.may_read(index) || self.frames_left == 0 {
                return len - rest.len();
            }
            let Some(connection) = self.links.connections.get_mut(index) else { return len };
            if connection.closing_since.is_some() {
                return len;
            }
            let mut decoder = std::mem::take(&mut connection.decoder);
            let event = decoder.next_event(rules, &mut rest);
            if matches!(event, Ok(Some(_))) {
                self.frames_left -= 1;
            }
            let goes_on = self.event(index, event);
            if let Some(connection) = self.links.connections.get_mut(index) {
                connection.decoder = decoder;
            }
            if !goes_on {
                return len;
            }
            if rest.is_empty() {
                return len;
            }
        }
    }

    pub(crate) fn event(&mut self, index: usize, event: Result<Option<Event<'_>>, Error>) -> bool {
        match event {
            Ok(None) | Ok(Some(Event::Pong(_))) => true,
            Ok(Some(Event::Text(text))) => {
                self.step(index, |session, node, _, acts| {
                    session.frame(node, &text, Self::wall(), acts);
                });
                true
            }
            Ok(Some(Event::Binary(_))) => {
                self.step(index, |session, node, _, acts| session.binary(node, acts));
                true
            }
            Ok(Some(Event::Ping(payload))) => {
                let mut answers = false;
                self.step(index, |session, node, _, acts| answers = session.ping(node, acts));
                // One pong at most waits: a blocked connection has something waiting already.
                if answers && self.links.connections.get(index).is_some_and(|held| !held.outlet.is_blocked())
                {
                    self.links.send(index, &encode::frame(Opcode::Pong, &payload));
                }
                true
            }
            Ok(Some(Event::Close(code, _))) => {
                let frame = match code {
                    Some(code) => encode::close_frame(code, ""),
                    None => encode::frame(Opcode::Close, b""),
                };
                self.links.say_goodbye(index, &frame, EndReason::Closed);
                false
            }
            Err(error) => {
                self.links.say_goodbye(
                    index,
                    &encode::close_frame(error.close_code(), &error.to_string()),
                    EndReason::Protocol,
                );
                false
            }
        }
    }
}
