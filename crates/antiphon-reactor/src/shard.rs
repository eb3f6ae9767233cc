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
use antiphon_node::{Catchup, EndReason, Node, Turns};
use antiphon_protocol::{Position, ResetReason, ServerFrame};
use antiphon_session::{Act, Session};
use antiphon_ws::{Decoder, Opcode, encode};
use mio::{Events, Poll, Token};
use slab::Slab;

use crate::{
    connection::{Connection, HalfOpen},
    drain::Drain,
    links::Links,
    outlet::Outlet,
    post::{Accepted, Address, Letters, Post},
    socket::Socket,
    timer::{TICK, Wheel},
};

const WAKER: Token = Token(usize::MAX);
/// The buffer that all connections of a shard are read into.
const READ_BYTES: usize = 64 * 1024;
/// How long a connection that said goodbye may take to end.
pub(crate) const GOODBYE: Duration = Duration::from_secs(2);

pub(crate) struct ShardThread {
    poll: Poll,
    pub links: Links,
    pub hub: Shard,
    pub wheel: Wheel,
    pub buffer: Vec<u8>,
    /// Connections with more to read than a turn allows, or whose session wants frames again.
    pub again: Vec<usize>,
    /// What the connection that is being read may still say in this turn.
    pub frames_left: usize,
    fallen: Vec<(usize, SubscriberKey)>,
    pub acts: Vec<Act>,
    /// Subscribers that have joined in this step, and get what they are owed behind its frames.
    pub joined: Vec<SubscriberKey>,
    /// Subscribers whose log began anew in this turn: they go on at its end.
    restarted: Vec<(usize, SubscriberKey)>,
    generation: u32,
    pub told_positions: Instant,
    pub drain: Option<Drain>,
    is_killed: bool,
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
            holds_back: false,
            half_open,
        };
        Ok(Self {
            poll,
            links,
            hub: Shard::new(index, mailbox),
            wheel: Wheel::new(Instant::now()),
            buffer: vec![0; READ_BYTES],
            again: Vec::new(),
            frames_left: 0,
            fallen: Vec::new(),
            acts: Vec::new(),
            joined: Vec::new(),
            restarted: Vec::new(),
            generation: 0,
            told_positions: Instant::now(),
            drain: None,
            is_killed: false,
        })
    }

    pub fn letters(&self) -> &Arc<Letters> {
        &self.links.letters
    }

    pub fn limits(&self) -> Limits {
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
            let mut again = std::mem::take(&mut self.again);
            again.sort_unstable();
            again.dedup();
            for index in again {
                self.read(index);
            }
            for post in self.links.letters.take() {
                self.take(post);
            }
            self.take_changes();
            self.go_on_verified();
            self.pass();
            self.go_on_restarted();
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
                    self.step(to.connection, |session, node, places, acts| {
                        session.answer(node, answer, Self::wall(), places, acts);
                    });
                    self.wants_again(to.connection);
                }
            }
            Post::Page(to, key, after, page) => self.take_page(to, key, after, page),
            Post::Drain(window) => self.begin_drain(window),
            Post::Kill => self.is_killed = true,
        }
    }

    fn is_there(&self, to: Address) -> bool {
        self.links.connections.get(to.connection).is_some_and(|held| held.generation == to.generation)
    }

    fn accept(&mut self, accepted: Accepted) {
        let Accepted { socket, read, opening, place } = accepted;
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
        let half_open = (!is_known).then(|| Box::new(HalfOpen::new(self.links.half_open.clone(), place)));
        entry.insert(Connection {
            generation: self.generation,
            outlet: Outlet::new(socket),
            decoder: Decoder::new(),
            session: Session::new(opening, Self::wall()),
            turns: Turns::default(),
            unread: (!read.is_empty()).then(|| read.to_vec()),
            is_readable: true,
            reads_page: false,
            last_heard: now,
            pinged_at: None,
            closing_since: None,
            half_open,
            is_over: false,
            reason: None,
            armed_at: u64::MAX,
        });
        let metrics = self.links.node.metrics();
        metrics.connections.inc();
        if is_known {
            metrics.identified.inc();
        }
        self.arm(index, now + TICK);
        // What changed during its upgrade was told to those who were here already.
        self.step(index, |session, node, _, acts| session.member_changed(node, acts));
        self.read(index);
    }

    /// The socket takes something again.
    pub(crate) fn flush(&mut self, index: usize) {
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

    fn take_page(&mut self, to: Address, key: SubscriberKey, after: Position, page: Catchup) {
        if !self.is_there(to) {
            return;
        }
        let index = to.connection;
        // The page was read after what its entries were sent after: that has to count before they leave.
        self.take_changes();
        if let Some(connection) = self.links.connections.get_mut(index) {
            connection.reads_page = false;
            if !connection.session.keys().any(|held| held == key) {
                return self.ask_pages(index);
            }
        }
        if !self.links.may_deliver() {
            // It is read again when it may leave.
            return;
        }
        match page {
            Catchup::Page(page, upto) => {
                self.hub.give_page(key, &page, after, upto, &mut self.links);
            }
            // It may have been reset meanwhile.
            Catchup::Reset(reason, position) if self.hub.reads_log(key) == Some(after) => {
                self.reset(index, key, reason, position);
            }
            Catchup::Reset(..) => {}
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

    pub(crate) fn reset(
        &mut self,
        index: usize,
        key: SubscriberKey,
        reason: ResetReason,
        position: Position,
    ) {
        let topic = self.topic_of(key);
        let frame = ServerFrame::Reset { topic: topic.name(), reason, position }.encode();
        self.links.send(index, &encode::frame(Opcode::Text, &frame));
        self.hub.reset(key, position);
    }

    /// Members whose rights changed, and logs that are not what they were.
    pub(crate) fn take_changes(&mut self) {
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
            for (feed, restart) in restarted {
                self.restarted.extend(self.hub.restarted(&feed, &restart));
            }
        }
    }

    /// Subscribers of logs that are not what they were.
    fn go_on_restarted(&mut self) {
        while let Some((index, key)) = self.restarted.pop() {
            let held = self.links.connections.get(index);
            if held.is_some_and(|connection| connection.session.keys().any(|held| held == key)) {
                self.go_on_with(index, key);
            }
        }
    }

    /// What has gathered leaves.
    fn pass(&mut self) {
        if !self.links.may_deliver() {
            return;
        }
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

    /// Takes what has ended out of every map.
    fn bury(&mut self) {
        for index in std::mem::take(&mut self.links.goodbyes) {
            self.arm(index, Instant::now() + GOODBYE);
        }
        for (index, reason) in std::mem::take(&mut self.links.ended) {
            if !self.links.connections.contains(index) {
                continue;
            }
            let mut connection = self.links.connections.remove(index);
            let was_identified = connection.half_open.is_none();
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
