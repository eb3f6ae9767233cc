//! The connections of a shard, as the hub's pass and the sessions' acts see them: something to write to.

use std::{
    sync::{Arc, atomic::AtomicUsize},
    time::Instant,
};

use antiphon_hub::{Outlets, Taken};
use antiphon_node::{EndReason, Node};
use antiphon_protocol::CloseCode;
use antiphon_ws::encode;
use bytes::Bytes;
use slab::Slab;

use crate::{
    connection::Connection,
    post::{Address, Letters},
};

/// While corking, what one connection may gather before it is written all the same.
const CORK_BYTES_MAX: usize = 128 * 1024;

pub(crate) struct Links {
    pub node: Arc<Node>,
    pub letters: Arc<Letters>,
    pub connections: Slab<Connection>,
    /// What has ended in this turn, and why.
    pub ended: Vec<(usize, EndReason)>,
    /// What has said goodbye in this turn.
    pub goodbyes: Vec<usize>,
    /// Connections that gather over several topics, for one write at the pass's end.
    pub corked: Vec<usize>,
    pub is_corking: bool,
    /// Something was held back since the node could not verify who may have it.
    pub holds_back: bool,
    pub half_open: Arc<AtomicUsize>,
}

impl Links {
    pub fn address(&self, index: usize) -> Address {
        let generation = self.connections.get(index).map_or(0, |connection| connection.generation);
        Address { connection: index, generation }
    }

    /// Sends bytes behind what waits already.
    pub fn send(&mut self, index: usize, bytes: &Bytes) {
        let Some(connection) = self.connections.get_mut(index) else { return };
        if connection.closing_since.is_some() {
            return;
        }
        match connection.outlet.send(bytes) {
            Ok(taken) => drop(self.node.metrics().bytes_out.inc_by(taken as u64)),
            Err(_) => self.end(index, EndReason::Reset),
        }
    }

    /// Writes what waits, which may be entries: not behind a fallen fence.
    pub fn flush(&mut self, index: usize) {
        let may_deliver = self.may_deliver();
        let Some(connection) = self.connections.get_mut(index) else { return };
        if !may_deliver {
            return connection.outlet.hold();
        }
        match connection.outlet.flush() {
            Ok(taken) => drop(self.node.metrics().bytes_out.inc_by(taken as u64)),
            Err(_) => return self.end(index, EndReason::Reset),
        }
        if connection.closing_since.is_some() && !connection.outlet.is_blocked() {
            connection.outlet.socket.shutdown_write();
        }
    }

    pub fn uncork(&mut self) {
        self.is_corking = false;
        for index in std::mem::take(&mut self.corked) {
            self.flush(index);
        }
    }

    /// Says goodbye with this code.
    pub fn close(&mut self, index: usize, code: CloseCode, reason: EndReason) {
        let text = match code {
            CloseCode::Restart => "come back elsewhere",
            CloseCode::NoProgress => "nothing was taken for too long",
            CloseCode::TooManyFrames => "too many frames",
            CloseCode::Unsupported => "text frames only",
            _ => "",
        };
        self.say_goodbye(index, &encode::close_frame(code.number(), text), reason);
    }

    /// Sends a close frame and takes nothing more; the connection ends when the other side does, or soon.
    pub fn say_goodbye(&mut self, index: usize, frame: &Bytes, reason: EndReason) {
        self.send(index, frame);
        let Some(connection) = self.connections.get_mut(index) else { return };
        if connection.closing_since.is_some() {
            return;
        }
        connection.closing_since = Some(Instant::now());
        connection.unread = None;
        // What has gathered in a pass leaves first; its flush ends the socket.
        if connection.outlet.waiting_bytes() == 0 {
            connection.outlet.socket.shutdown_write();
        }
        // Counted with the reason it had when it said goodbye, whatever ends the socket.
        connection.reason = Some(reason);
        self.goodbyes.push(index);
    }

    /// The connection is over: it is taken out at the end of this turn.
    pub fn end(&mut self, index: usize, reason: EndReason) {
        if let Some(connection) = self.connections.get_mut(index) {
            let reason = connection.reason.unwrap_or(reason);
            if !connection.is_over {
                connection.is_over = true;
                self.ended.push((index, reason));
            }
        }
    }

    pub fn no_longer_half_open(&mut self, index: usize) {
        if let Some(connection) = self.connections.get_mut(index) {
            connection.half_open = None;
        }
    }
}

impl Outlets for Links {
    fn write(&mut self, index: usize, bytes: &Bytes) -> Taken {
        if !self.may_deliver() {
            return Taken::Blocked;
        }
        let Some(connection) = self.connections.get_mut(index) else { return Taken::All };
        if connection.outlet.is_blocked() {
            return Taken::Blocked;
        }
        self.node.metrics().deliveries.inc();
        let gathers = self.is_corking
            && connection.session.topic_count() > 1
            && connection.outlet.waiting_bytes() + bytes.len() < CORK_BYTES_MAX;
        if gathers && connection.closing_since.is_none() {
            if connection.outlet.waiting_bytes() == 0 {
                self.corked.push(index);
            }
            connection.outlet.keep(bytes.clone());
        } else {
            self.send(index, bytes);
        }
        Taken::All
    }
}
