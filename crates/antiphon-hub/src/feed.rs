//! One topic at this node: what it has delivered, and the ring of what was recent.
//! The verdicts over what arrives are the heart of delivery: next, seen, gap, stale or fork.

use std::{
    collections::{BTreeMap, HashMap},
    sync::{
        Arc,
        atomic::{AtomicBool, Ordering},
    },
};

use antiphon_protocol::{ClusterSecret, Position, ResetReason, Topic, UserId};
use parking_lot::Mutex;

use crate::{
    audience::TenantAudience,
    delivery::Delivery,
    mailbox::Mailbox,
    restart::Restart,
    ring::{Ring, RingBounds},
};

/// What is to be done with something that arrived.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Verdict {
    /// It was the next one and is on its way to the subscribers.
    Next,
    /// It was delivered before.
    Seen,
    /// It came before others that belong before it, and is kept for when they have come; true: it is the only one so far. Two
    /// nodes' posts may overtake each other.
    Early(bool),
    /// Entries before it are missing, and no more can be kept: they have to be read from the store.
    Gap,
    /// The audience held here is older than what it was sent after: it has to be read first.
    Stale,
    /// The history behind it is not the one that was delivered.
    Fork,
}

/// Entries that are kept until those before them have come.
const EARLY_MAX: usize = 64;

/// Where a new subscriber begins.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Start {
    /// At this slot of the ring.
    Ring(u64),
    /// With what the store has after its offset.
    Log,
}

/// A topic that somebody here is subscribed to.
pub struct Feed {
    topic: Topic,
    audience: Arc<TenantAudience>,
    bounds: RingBounds,
    secret: ClusterSecret,
    /// One flag a shard: it has been told, and has not looked yet.
    dirty: Box<[AtomicBool]>,
    mailboxes: Box<[Arc<Mailbox<Self>>]>,
    // Guards the order of delivery. Under it only a mailbox's lock is taken.
    state: Mutex<State>,
}

#[derive(Default)]
struct State {
    high: Option<Position>,
    restarts: u64,
    ring: Ring,
    /// What came too early, by its offset, with the revision that it was sent after.
    early: BTreeMap<u64, (u64, Delivery)>,
    users: HashMap<UserId, u32>,
    /// Subscribers for each shard.
    shards: Vec<u32>,
}

impl Feed {
    pub(crate) fn new(
        topic: Topic,
        audience: Arc<TenantAudience>,
        bounds: RingBounds,
        secret: ClusterSecret,
        mailboxes: Box<[Arc<Mailbox<Self>>]>,
    ) -> Self {
        let dirty = mailboxes.iter().map(|_| AtomicBool::new(false)).collect();
        let state = State { shards: vec![0; mailboxes.len()], ..State::default() };
        Self { topic, audience, bounds, secret, dirty, mailboxes, state: Mutex::new(state) }
    }

    /// The topic.
    pub fn topic(&self) -> &Topic {
        &self.topic
    }

    /// The audience of its tenant.
    pub fn audience(&self) -> &Arc<TenantAudience> {
        &self.audience
    }

    /// What has been delivered contiguously; none before [`Feed::begin`].
    pub fn high(&self) -> Option<Position> {
        self.state.lock().high
    }

    /// The position of a delivered entry that is still known here.
    pub fn position_at(&self, offset: u64) -> Option<Position> {
        let state = self.state.lock();
        match state.high {
            Some(high) if high.offset == offset => Some(high),
            _ => state.ring.position_at(offset),
        }
    }

    /// Begins at this position, if it has not begun yet.
    pub fn begin(&self, high: Position) {
        self.state.lock().high.get_or_insert(high);
    }

    /// Begins anew at this position: what was delivered up to `was` can't be continued, for this reason. Every shard is told.
    /// False if something else has been delivered meanwhile: then it has to be looked at again.
    pub fn restart(self: &Arc<Self>, was: Position, head: Position, reason: ResetReason) -> bool {
        let mut state = self.state.lock();
        if state.high != Some(was) {
            return false;
        }
        state.high = Some(head);
        state.restarts += 1;
        state.ring.clear();
        state.early.clear();
        for mailbox in &self.mailboxes {
            mailbox.feed_restarted(self.clone(), Restart { was, reason });
        }
        true
    }

    /// How often it began anew: what was read before is of another log.
    pub fn restarts(&self) -> u64 {
        self.state.lock().restarts
    }

    /// An entry that was committed after the audience was at `revision`.
    pub fn offer(self: &Arc<Self>, revision: u64, delivery: Delivery) -> Verdict {
        let Some(position) = delivery.position else { return self.offer_signal(revision, delivery) };
        let mut state = self.state.lock();
        let Some(high) = state.high else { return Verdict::Gap };
        if position.epoch != high.epoch {
            return Verdict::Fork;
        }
        if position.offset <= high.offset {
            let held = if position.offset == high.offset {
                Some(high)
            } else {
                state.ring.position_at(position.offset)
            };
            return if held.is_some_and(|held| held != position) { Verdict::Fork } else { Verdict::Seen };
        }
        if position.offset > high.offset + 1 {
            return self.keep(&mut state, position.offset, revision, delivery);
        }
        if !delivery.may_follow(high, &self.secret) {
            return Verdict::Fork;
        }
        if revision > self.audience.revision() {
            return Verdict::Stale;
        }
        state.high = Some(position);
        self.push(&mut state, delivery);
        self.go_on(&mut state)
    }

