//! One shard: a thread with its own poll. A turn reads what has come, takes the posts, and ends with the pass.

use std::{
    io::{self, ErrorKind},
    sync::{
        Arc,
        atomic::{AtomicUsize, Ordering},
    },
    time::{Duration, Instant},
};

use antiphon_core::Limits;
use antiphon_hub::{Shard, SubscriberKey};
use antiphon_node::{Catchup, EndReason, Node};
use antiphon_protocol::{CloseCode, ServerFrame};
use antiphon_session::{Act, Session};
use antiphon_ws::{Decoder, Error, Event, Opcode, Rules, encode};
use bytes::Bytes;
use mio::{Events, Poll, Token};
use rand::RngExt;
use slab::Slab;

use crate::{
    connection::Connection,
    links::Links,
    outlet::Outlet,
    post::{Accepted, Address, Letters, Post},
    socket::Socket,
    step::Places,
    timer::{TICK, Wheel},
};

const WAKER: Token = Token(usize::MAX);
/// The buffer that all connections of a shard are read into.
const READ_BYTES: usize = 64 * 1024;
/// How often one connection is read in a turn: then others have theirs.
const READS_PER_TURN: usize = 4;
/// How long a connection that said goodbye may take to end.
const GOODBYE: Duration = Duration::from_secs(2);

pub(crate) struct ShardThread {
    poll: Poll,
    pub links: Links,
    pub hub: Shard,
    wheel: Wheel,
    buffer: Vec<u8>,
    /// Connections with more to read than a turn allows, or whose session wants frames again.
    again: Vec<usize>,
    fallen: Vec<(usize, SubscriberKey)>,
    pub acts: Vec<Act>,
    generation: u32,
    told_positions: Instant,
    drain: Option<Drain>,
    is_killed: bool,
}

struct Drain {
    started: Instant,
    window: Duration,
    /// Those that have not been asked to leave yet.
    rest: Vec<usize>,
    batch: usize,
}

impl ShardThread {
    pub fn new(node: Arc<Node>, half_open: Arc<AtomicUsize>) -> io::Result<Self> {
        let poll = Poll::new()?;
        let letters = Letters::new(mio::Waker::new(poll.registry(), WAKER)?);
        let (index, mailbox) = node.hub().add_shard(letters.clone());
        let links = Links {
            node,
            letters,
            connections: Slab::new(),
            ended: Vec::new(),
            goodbyes: Vec::new(),
            corked: Vec::new(),
            is_corking: false,
            half_open,
        };
        Ok(Self {
            poll,
            links,
            hub: Shard::new(index, mailbox),
            wheel: Wheel::new(Instant::now()),
            buffer: vec![0; READ_BYTES],
            again: Vec::new(),
            fallen: Vec::new(),
            acts: Vec::new(),
            generation: 0,
            told_positions: Instant::now(),
            drain: None,
            is_killed: false,
        })
    }

    pub fn letters(&self) -> &Arc<Letters> {
        &self.links.letters
    }

    fn limits(&self) -> Limits {
        self.links.node.limits().clone()
    }

    pub fn run(mut self) {
        let mut events = Events::with_capacity(1024);
        let mut next_tick = Instant::now();
        while !self.is_killed {
            let now = Instant::now();
            let wait =
                if self.again.is_empty() { next_tick.saturating_duration_since(now) } else { Duration::ZERO };
            if let Err(error) = self.poll.poll(&mut events, Some(wait))
                && error.kind() != ErrorKind::Interrupted
            {
                tracing::error!(%error, "a shard's poll failed");
            }
            for event in &events {
                if event.token() == WAKER {
                    continue;
                }
                let index = event.token().0;
                if event.is_writable() {
                    self.flush(index);
                }
                if event.is_readable() || event.is_read_closed() || event.is_error() {
                    if let Some(connection) = self.links.connections.get_mut(index) {
                        connection.is_readable = true;
                    }
                    self.read(index);
                }
            }
            for index in std::mem::take(&mut self.again) {
                self.read(index);
            }
            for post in self.links.letters.take() {
                self.take(post);
            }
            self.take_changes();
            self.pass();
            if Instant::now() >= next_tick {
                self.tick();
                next_tick = Instant::now() + TICK;
            }
            self.bury();
        }
        for index in self.links.connections.iter().map(|(index, _)| index).collect::<Vec<_>>() {
            self.links.end(index, EndReason::Restart);
        }
        self.bury();
    }

    fn take(&mut self, post: Post) {
        match post {
            Post::Accept(accepted) => self.accept(*accepted),
            Post::Answer(to, answer) => {
                if self.is_there(to) {
                    self.step(to.connection, |session, node, _, acts| {
                        session.answer(node, answer, Self::wall(), acts);
                    });
                    self.wants_again(to.connection);
                }
            }
            Post::Page(to, key, page) => self.take_page(to, key, page),
            Post::Drain(window) => self.begin_drain(window),
            Post::Kill => self.is_killed = true,
        }
    }

