//! What the two bells and their ears share: whom it rings, and what it tells.

use std::{
    sync::{
        Arc, OnceLock, Weak,
        atomic::{AtomicBool, AtomicU64, Ordering},
    },
    time::{Duration, Instant},
};

use antiphon_core::{Broker, BrokerState, Channel, Inbox};
use antiphon_protocol::{ClusterSecret, Control, Envelope, NodeId, Parcel};
use bytes::Bytes;
use parking_lot::Mutex;
use tokio::{sync::Notify, time::MissedTickBehavior};

use super::{probe, trust::Trust};

/// How often a probe goes over the first bell, and is looked after.
const PROBE_EVERY: Duration = Duration::from_millis(100);
/// How often a node says that it is deaf, while it is.
const DEAF_EVERY: Duration = Duration::from_millis(500);
/// For how long it is believed.
const DEAF_FOR: Duration = Duration::from_secs(2);
/// How long the spare rings too after the first bell has dropped something.
const DROPS_FOR: Duration = Duration::from_secs(2);
/// How often the spare rings for nobody, so that its idle connection is found dead before it is needed.
const EXERCISE_EVERY: Duration = Duration::from_secs(10);
/// How long the first bell has at the start before its absence is told.
const START_PATIENCE: Duration = Duration::from_secs(2);

pub(super) struct Shared {
    pub first: Arc<dyn Broker>,
    pub spare: Arc<dyn Broker>,
    pub secret: ClusterSecret,
    /// Names what these bells send for themselves; the node's own id is another.
    pub id: NodeId,
    inbox: OnceLock<Weak<dyn Inbox>>,
    /// No other lock is taken under it.
    pub trust: Mutex<Trust>,
    is_trusted: AtomicBool,
    /// Until when the spare rings too, whatever is trusted: for the deaf, and for what the first drops. Milliseconds after `start`.
    both_until: AtomicU64,
    start: Instant,
    /// What the inbox was told last. The inbox is called under it.
    told: Mutex<BrokerState>,
    /// A bell came or went.
    pub changed: Notify,
}

impl Shared {
    pub fn new(first: Arc<dyn Broker>, spare: Arc<dyn Broker>, secret: &ClusterSecret) -> Arc<Self> {
        Arc::new(Self {
            first,
            spare,
            secret: secret.clone(),
            id: NodeId(rand::random()),
            inbox: OnceLock::new(),
            trust: Mutex::default(),
            is_trusted: AtomicBool::new(false),
            both_until: AtomicU64::new(0),
            start: Instant::now(),
            told: Mutex::new(BrokerState::Down),
            changed: Notify::new(),
        })
    }

    pub fn attach(&self, inbox: &Arc<dyn Inbox>) {
        drop(self.inbox.set(Arc::downgrade(inbox)));
        self.look();
    }

    pub fn post(&self, channel: &Channel, bytes: Bytes) {
        let is_trusted = self.is_trusted.load(Ordering::Acquire);
        let rings_spare = !is_trusted || self.now_ms() < self.both_until.load(Ordering::Relaxed);
        if is_trusted || self.first.current_state() == BrokerState::Up {
            self.first.post(channel, bytes.clone());
        }
        if rings_spare {
            self.spare.post(channel, bytes);
        }
    }

    /// Another node is deaf.
    pub fn noted(&self) {
        self.both_for(DEAF_FOR);
    }

    fn now_ms(&self) -> u64 {
        self.start.elapsed().as_millis() as u64
    }

    fn both_for(&self, span: Duration) {
        self.both_until.fetch_max(self.now_ms() + span.as_millis() as u64, Ordering::Relaxed);
    }

    pub fn inbox(&self) -> Option<Arc<dyn Inbox>> {
        self.inbox.get().and_then(Weak::upgrade)
    }

    pub fn state(&self) -> BrokerState {
        if self.is_trusted.load(Ordering::Acquire) {
            BrokerState::Up
        } else if self.spare.current_state() == BrokerState::Up {
            BrokerState::Spare
        } else {
            BrokerState::Down
        }
    }

    /// Judges the first bell anew and tells what has changed.
    pub fn look(&self) {
        let is_up = self.first.current_state() == BrokerState::Up;
        let is_trusted = self.trust.lock().look(Instant::now(), is_up);
        if self.is_trusted.swap(is_trusted, Ordering::AcqRel) && !is_trusted {
            self.changed.notify_one();
        }
        let Some(inbox) = self.inbox() else { return };
        let mut told = self.told.lock();
        let state = self.state();
        let is_starting = *told == BrokerState::Down && state == BrokerState::Spare;
        if *told == state || (is_starting && self.start.elapsed() < START_PATIENCE) {
            return;
        }
        *told = state;
        inbox.state(state);
    }

    /// The probes of the first bell, the notes of a deaf node, and the exercise of the spare.
    pub async fn run(self: Arc<Self>) {
        let mut every = tokio::time::interval(PROBE_EVERY);
        every.set_missed_tick_behavior(MissedTickBehavior::Delay);
        let (mut said_deaf, mut exercised, mut dropped) = (None, Instant::now(), 0);
        loop {
            tokio::select! {
                _ = every.tick() => {}
                () = self.changed.notified() => {}
            }
            self.look();
            let now = Instant::now();
            if self.first.current_state() == BrokerState::Up {
                if self.first.dropped() > dropped {
                    self.both_for(DROPS_FOR);
                }
                let number = self.trust.lock().sends(now);
                self.first.post(&Channel::Node(self.id), probe::make(self.id, number));
            }
            dropped = self.first.dropped();
            let is_due = |last: Option<Instant>, every| last.is_none_or(|last| now - last >= every);
            if self.state() == BrokerState::Spare && is_due(said_deaf, DEAF_EVERY) {
                said_deaf = Some(now);
                self.spare.post(&Channel::Nodes, self.note());
            }
            if now - exercised >= EXERCISE_EVERY {
                exercised = now;
                self.spare.post(&Channel::Node(self.id), Bytes::new());
            }
        }
    }

    fn note(&self) -> Bytes {
        Envelope { origin: self.id, parcel: Parcel::Control(Control::Deaf) }.seal(&self.secret)
    }
}