    fn keep(&self, state: &mut State, offset: u64, revision: u64, delivery: Delivery) -> Verdict {
        if state.early.contains_key(&offset) {
            return Verdict::Early(false);
        }
        let bytes: usize = state.early.values().map(|(_, kept)| kept.frame.len()).sum();
        if state.early.len() >= EARLY_MAX || bytes + delivery.frame.len() > self.bounds.bytes {
            return Verdict::Gap;
        }
        state.early.insert(offset, (revision, delivery));
        Verdict::Early(state.early.len() == 1)
    }

    /// Goes on with what came early, as far as it follows now.
    fn go_on(self: &Arc<Self>, state: &mut State) -> Verdict {
        while let Some(first) = state.early.first_entry() {
            let Some(high) = state.high else { break };
            if *first.key() > high.offset + 1 {
                break;
            }
            if *first.key() == high.offset + 1 && first.get().0 > self.audience.revision() {
                return Verdict::Stale;
            }
            let (_, delivery) = first.remove();
            if !delivery.may_follow(high, &self.secret) {
                return Verdict::Fork;
            }
            if delivery.offset() == Some(high.offset + 1) {
                state.high = delivery.position;
                self.push(state, delivery);
            }
        }
        Verdict::Next
    }

    /// True while something is kept that came too early.
    pub fn is_waiting(&self) -> bool {
        !self.state.lock().early.is_empty()
    }

    /// A signal that was sent after the audience was at `revision`.
    pub fn offer_signal(self: &Arc<Self>, revision: u64, delivery: Delivery) -> Verdict {
        if revision > self.audience.revision() {
            return Verdict::Stale;
        }
        self.push(&mut self.state.lock(), delivery);
        Verdict::Next
    }

    fn push(self: &Arc<Self>, state: &mut State, delivery: Delivery) {
        state.ring.push(Arc::new(delivery), &self.bounds);
        for (shard, subscribers) in state.shards.iter().enumerate() {
            if *subscribers > 0 && !self.dirty[shard].swap(true, Ordering::AcqRel) {
                self.mailboxes[shard].feed_is_dirty(self.clone());
            }
        }
    }

    /// What stands in the ring from this slot on, and the slot behind it; none if the ring does not cover it any more.
    pub(crate) fn read(&self, shard: usize, slot: u64, into: &mut Vec<Arc<Delivery>>) -> Option<u64> {
        self.dirty[shard].store(false, Ordering::Release);
        let state = self.state.lock();
        into.extend(state.ring.from(slot)?.cloned());
        Some(state.ring.end())
    }

    /// Where one begins that has seen everything up to this position. What stands in the ring has to be of its history; else
    /// the log tells. Whoever is ahead of this feed has got more at another node: it waits, and what this feed has at that
    /// offset will prove it or not.
    pub(crate) fn start_after(&self, from: Position) -> Start {
        let state = self.state.lock();
        let Some(high) = state.high else { return Start::Log };
        if from.offset == high.offset && from != high {
            return Start::Log;
        }
        match state.ring.slot_after(from.offset, high.offset) {
            Some((_, Some(next))) if !next.may_follow(from, &self.secret) => Start::Log,
            Some((slot, _)) => Start::Ring(slot),
            None => Start::Log,
        }
    }

    /// A shard begins to look here, at this slot; later pushes tell it.
    pub(crate) fn join_shard(&self, shard: usize) {
        self.state.lock().shards[shard] += 1;
    }

    pub(crate) fn leave_shard(&self, shard: usize) {
        self.state.lock().shards[shard] -= 1;
    }

    pub(crate) fn join(&self, user: &UserId) {
        *self.state.lock().users.entry(user.clone()).or_default() += 1;
    }

    /// One subscription less; true if none is left.
    pub(crate) fn leave(&self, user: &UserId) -> bool {
        let mut state = self.state.lock();
        if let Some(count) = state.users.get_mut(user) {
            *count -= 1;
            if *count == 0 {
                state.users.remove(user);
            }
        }
        state.users.is_empty()
    }

    pub(crate) fn is_unused(&self) -> bool {
        self.state.lock().users.is_empty()
    }

    /// Who is subscribed here, with the number of subscriptions.
    pub fn users(&self) -> Vec<(UserId, u32)> {
        self.state.lock().users.iter().map(|(user, count)| (user.clone(), *count)).collect()
    }

    /// Lets go of what is old in the ring.
    pub fn age(&self) {
        self.state.lock().ring.age(&self.bounds);
    }
}
