//! A node's ear on a Redis.

#![allow(dead_code, reason = "each test file uses its part")]
#![allow(clippy::unwrap_used)]

use std::{
    sync::{
        Arc,
        atomic::{AtomicU64, Ordering},
    },
    time::Duration,
};

use antiphon_core::{Broker, BrokerState, Channel, Inbox, PlainChannel, PlainInbox, Tasks};
use antiphon_protocol::{TenantId, Topic, TopicName};
use antiphon_redis::{RedisBroker, RedisOptions};
use antiphon_testkit::wait_until;
use bytes::Bytes;
use parking_lot::Mutex;

pub const PATIENCE: Duration = Duration::from_secs(30);

/// What only keeps Redis busy: it is counted and not kept.
pub const LOAD: &[u8] = b"load";

#[derive(Default)]
pub struct Ear {
    pub received: Mutex<Vec<Bytes>>,
    /// How many came, kept or not.
    pub count: AtomicU64,
    pub confirmed: Mutex<Vec<Channel>>,
    pub states: Mutex<Vec<BrokerState>>,
    pub plain: Mutex<Vec<(TenantId, Bytes)>>,
}

impl Inbox for Ear {
    fn received(&self, bytes: Bytes) {
        self.count.fetch_add(1, Ordering::Relaxed);
        let mut received = self.received.lock();
        if received.len() < 10_000 && bytes != LOAD {
            received.push(bytes);
        }
    }
    fn confirmed(&self, channel: &Channel) {
        self.confirmed.lock().push(channel.clone());
    }
    fn state(&self, state: BrokerState) {
        self.states.lock().push(state);
    }
}

impl PlainInbox for Ear {
    fn plain(&self, tenant: &TenantId, bytes: Bytes) {
        self.plain.lock().push((tenant.clone(), bytes));
    }
}

impl Ear {
    pub fn heard(&self, bytes: &[u8]) -> bool {
        self.received.lock().iter().any(|received| received == bytes)
    }
}

pub struct Node {
    pub broker: Arc<RedisBroker>,
    pub ear: Arc<Ear>,
    pub tasks: Tasks,
}

pub fn node(url: &str) -> Node {
    node_with(&RedisOptions::new(url))
}

pub fn node_with(options: &RedisOptions) -> Node {
    let tasks = Tasks::new(tokio::runtime::Handle::current());
    let broker = RedisBroker::start(options, &tasks).unwrap();
    let ear = Arc::new(Ear::default());
    broker.attach(ear.clone());
    broker.attach_plain(ear.clone());
    Node { broker, ear, tasks }
}

pub fn tenant(id: &str) -> TenantId {
    TenantId::parse(id).unwrap()
}

pub fn channel(name: &str) -> Channel {
    Channel::Topic(Topic::new(tenant("acme"), TopicName::parse(name).unwrap()))
}

impl Node {
    pub fn is_up(&self) -> bool {
        self.broker.current_state() == BrokerState::Up
    }

    /// Exactly these changes were told, the last one maybe just now.
    #[track_caller]
    pub fn was_told(&self, states: &[BrokerState]) {
        wait_until(PATIENCE, "told of its last change", || self.ear.states.lock().len() >= states.len());
        assert_eq!(*self.ear.states.lock(), states);
    }

    /// Listens, and returns once that is confirmed.
    pub fn hear(&self, channel: &Channel) {
        self.broker.listen(channel);
        wait_until(PATIENCE, "confirmed", || self.ear.confirmed.lock().contains(channel));
    }

    /// Posts until it is heard by itself.
    pub fn is_heard_on(&self, channel: &Channel, text: &'static str) {
        wait_until(PATIENCE, text, || {
            self.broker.post(channel, Bytes::from_static(text.as_bytes()));
            self.ear.heard(text.as_bytes())
        });
    }
}
