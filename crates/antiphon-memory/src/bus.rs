//! A broker for several nodes in one process. Each has a bounded queue and a thread that empties it, so that a post
//! never runs into its receiver.

use std::{
    collections::HashSet,
    sync::{
        Arc, Weak,
        atomic::{AtomicBool, AtomicU64, Ordering},
        mpsc::{Receiver, SyncSender, TrySendError, sync_channel},
    },
};

use antiphon_core::{Broker, BrokerState, Channel, Inbox};
use bytes::Bytes;
use parking_lot::{Mutex, RwLock};

/// Posts that wait for one node at most.
const QUEUE_MAX: usize = 65_536;

/// What the brokers of a process share.
#[derive(Default)]
pub struct MemoryBus {
    ears: RwLock<Vec<Weak<Ear>>>,
    is_down: AtomicBool,
    drop_next: AtomicU64,
}

struct Ear {
    channels: RwLock<HashSet<Channel>>,
    queue: Mutex<Option<SyncSender<Mail>>>,
    // What may not be lost where the queue is full: it is told as soon as the ear has caught up with the queue. The
    // queue's lock may be taken under it.
    owed: Mutex<Owed>,
}

#[derive(Default)]
struct Owed {
    channels: HashSet<Channel>,
    state: Option<BrokerState>,
}

enum Mail {
    Post(Bytes),
    Confirmed(Channel),
    State(BrokerState),
}

impl MemoryBus {
    /// A bus without nodes.
    pub fn new() -> Arc<Self> {
        Arc::default()
    }

    /// A node's broker on this bus.
    pub fn broker(self: &Arc<Self>) -> MemoryBroker {
        let ear =
            Arc::new(Ear { channels: RwLock::default(), queue: Mutex::default(), owed: Mutex::default() });
        let mut ears = self.ears.write();
        ears.retain(|ear| ear.strong_count() > 0);
        ears.push(Arc::downgrade(&ear));
        drop(ears);
        MemoryBroker { bus: self.clone(), ear, dropped: AtomicU64::new(0) }
    }

    /// While down, posts are lost and every node is told.
    pub fn set_down(&self, is_down: bool) {
        if self.is_down.swap(is_down, Ordering::AcqRel) == is_down {
            return;
        }
        let state = if is_down { BrokerState::Down } else { BrokerState::Up };
        for ear in self.ears.read().iter().filter_map(Weak::upgrade) {
            ear.tell(Mail::State(state));
            if !is_down {
                let channels: Vec<Channel> = ear.channels.read().iter().cloned().collect();
                channels.into_iter().for_each(|channel| ear.tell(Mail::Confirmed(channel)));
            }
        }
    }

    /// The next so many posts are lost, and nobody is told.
    pub fn drop_next(&self, posts: u64) {
        self.drop_next.store(posts, Ordering::Release);
    }

    /// How many nodes listen to this channel.
    pub fn listeners(&self, channel: &Channel) -> usize {
        self.ears
            .read()
            .iter()
            .filter_map(Weak::upgrade)
            .filter(|ear| ear.channels.read().contains(channel))
            .count()
    }

    fn loses(&self) -> bool {
        let took =
            self.drop_next.fetch_update(Ordering::AcqRel, Ordering::Acquire, |left| left.checked_sub(1));
        self.is_down.load(Ordering::Acquire) || took.is_ok()
    }
}

impl Ear {
    /// What has to arrive, if not in its turn.
    fn tell(&self, mail: Mail) {
        let mut owed = self.owed.lock();
        if let (Mail::State(state), Some(last)) = (&mail, &mut owed.state) {
            // Behind one that is owed, not before it.
            *last = *state;
            return;
        }
        let full = match self.queue.lock().as_ref().map(|queue| queue.try_send(mail)) {
            Some(Err(TrySendError::Full(mail))) => mail,
            _ => return,
        };
        match full {
            Mail::Confirmed(channel) => drop(owed.channels.insert(channel)),
            Mail::State(state) => owed.state = Some(state),
            Mail::Post(_) => {}
        }
    }

    /// False if its queue is full.
    fn give(&self, mail: Mail) -> bool {
        self.queue.lock().as_ref().is_some_and(|queue| queue.try_send(mail).is_ok())
    }
}

/// One node's broker on a bus.
pub struct MemoryBroker {
    bus: Arc<MemoryBus>,
    ear: Arc<Ear>,
    dropped: AtomicU64,
}

