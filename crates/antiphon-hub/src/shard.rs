//! The subscribers of one shard's connections: cursors into their topics' rings. One thread owns it.

use std::{collections::HashMap, sync::Arc, time::Instant};

use antiphon_protocol::{Position, ResetReason};
use slab::Slab;

use crate::{
    delivery::Delivery,
    feed::{Feed, Start},
    hub::Subscription,
    mailbox::Mailbox,
    pass::{Batch, Outlets, Taken},
    restart::Restart,
};

/// Names a subscriber of a shard.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub struct SubscriberKey {
    topic: usize,
    subscriber: usize,
}

/// Members have changed since: they have to be looked after, and then the pass be made again.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct ChangesFirst;

/// One shard's side of the hub.
pub struct Shard {
    index: usize,
    mailbox: Arc<Mailbox<Feed>>,
    topics: Slab<LocalTopic>,
    by_feed: HashMap<usize, usize>,
    gathered: Vec<Arc<Delivery>>,
}

struct LocalTopic {
    feed: Arc<Feed>,
    subscribers: Slab<Subscriber>,
}

struct Subscriber {
    connection: usize,
    subscription: Subscription,
    place: Place,
    /// The last entry that it has passed, admitted or not.
    passed: Position,
    /// The last entry that it was told of by a frame.
    told: u64,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Place {
    /// It goes on at this slot of the ring with the next pass.
    Ring(u64),
    /// Its connection was blocked at this slot: it goes on from there when the socket takes something again.
    Behind(u64),
    /// The ring has passed it by: it reads the log, page by page.
    Log,
    /// What it has can't be continued, for this reason: it is told before it goes on.
    Reset(ResetReason),
}

fn identity(feed: &Arc<Feed>) -> usize {
    Arc::as_ptr(feed).addr()
}

impl Shard {
    /// The shard with this number.
    pub fn new(index: usize, mailbox: Arc<Mailbox<Feed>>) -> Self {
        Self { index, mailbox, topics: Slab::new(), by_feed: HashMap::new(), gathered: Vec::new() }
    }

    /// Its ear.
    pub fn mailbox(&self) -> &Arc<Mailbox<Feed>> {
        &self.mailbox
    }

    /// A connection subscribes; what comes after `from` is for it.
    pub fn add(&mut self, connection: usize, subscription: Subscription, from: Position) -> SubscriberKey {
        let feed = subscription.feed().clone();
        // Joined before the ring is looked at: a push from now on tells this shard.
        feed.join_shard(self.index);
        let place = Place::of(feed.start_after(from));
        let topics = &mut self.topics;
        let topic = *self
            .by_feed
            .entry(identity(&feed))
            .or_insert_with(|| topics.insert(LocalTopic { feed, subscribers: Slab::new() }));
        let subscriber = Subscriber { connection, subscription, place, passed: from, told: from.offset };
        SubscriberKey { topic, subscriber: self.topics[topic].subscribers.insert(subscriber) }
    }

    /// Ends a subscription.
    pub fn remove(&mut self, key: SubscriberKey) {
        let topic = &mut self.topics[key.topic];
        topic.subscribers.remove(key.subscriber);
        topic.feed.leave_shard(self.index);
        if topic.subscribers.is_empty() {
            let gone = self.topics.remove(key.topic);
            self.by_feed.remove(&identity(&gone.feed));
        }
    }

    /// The feed of a subscriber.
    pub fn feed(&self, key: SubscriberKey) -> &Arc<Feed> {
        &self.topics[key.topic].feed
    }

    /// The feeds that have something new.
    pub fn dirty_feeds(&self) -> Vec<Arc<Feed>> {
        self.mailbox.take_feeds()
    }

