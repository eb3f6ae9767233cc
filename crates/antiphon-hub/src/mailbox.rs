//! How a shard hears of what happened elsewhere: feeds that have something new, and members that have changed.

use std::sync::{
    Arc,
    atomic::{AtomicBool, Ordering},
};

use parking_lot::Mutex;

use crate::{Feed, Member};

/// Wakes a shard's thread.
pub trait Wake: Send + Sync {
    /// At least one more turn of its loop begins after this.
    fn wake(&self);
}

/// A shard's ear.
pub struct Mailbox {
    wake: Arc<dyn Wake>,
    rung: AtomicBool,
    noticed: AtomicBool,
    // Guards both lists; no other lock is taken under it.
    mail: Mutex<Mail>,
}

#[derive(Default)]
struct Mail {
    feeds: Vec<Arc<Feed>>,
    members: Vec<Arc<Member>>,
}

impl Mailbox {
    pub(crate) fn new(wake: Arc<dyn Wake>) -> Self {
        Self { wake, rung: AtomicBool::new(false), noticed: AtomicBool::new(false), mail: Mutex::default() }
    }

    pub(crate) fn feed_is_dirty(&self, feed: Arc<Feed>) {
        self.mail.lock().feeds.push(feed);
        self.ring();
    }

    pub(crate) fn member_changed(&self, member: Arc<Member>) {
        self.mail.lock().members.push(member);
        self.noticed.store(true, Ordering::Release);
        self.ring();
    }

    fn ring(&self) {
        if !self.rung.swap(true, Ordering::AcqRel) {
            self.wake.wake();
        }
    }

    /// The feeds with something new since the last call.
    pub(crate) fn take_feeds(&self) -> Vec<Arc<Feed>> {
        self.rung.store(false, Ordering::Release);
        std::mem::take(&mut self.mail.lock().feeds)
    }

    /// True if a member changed since the last [`Mailbox::take_members`]. A change is noticed here before any entry that
    /// was sent after it can be seen in a ring.
    pub fn has_members(&self) -> bool {
        self.noticed.load(Ordering::Acquire)
    }

    /// The members that changed since the last call.
    pub fn take_members(&self) -> Vec<Arc<Member>> {
        self.noticed.store(false, Ordering::Release);
        std::mem::take(&mut self.mail.lock().members)
    }
}