/// Gives what comes to the inbox, until the broker is gone or the inbox is.
fn listen(queue: &Receiver<Mail>, ear: &Weak<Ear>, inbox: &Weak<dyn Inbox>) {
    while let Ok(first) = queue.recv() {
        let Some(inbox) = inbox.upgrade() else { return };
        for mail in std::iter::once(first).chain(queue.try_iter()) {
            match mail {
                Mail::Post(bytes) => inbox.received(bytes),
                Mail::Confirmed(channel) => inbox.confirmed(&channel),
                Mail::State(state) => inbox.state(state),
            }
        }
        let Some(ear) = ear.upgrade() else { return };
        let owed = std::mem::take(&mut *ear.owed.lock());
        if let Some(state) = owed.state {
            inbox.state(state);
        }
        owed.channels.iter().for_each(|channel| inbox.confirmed(channel));
    }
}

impl Broker for MemoryBroker {
    fn attach(&self, inbox: Arc<dyn Inbox>) {
        let (to, from) = sync_channel(QUEUE_MAX);
        *self.ear.queue.lock() = Some(to);
        // The thread must not keep its node alive: it ends when the node's broker does.
        let (inbox, ear) = (Arc::downgrade(&inbox), Arc::downgrade(&self.ear));
        let thread = std::thread::Builder::new().name("memory-broker".into());
        let started = thread.spawn(move || listen(&from, &ear, &inbox));
        drop(started.expect("a thread can be started at the node's start"));
        self.ear.tell(Mail::State(self.current_state()));
    }

    fn listen(&self, channel: &Channel) {
        self.ear.channels.write().insert(channel.clone());
        if !self.bus.is_down.load(Ordering::Acquire) {
            self.ear.tell(Mail::Confirmed(channel.clone()));
        }
    }

    fn ignore(&self, channel: &Channel) {
        self.ear.channels.write().remove(channel);
    }

    fn post(&self, channel: &Channel, bytes: Bytes) {
        if self.bus.loses() {
            self.dropped.fetch_add(1, Ordering::Relaxed);
            return;
        }
        for ear in self.bus.ears.read().iter().filter_map(Weak::upgrade) {
            let is_for_it = matches!(channel, Channel::Node(_)) || !Arc::ptr_eq(&ear, &self.ear);
            let hears = is_for_it && ear.channels.read().contains(channel);
            if hears && !ear.give(Mail::Post(bytes.clone())) {
                self.dropped.fetch_add(1, Ordering::Relaxed);
            }
        }
    }

    fn current_state(&self) -> BrokerState {
        if self.bus.is_down.load(Ordering::Acquire) { BrokerState::Down } else { BrokerState::Up }
    }

    fn dropped(&self) -> u64 {
        self.dropped.load(Ordering::Relaxed)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::time::{Duration, Instant};

    #[derive(Default)]
    struct Slow {
        lock: Mutex<()>,
        told: Mutex<Vec<Channel>>,
    }

    impl Inbox for Slow {
        fn received(&self, _: Bytes) {
            drop(self.lock.lock());
        }
        fn confirmed(&self, channel: &Channel) {
            self.told.lock().push(channel.clone());
        }
        fn state(&self, _: BrokerState) {}
    }

    #[test]
    fn a_full_queue_drops_posts_and_no_confirmation() {
        let bus = MemoryBus::new();
        let (one, two) = (bus.broker(), bus.broker());
        let slow = Arc::new(Slow::default());
        two.attach(slow.clone());
        two.listen(&Channel::Nodes);
        let held = slow.lock.lock();
        for _ in 0..QUEUE_MAX + 10 {
            one.post(&Channel::Nodes, Bytes::from_static(b"x"));
        }
        assert!(one.dropped() > 0);
        two.ignore(&Channel::Nodes);
        two.listen(&Channel::Nodes);
        drop(held);
        let end = Instant::now() + Duration::from_secs(10);
        while slow.told.lock().len() < 2 {
            assert!(Instant::now() < end, "the second confirmation did not come");
            std::thread::yield_now();
        }
    }

    #[test]
    fn a_broker_that_is_gone_leaves_nothing_on_the_bus() {
        let bus = MemoryBus::new();
        for _ in 0..100 {
            drop(bus.broker());
        }
        let kept = bus.broker();
        assert_eq!(bus.ears.read().len(), 1);
        drop(kept);
    }
}