    /// Gives what has gathered in a feed to its subscribers here. Those that are blocked stay where they are; those that the ring
    /// has passed by are put into `fallen`. Returns since when the oldest of it was waiting.
    pub fn pass(
        &mut self,
        feed: &Arc<Feed>,
        outlets: &mut impl Outlets,
        fallen: &mut Vec<(usize, SubscriberKey)>,
    ) -> Result<Option<Instant>, ChangesFirst> {
        let Some(&topic) = self.by_feed.get(&identity(feed)) else { return Ok(None) };
        let mut oldest = None;
        let local = &mut self.topics[topic];
        // Subscribers at the same slot share their batches; most stand together at the head.
        let mut slots: smallvec::SmallVec<[u64; 4]> = smallvec::SmallVec::new();
        for (_, subscriber) in &local.subscribers {
            if let Place::Ring(slot) = subscriber.place
                && !slots.contains(&slot)
            {
                slots.push(slot);
            }
        }
        for slot in slots {
            self.gathered.clear();
            let Some(end) = local.feed.read(self.index, slot, &mut self.gathered) else {
                // Mostly the ring has moved on; but the log may be another one, which is told first.
                if self.mailbox.has_changes() {
                    return Err(ChangesFirst);
                }
                for (key, subscriber) in &mut local.subscribers {
                    if subscriber.place == Place::Ring(slot) {
                        subscriber.place = Place::Log;
                        fallen.push((subscriber.connection, SubscriberKey { topic, subscriber: key }));
                    }
                }
                continue;
            };
            // Seen after the ring was read: an entry in it may have been sent after a change that has to count first.
            if self.mailbox.has_changes() {
                self.gathered.clear();
                return Err(ChangesFirst);
            }
            oldest = oldest.or(self.gathered.first().map(|first| first.since));
            let (mut rest, mut at) = (self.gathered.as_slice(), slot);
            while !rest.is_empty() {
                let (mut batch, after) = Batch::cut(rest);
                let next = end - after.len() as u64;
                for (key, subscriber) in &mut local.subscribers {
                    if subscriber.place == Place::Ring(at) {
                        subscriber.give(&mut batch, next, outlets);
                        if subscriber.place == Place::Log {
                            fallen.push((subscriber.connection, SubscriberKey { topic, subscriber: key }));
                        }
                    }
                }
                (rest, at) = (after, next);
            }
        }
        self.gathered.clear();
        Ok(oldest)
    }

    /// A feed has begun anew. Returns its subscribers here with their connections, who all have to be gone on with: whoever stood
    /// where it did is owed a reset, and what all others have the log proves, or not.
    pub fn restarted(&mut self, feed: &Arc<Feed>, restart: &Restart) -> Vec<(usize, SubscriberKey)> {
        let Some(&topic) = self.by_feed.get(&identity(feed)) else { return Vec::new() };
        let mut all = Vec::new();
        for (key, subscriber) in &mut self.topics[topic].subscribers {
            let passed = subscriber.passed;
            subscriber.place = if feed.position_at(passed.offset) == Some(passed) {
                // It came since.
                Place::of(feed.start_after(passed))
            } else if passed == restart.was {
                Place::Reset(restart.reason)
            } else {
                Place::Log
            };
            all.push((subscriber.connection, SubscriberKey { topic, subscriber: key }));
        }
        all
    }

    /// Why a subscriber has to be reset before it goes on, and from where it does then.
    pub fn owed_reset(&self, key: SubscriberKey) -> Option<(ResetReason, Position)> {
        let local = self.topics.get(key.topic)?;
        match local.subscribers.get(key.subscriber)?.place {
            Place::Reset(reason) => Some((reason, local.feed.high()?)),
            _ => None,
        }
    }

    /// The position that a subscriber has passed.
    pub fn position(&self, key: SubscriberKey) -> Option<Position> {
        Some(self.topics.get(key.topic)?.subscribers.get(key.subscriber)?.passed)
    }

    /// Goes on with one subscriber whose connection takes something again. True: it has to read a page of the log after
    /// what [`Shard::reads_log`] says.
    pub fn go_on(&mut self, key: SubscriberKey, outlets: &mut impl Outlets) -> Result<bool, ChangesFirst> {
        let Some(local) = self.topics.get_mut(key.topic) else { return Ok(false) };
        let Some(subscriber) = local.subscribers.get_mut(key.subscriber) else { return Ok(false) };
        loop {
            let (Place::Ring(slot) | Place::Behind(slot)) = subscriber.place else { return Ok(true) };
            self.gathered.clear();
            let Some(end) = local.feed.read(self.index, slot, &mut self.gathered) else {
                subscriber.place = Place::Log;
                return Ok(true);
            };
            if self.gathered.is_empty() {
                subscriber.place = Place::Ring(slot);
                return Ok(false);
            }
            // As in a pass: seen after the ring was read.
            if self.mailbox.has_changes() {
                return Err(ChangesFirst);
            }
            let (mut batch, after) = Batch::cut(&self.gathered);
            subscriber.give(&mut batch, end - after.len() as u64, outlets);
            if let Place::Behind(_) = subscriber.place {
                return Ok(false);
            }
        }
    }