    fn is_there(&self, to: Address) -> bool {
        self.links.connections.get(to.connection).is_some_and(|held| held.generation == to.generation)
    }

    fn accept(&mut self, accepted: Accepted) {
        let Accepted { socket, read, opening } = accepted;
        let now = Instant::now();
        self.generation = self.generation.wrapping_add(1);
        let entry = self.links.connections.vacant_entry();
        let index = entry.key();
        let registered = Socket::new(socket)
            .and_then(|mut socket| socket.register(self.poll.registry(), Token(index)).map(|()| socket));
        let socket = match registered {
            Ok(socket) => socket,
            Err(error) => {
                tracing::warn!(%error, "a connection could not be taken over");
                self.links.letters.connections.fetch_sub(1, Ordering::Relaxed);
                return;
            }
        };
        let is_known = opening.caller.is_some();
        entry.insert(Connection {
            generation: self.generation,
            outlet: Outlet::new(socket),
            decoder: Decoder::new(),
            session: Session::new(opening, Self::wall()),
            unread: (!read.is_empty()).then(|| read.to_vec()),
            is_readable: true,
            reads_page: false,
            last_heard: now,
            pinged_at: None,
            closing_since: None,
            is_half_open: !is_known,
            is_over: false,
            reason: None,
            armed_at: u64::MAX,
        });
        let metrics = self.links.node.metrics();
        metrics.connections.inc();
        if is_known {
            metrics.identified.inc();
        } else {
            self.links.half_open.fetch_add(1, Ordering::Relaxed);
        }
        self.arm(index, now + TICK);
        self.read(index);
    }

