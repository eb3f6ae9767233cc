//! All feeds of this node, and the mailboxes of its shards.

use std::{
    collections::HashMap,
    sync::{Arc, Weak},
    time::{Duration, Instant},
};

use antiphon_protocol::{ClusterSecret, Topic};
use parking_lot::{Mutex, RwLock};

use crate::{
    audience::{Member, TenantAudience},
    feed::Feed,
    mailbox::{Mailbox, Wake},
    ring::RingBounds,
};

/// The feeds of a node.
pub struct Hub {
    bounds: RingBounds,
    secret: ClusterSecret,
    mailboxes: RwLock<Vec<Arc<Mailbox<Feed>>>>,
    // Guards which topics have a feed; a feed's lock may be taken under it.
    feeds: RwLock<HashMap<Topic, Arc<Feed>>>,
    idle: Mutex<Vec<(Instant, Arc<Feed>)>>,
}

impl Hub {
    /// A hub without shards and feeds; the secret proves that an entry follows another.
    pub fn new(bounds: RingBounds, secret: ClusterSecret) -> Arc<Self> {
        Arc::new(Self {
            bounds,
            secret,
            mailboxes: RwLock::default(),
            feeds: RwLock::default(),
            idle: Mutex::default(),
        })
    }

    /// Adds a shard, before the first feed; its number and its ear.
    pub fn add_shard(&self, wake: Arc<dyn Wake>) -> (usize, Arc<Mailbox<Feed>>) {
        let mailbox = Arc::new(Mailbox::new(wake));
        let mut mailboxes = self.mailboxes.write();
        mailboxes.push(mailbox.clone());
        (mailboxes.len() - 1, mailbox)
    }

    /// The feed of a topic, if somebody here is subscribed to it.
    pub fn feed(&self, topic: &Topic) -> Option<Arc<Feed>> {
        self.feeds.read().get(topic).cloned()
    }

    /// All feeds.
    pub fn feeds(&self) -> Vec<Arc<Feed>> {
        self.feeds.read().values().cloned().collect()
    }

    /// How many topics have a feed.
    pub fn feed_count(&self) -> usize {
        self.feeds.read().len()
    }

    /// One more subscription; true beside it if the feed is new, so that its topic has to be listened to.
    pub fn subscribe(
        self: &Arc<Self>,
        topic: &Topic,
        audience: &Arc<TenantAudience>,
        member: &Arc<Member>,
    ) -> (Subscription, bool) {
        let mut feeds = self.feeds.write();
        let mut is_new = false;
        let feed = feeds.entry(topic.clone()).or_insert_with(|| {
            is_new = true;
            let mailboxes = self.mailboxes.read().clone().into_boxed_slice();
            Arc::new(Feed::new(topic.clone(), audience.clone(), self.bounds, self.secret.clone(), mailboxes))
        });
        feed.join(member.user());
        let subscription =
            Subscription { feed: feed.clone(), member: member.clone(), hub: Arc::downgrade(self) };
        (subscription, is_new)
    }

    /// Tells every shard that a member has changed.
    pub fn member_changed(&self, member: &Arc<Member>) {
        for mailbox in self.mailboxes.read().iter() {
            mailbox.member_changed(member.clone());
        }
    }

    /// Removes the feeds that nobody has used for this long; their topics need not be listened to any more.
    /// `ignore` is called while no subscriber can come.
    pub fn sweep(&self, linger: Duration, mut ignore: impl FnMut(&Topic)) {
        let mut due = Vec::new();
        self.idle.lock().retain(|(since, feed)| {
            let is_due = since.elapsed() >= linger;
            if is_due {
                due.push(feed.clone());
            }
            !is_due
        });
        for feed in due {
            let mut feeds = self.feeds.write();
            if feed.is_unused() && feeds.get(feed.topic()).is_some_and(|held| Arc::ptr_eq(held, &feed)) {
                feeds.remove(feed.topic());
                ignore(feed.topic());
            }
        }
    }
}

/// A subscription: while it lives, its user is present in the topic and the feed stays.
pub struct Subscription {
    feed: Arc<Feed>,
    member: Arc<Member>,
    hub: Weak<Hub>,
}

impl Subscription {
    /// The feed.
    pub fn feed(&self) -> &Arc<Feed> {
        &self.feed
    }

    /// The subscriber's user.
    pub fn member(&self) -> &Arc<Member> {
        &self.member
    }
}

impl Drop for Subscription {
    fn drop(&mut self) {
        if self.feed.leave(self.member.user())
            && let Some(hub) = self.hub.upgrade()
        {
            hub.idle.lock().push((Instant::now(), self.feed.clone()));
        }
    }
}
