//! A broker for several nodes in one process. Each has a bounded queue and a thread that empties it, so that a post
//! never runs into its receiver.

use std::{
    collections::HashSet,
    sync::{
        Arc, Weak,
        atomic::{AtomicBool, AtomicU64, Ordering},
        mpsc::{Receiver, SyncSender, sync_channel},
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
        let ear = Arc::new(Ear { channels: RwLock::default(), queue: Mutex::default() });
        self.ears.write().push(Arc::downgrade(&ear));
        MemoryBroker { bus: self.clone(), ear, dropped: AtomicU64::new(0) }
    }

    /// While down, posts are lost and every node is told.
    pub fn set_down(&self, is_down: bool) {
        if self.is_down.swap(is_down, Ordering::AcqRel) == is_down {
            return;
        }
        let state = if is_down { BrokerState::Down } else { BrokerState::Up };
        for ear in self.ears.read().iter().filter_map(Weak::upgrade) {
            ear.give(Mail::State(state));
            if !is_down {
                for channel in ear.channels.read().iter() {
                    ear.give(Mail::Confirmed(channel.clone()));
                }
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

/// Gives what comes to the ear, until the broker is gone or the ear is.
fn listen(queue: &Receiver<Mail>, inbox: &Weak<dyn Inbox>) {
    while let Ok(mail) = queue.recv() {
        let Some(inbox) = inbox.upgrade() else { return };
        match mail {
            Mail::Post(bytes) => inbox.received(bytes),
            Mail::Confirmed(channel) => inbox.confirmed(&channel),
            Mail::State(state) => inbox.state(state),
        }
    }
}

impl Broker for MemoryBroker {
    fn attach(&self, inbox: Arc<dyn Inbox>) {
        let (to, from) = sync_channel(QUEUE_MAX);
        *self.ear.queue.lock() = Some(to);
        // The thread must not keep its node alive: it ends when the node's broker does.
        let inbox = Arc::downgrade(&inbox);
        let started =
            std::thread::Builder::new().name("memory-broker".into()).spawn(move || listen(&from, &inbox));
        drop(started.expect("a thread can be started at the node's start"));
    }

    fn listen(&self, channel: &Channel) {
        self.ear.channels.write().insert(channel.clone());
        if !self.bus.is_down.load(Ordering::Acquire) {
            self.ear.give(Mail::Confirmed(channel.clone()));
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
            let hears = !Arc::ptr_eq(&ear, &self.ear) && ear.channels.read().contains(channel);
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
