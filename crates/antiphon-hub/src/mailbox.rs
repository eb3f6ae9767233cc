//! How a shard hears of what happened elsewhere: feeds that have something new, and members that have changed.

use std::sync::{
    Arc,
    atomic::{AtomicBool, Ordering},
};

use parking_lot::Mutex;

use crate::{audience::Member, restart::Restart};

/// The members that changed, and the feeds that began anew.
pub type Changes<F> = (Vec<Arc<Member>>, Vec<(Arc<F>, Restart)>);

/// Wakes a shard's thread.
pub trait Wake: Send + Sync {
    /// At least one more turn of its loop begins after this.
    fn wake(&self);
}

/// A shard's ear for feeds.
pub struct Mailbox<F> {
    wake: Arc<dyn Wake>,
    rung: AtomicBool,
    noticed: AtomicBool,
    // Guards the lists; no other lock is taken under it.
    mail: Mutex<Mail<F>>,
}

struct Mail<F> {
    feeds: Vec<Arc<F>>,
    members: Vec<Arc<Member>>,
    restarted: Vec<(Arc<F>, Restart)>,
}

impl<F> Mailbox<F> {
    pub(crate) fn new(wake: Arc<dyn Wake>) -> Self {
        let mail = Mail { feeds: Vec::new(), members: Vec::new(), restarted: Vec::new() };
        Self { wake, rung: AtomicBool::new(false), noticed: AtomicBool::new(false), mail: Mutex::new(mail) }
    }

    pub(crate) fn feed_is_dirty(&self, feed: Arc<F>) {
        self.mail.lock().feeds.push(feed);
        self.ring();
    }

    pub(crate) fn member_changed(&self, member: Arc<Member>) {
        self.mail.lock().members.push(member);
        self.noticed.store(true, Ordering::Release);
        self.ring();
    }

    pub(crate) fn feed_restarted(&self, feed: Arc<F>, restart: Restart) {
        self.mail.lock().restarted.push((feed, restart));
        self.noticed.store(true, Ordering::Release);
        self.ring();
    }

    fn ring(&self) {
        if !self.rung.swap(true, Ordering::AcqRel) {
            self.wake.wake();
        }
    }

    /// The feeds with something new since the last call.
    pub(crate) fn take_feeds(&self) -> Vec<Arc<F>> {
        self.rung.store(false, Ordering::Release);
        std::mem::take(&mut self.mail.lock().feeds)
    }

    /// True if a member or a log changed since the last [`Mailbox::take_changes`]. A change is noticed here before any entry
    /// that was sent after it can be seen in a ring.
    pub fn has_changes(&self) -> bool {
        self.noticed.load(Ordering::Acquire)
    }

    /// The members that changed, and the feeds that started anew, since the last call.
    pub fn take_changes(&self) -> Changes<F> {
        self.noticed.store(false, Ordering::Release);
        let mut mail = self.mail.lock();
        (std::mem::take(&mut mail.members), std::mem::take(&mut mail.restarted))
    }
}