    /// Doubts every subscriber that is ahead of its feed: the log is read behind it, which proves it or not. Returns them with
    /// their connections. They have got at another node what this one has not delivered yet, and are so for a moment: for longer
    /// only where the log has lost it.
    pub fn doubt_who_is_ahead(&mut self) -> Vec<(usize, SubscriberKey)> {
        let mut ahead = Vec::new();
        for (topic, local) in &mut self.topics {
            let Some(high) = local.feed.high() else { continue };
            for (key, subscriber) in &mut local.subscribers {
                if matches!(subscriber.place, Place::Ring(_)) && subscriber.passed.offset > high.offset {
                    subscriber.place = Place::Log;
                    ahead.push((subscriber.connection, SubscriberKey { topic, subscriber: key }));
                }
            }
        }
        ahead
    }

    /// The position after which a subscriber reads the log, if it does.
    pub fn reads_log(&self, key: SubscriberKey) -> Option<Position> {
        let subscriber = self.topics.get(key.topic)?.subscribers.get(key.subscriber)?;
        (subscriber.place == Place::Log).then_some(subscriber.passed)
    }

    /// Gives a page of the log, which was read after this position and brings a subscriber up to `upto`. False: its connection was
    /// blocked, nothing was taken. A page after another position than the subscriber's is none of its stream any more. Changes
    /// that came before it are looked after first.
    pub fn give_page(
        &mut self,
        key: SubscriberKey,
        page: &[Arc<Delivery>],
        after: Position,
        upto: Position,
        outlets: &mut impl Outlets,
    ) -> bool {
        let local = &mut self.topics[key.topic];
        let Some(subscriber) = local.subscribers.get_mut(key.subscriber) else { return true };
        if subscriber.place != Place::Log || subscriber.passed != after {
            return true;
        }
        let mut rest = page;
        while !rest.is_empty() {
            let (mut batch, after) = Batch::cut(rest);
            let (frames, last) = batch.frames_for(subscriber.subscription.member(), subscriber.passed.offset);
            if let Some(frames) = frames
                && outlets.write(subscriber.connection, &frames) == Taken::Blocked
            {
                return false;
            }
            subscriber.has_passed(batch.last);
            subscriber.told = subscriber.told.max(last.unwrap_or(0));
            rest = after;
        }
        subscriber.has_passed(Some(upto));
        if let Start::Ring(slot) = local.feed.start_after(subscriber.passed) {
            subscriber.place = Place::Ring(slot);
        }
        true
    }

    /// A subscriber starts again from this position: what it had can't be continued.
    pub fn reset(&mut self, key: SubscriberKey, from: Position) {
        let local = &mut self.topics[key.topic];
        let Some(subscriber) = local.subscribers.get_mut(key.subscriber) else { return };
        (subscriber.passed, subscriber.told) = (from, from.offset);
        subscriber.place = Place::of(local.feed.start_after(from));
    }

    /// Every subscriber that has passed entries it was not told of, with the feed's position: for POSITION frames.
    /// Each of whom `tell` says so counts as told then.
    pub fn untold(&mut self, mut tell: impl FnMut(usize, &Arc<Feed>, Position) -> bool) {
        for (_, local) in &mut self.topics {
            let Some(high) = local.feed.high() else { continue };
            for (_, subscriber) in &mut local.subscribers {
                let at_head = matches!(subscriber.place, Place::Ring(_)) && subscriber.passed == high;
                if at_head && subscriber.told < high.offset && tell(subscriber.connection, &local.feed, high)
                {
                    subscriber.told = high.offset;
                }
            }
        }
    }
}

impl Place {
    fn of(start: Start) -> Self {
        match start {
            Start::Ring(slot) => Self::Ring(slot),
            Start::Log => Self::Log,
        }
    }
}

impl Subscriber {
    fn give(&mut self, batch: &mut Batch<'_>, next: u64, outlets: &mut impl Outlets) {
        if batch.contradicts(self.passed) {
            self.place = Place::Log;
            return;
        }
        let (frames, last) = batch.frames_for(self.subscription.member(), self.passed.offset);
        if let Some(frames) = frames
            && outlets.write(self.connection, &frames) == Taken::Blocked
        {
            if let Place::Ring(slot) = self.place {
                self.place = Place::Behind(slot);
            }
            return;
        }
        self.place = Place::Ring(next);
        self.has_passed(batch.last);
        self.told = self.told.max(last.unwrap_or(0));
    }

    fn has_passed(&mut self, last: Option<Position>) {
        if let Some(last) = last.filter(|last| last.offset > self.passed.offset) {
            self.passed = last;
        }
    }
}