    /// Reads a connection until it has nothing more, has had its turn, or its session wants to wait.
    fn read(&mut self, index: usize) {
        let mut buffer = std::mem::take(&mut self.buffer);
        for turn in 0.. {
            let Some(connection) = self.links.connections.get_mut(index) else { break };
            if let Some(mut unread) = connection.unread.take() {
                let used = self.feed(index, &mut unread);
                if let Some(connection) = self.links.connections.get_mut(index)
                    && used < unread.len()
                {
                    unread.drain(..used);
                    connection.unread = Some(unread);
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
    fn may_read(&self, index: usize) -> bool {
        let Some(connection) = self.links.connections.get(index) else { return false };
        let node = &self.links.node;
        connection.closing_since.is_some()
            || (connection.session.wants_frames(node)
                && connection.outlet.waiting_bytes() < node.limits().answers_bytes)
    }

    fn wants_again(&mut self, index: usize) {
        let waits =
            self.links.connections.get(index).is_some_and(|held| held.is_readable || held.unread.is_some());
        if waits && self.may_read(index) {
            self.again.push(index);
        }
    }

    /// Gives bytes to the decoder and frames to the session; how many bytes were used.
    fn feed(&mut self, index: usize, bytes: &mut [u8]) -> usize {
        let len = bytes.len();
        let message_bytes_max = self.links.node.limits().frame_bytes;
        let rules = Rules { message_bytes_max, ..Rules::default() };
        let mut rest: &mut [u8] = bytes;
        loop {
            if !self.may_read(index) {
                return len - rest.len();
            }
            let Some(connection) = self.links.connections.get_mut(index) else { return len };
            if connection.closing_since.is_some() {
                return len;
            }
            let mut decoder = std::mem::take(&mut connection.decoder);
            let event = decoder.next_event(rules, &mut rest);
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

    fn event(&mut self, index: usize, event: Result<Option<Event<'_>>, Error>) -> bool {
        match event {
            Ok(None) | Ok(Some(Event::Pong(_))) => true,
            Ok(Some(Event::Text(text))) => {
                self.step(index, |session, node, places: &Places<'_>, acts| {
                    session.frame(node, &text, Self::wall(), places, acts);
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

    /// The socket takes something again.
    fn flush(&mut self, index: usize) {
        let Some(connection) = self.links.connections.get_mut(index) else { return };
        if !connection.outlet.is_blocked() {
            return;
        }
        self.links.flush(index);
        let Some(connection) = self.links.connections.get(index) else { return };
        if connection.outlet.is_blocked() || connection.closing_since.is_some() {
            return;
        }
        let keys: Vec<SubscriberKey> = connection.session.keys().collect();
        for key in keys {
            self.go_on_with(index, key);
        }
        self.wants_again(index);
    }

    fn take_page(&mut self, to: Address, key: SubscriberKey, page: Catchup) {
        if !self.is_there(to) {
            return;
        }
        let index = to.connection;
        if let Some(connection) = self.links.connections.get_mut(index) {
            connection.reads_page = false;
            if !connection.session.keys().any(|held| held == key) {
                return self.ask_pages(index);
            }
        }
        match page {
            Catchup::Page(page, upto) => {
                self.hub.give_page(key, &page, upto, &mut self.links);
            }
            Catchup::Reset(reason, position) => self.reset(index, key, reason, position),
            Catchup::Later => {}
        }
        self.go_on_with(index, key);
        self.ask_pages(index);
    }

    fn ask_pages(&mut self, index: usize) {
        let Some(connection) = self.links.connections.get(index) else { return };
        let keys: Vec<SubscriberKey> = connection.session.keys().collect();
        for key in keys {
            self.ask_page(index, key);
        }
    }

    fn reset(
        &mut self,
        index: usize,
        key: SubscriberKey,
        reason: antiphon_protocol::ResetReason,
        position: antiphon_protocol::Position,
    ) {
        let topic = self.topic_of(key);
        let frame = ServerFrame::Reset { topic: topic.name(), reason, position }.encode();
        self.links.send(index, &encode::frame(Opcode::Text, &frame));
        self.hub.reset(key, position);
    }

    /// Members whose rights changed, and logs that are not what they were.
    fn take_changes(&mut self) {
        while self.hub.mailbox().has_changes() {
            let (members, restarted) = self.hub.mailbox().take_changes();
            if !members.is_empty() {
                let affected = self.links.connections.iter().filter(|(_, connection)| {
                    connection.session.caller().is_some_and(|caller| {
                        members.iter().any(|member| Arc::ptr_eq(caller.login.member(), member))
                    })
                });
                for index in affected.map(|(index, _)| index).collect::<Vec<_>>() {
                    self.step(index, |session, node, _, acts| session.member_changed(node, acts));
                }
            }
            for feed in restarted {
                let Some(high) = feed.high() else { continue };
                for (index, key) in self.hub.subscribers(&feed) {
                    self.reset(index, key, antiphon_protocol::ResetReason::Fork, high);
                }
            }
        }
    }

    /// What has gathered leaves.
    fn pass(&mut self) {
        let feeds = self.hub.dirty_feeds();
        if feeds.is_empty() {
            return;
        }
        self.links.is_corking = feeds.len() > 1;
        for feed in &feeds {
            let mut passed = self.hub.pass(feed, &mut self.links, &mut self.fallen);
            while passed.is_err() {
                // What an entry was sent after has to count before the entry leaves.
                self.take_changes();
                passed = self.hub.pass(feed, &mut self.links, &mut self.fallen);
            }
            if let Ok(Some(oldest)) = passed {
                self.links.node.metrics().write_seconds.observe(oldest.elapsed().as_secs_f64());
            }
        }
        self.links.uncork();
        for (index, key) in std::mem::take(&mut self.fallen) {
            self.ask_page(index, key);
        }
    }

    fn tick(&mut self) {
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
        }
        self.go_on_draining(now);
    }

    fn tell_positions(&mut self) {
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
            links.send(index, &frame);
        });
    }

    /// Looks at the times of one connection, and arms it for the next one.
    fn look_at(&mut self, index: usize, now: Instant) {
        let limits = self.limits();
        let Some(connection) = self.links.connections.get_mut(index) else { return };
        if let Some(since) = connection.closing_since {
            if now.duration_since(since) >= GOODBYE {
                return self.links.end(index, EndReason::Closed);
            }
            return self.arm(index, since + GOODBYE);
        }
        if connection.outlet.stuck_since.is_some_and(|since| since.elapsed() >= limits.progress_timeout) {
            return self.links.close(index, CloseCode::NoProgress, EndReason::NoProgress);
        }
        if connection.pinged_at.is_some_and(|since| since.elapsed() >= limits.pong_timeout) {
            return self.links.end(index, EndReason::Silent);
        }
        if connection.pinged_at.is_none() && connection.last_heard.elapsed() >= limits.keep_alive {
            connection.pinged_at = Some(now);
            if !connection.outlet.is_blocked() {
                self.links.send(index, &Bytes::from_static(&[0x89, 0]));
            }
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
    pub fn arm(&mut self, index: usize, due: Instant) {
        let Some(connection) = self.links.connections.get_mut(index) else { return };
        connection.armed_at = self.wheel.arm(index, due);
    }

    fn begin_drain(&mut self, window: Duration) {
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

    /// Takes what has ended out of every map.
    fn bury(&mut self) {
        for index in std::mem::take(&mut self.links.goodbyes) {
            self.arm(index, Instant::now() + GOODBYE);
        }
        for (index, reason) in std::mem::take(&mut self.links.ended) {
            if !self.links.connections.contains(index) {
                continue;
            }
            let was_identified = !self.links.connections[index].is_half_open;
            self.links.no_longer_half_open(index);
            let mut connection = self.links.connections.remove(index);
            connection.outlet.socket.deregister(self.poll.registry());
            for key in connection.session.keys() {
                self.hub.remove(key);
                self.links.node.metrics().subscriptions.dec();
            }
            let metrics = self.links.node.metrics();
            if was_identified {
                metrics.identified.dec();
            }
            metrics.connections.dec();
            metrics.ended(reason);
            self.links.letters.connections.fetch_sub(1, Ordering::Relaxed);
        }
    }
}
