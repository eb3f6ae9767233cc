//! What time brings: the wheel's turns, positions to be told, and a drain's batches.

use std::{
    sync::Arc,
    time::{Duration, Instant},
};

use antiphon_node::EndReason;
use antiphon_protocol::{CloseCode, ServerFrame};
use antiphon_ws::{Opcode, encode};
use bytes::Bytes;
use rand::RngExt;

use crate::{
    drain::Drain,
    outlet::Outlet,
    shard::{GOODBYE, ShardThread},
    timer::TICK,
};

impl ShardThread {
    pub(crate) fn tick(&mut self) {
        let now = Instant::now();
        let mut due = Vec::new();
        self.wheel.due(now, &mut due);
        for (index, tick) in due {
            if self.links.connections.get(index).is_some_and(|held| held.armed_at == tick) {
                self.look_at(index, now);
            }
        }
        if self.told_positions.elapsed() >= self.limits().position_interval {
            self.tell_positions();
            for (index, key) in self.hub.doubt_who_is_ahead() {
                self.ask_page(index, key);
            }
        }
        self.go_on_draining(now);
        self.let_go();
    }

    pub(crate) fn tell_positions(&mut self) {
        if !self.links.may_deliver() {
            return;
        }
        self.told_positions = Instant::now();
        let links = &mut self.links;
        let mut made: Option<(usize, Bytes)> = None;
        self.hub.untold(|index, feed, position| {
            let of = Arc::as_ptr(feed).addr();
            let frame = match &made {
                Some((held, frame)) if *held == of => frame.clone(),
                _ => {
                    let offset = position.offset;
                    let json =
                        ServerFrame::Position { topic: feed.topic().name(), position, offset }.encode();
                    encode::frame(Opcode::Text, &json)
                }
            };
            made = Some((of, frame.clone()));
            let may_deliver = links.may_deliver();
            if may_deliver {
                links.send(index, &frame);
            }
            may_deliver
        });
    }

    /// Looks at the times of one connection, and arms it for the next one.
    fn look_at(&mut self, index: usize, now: Instant) {
        let limits = self.limits();
        let is_read = self.may_read(index);
        let Some(connection) = self.links.connections.get_mut(index) else { return };
        if let Some(since) = connection.closing_since {
            if now.duration_since(since) >= GOODBYE {
                return self.links.end(index, EndReason::Closed);
            }
            return self.arm(index, since + GOODBYE);
        }
        let holds_back = self.links.holds_back && connection.outlet.is_blocked();
        if holds_back {
            // It is we who wait.
            connection.outlet.stuck_since = Some(now);
        }
        let is_stuck = |outlet: &Outlet| {
            outlet.stuck_since.is_some_and(|since| since.elapsed() >= limits.progress_timeout)
        };
        if is_stuck(&connection.outlet) {
            // A socket says that it takes something again only when much of its buffer is free, which one who reads slowly may
            // not reach in that time: whether it has taken nothing only a try tells.
            self.flush(index);
            let Some(connection) = self.links.connections.get(index) else { return };
            if is_stuck(&connection.outlet) {
                return self.links.close(index, CloseCode::NoProgress, EndReason::NoProgress);
            }
        }
        let Some(connection) = self.links.connections.get_mut(index) else { return };
        if !is_read || connection.outlet.is_blocked() {
            // Its pong may be waiting where we don't read, and our ping behind what it has not read or what we hold back: how
            // long that may take is the progress's time.
            (connection.last_heard, connection.pinged_at) = (now, None);
        }
        if connection.pinged_at.is_some_and(|since| since.elapsed() >= limits.pong_timeout) {
            return self.links.end(index, EndReason::Silent);
        }
        if connection.pinged_at.is_none() && connection.last_heard.elapsed() >= limits.keep_alive {
            connection.pinged_at = Some(now);
            self.links.send(index, &Bytes::from_static(&[0x89, 0]));
        }
        let mut until_ms = None;
        self.step(index, |session, node, _, acts| until_ms = session.tick(node, Self::wall(), acts));
        let Some(connection) = self.links.connections.get(index) else { return };
        let mut next = connection.last_heard + limits.keep_alive;
        if let Some(since) = connection.pinged_at {
            next = since + limits.pong_timeout;
        }
        if let Some(since) = connection.outlet.stuck_since {
            next = next.min(since + limits.progress_timeout);
        }
        if let Some(until_ms) = until_ms {
            let left = u64::try_from(until_ms - Self::wall()).unwrap_or(0);
            next = next.min(now + Duration::from_millis(left));
        }
        self.arm(index, next);
    }

    /// Has a connection looked at at this time at the latest.
    pub(crate) fn arm(&mut self, index: usize, due: Instant) {
        let Some(connection) = self.links.connections.get_mut(index) else { return };
        connection.armed_at = self.wheel.arm(index, due);
    }

    pub(crate) fn begin_drain(&mut self, window: Duration) {
        self.tell_positions();
        let rest: Vec<usize> = self.links.connections.iter().map(|(index, _)| index).collect();
        let steps = (window.as_millis() / TICK.as_millis()).max(1) as usize;
        let batch = rest.len().div_ceil(steps).max(1);
        self.drain = Some(Drain { started: Instant::now(), window, rest, batch });
    }

    fn go_on_draining(&mut self, now: Instant) {
        let Some(mut drain) = self.drain.take() else { return };
        let is_over = now.duration_since(drain.started) >= drain.window;
        let left = drain.window.saturating_sub(now.duration_since(drain.started));
        for _ in 0..drain.batch.min(drain.rest.len()) {
            let Some(index) = drain.rest.pop() else { break };
            let after_ms = rand::rng().random_range(0..=(left.as_millis() as u64 / 2));
            self.step(index, |session, _, _, acts| session.reconnect(after_ms, acts));
        }
        if is_over {
            for index in self.links.connections.iter().map(|(index, _)| index).collect::<Vec<_>>() {
                self.links.close(index, CloseCode::Restart, EndReason::Restart);
            }
        }
        self.drain = Some(drain);
    }
}
