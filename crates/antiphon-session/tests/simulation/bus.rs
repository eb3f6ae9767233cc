//! A bell that loses, doubles, delays and overtakes, and whose connections come and go, with and without a word.

use std::sync::{
    Arc,
    atomic::{AtomicBool, AtomicU64, Ordering},
};

use antiphon_core::{Broker, BrokerState, Channel, Inbox};
use bytes::Bytes;
use parking_lot::Mutex;

use crate::dice::Dice;

/// What all nodes of a world ring.
pub struct Bus {
    dice: Dice,
    ears: Mutex<Vec<Arc<Ear>>>,
    /// Of a thousand posts to one node, so many are lost.
    pub loss: AtomicU64,
}

/// One node's connection to the bus.
pub struct Ear {
    dice: Dice,
    inbox: Mutex<Option<Arc<dyn Inbox>>>,
    channels: Mutex<Vec<Channel>>,
    /// It is away, and the node knows.
    is_down: AtomicBool,
    /// Nothing comes or goes, and nobody knows.
    pub is_cut: AtomicBool,
}

/// What one node has of the bus.
pub struct SimBroker {
    bus: Arc<Bus>,
    ear: Arc<Ear>,
}

impl Bus {
    pub fn new(dice: Dice) -> Arc<Self> {
        Arc::new(Self { dice, ears: Mutex::default(), loss: AtomicU64::new(0) })
    }

    pub fn connect(self: &Arc<Self>) -> (SimBroker, Arc<Ear>) {
        let ear = Arc::new(Ear {
            dice: self.dice.clone(),
            inbox: Mutex::default(),
            channels: Mutex::default(),
            is_down: AtomicBool::new(false),
            is_cut: AtomicBool::new(false),
        });
        self.ears.lock().push(ear.clone());
        (SimBroker { bus: self.clone(), ear: ear.clone() }, ear)
    }

    /// The node is gone.
    pub fn forget(&self, ear: &Arc<Ear>) {
        ear.inbox.lock().take();
        self.ears.lock().retain(|held| !Arc::ptr_eq(held, ear));
    }
}

impl Ear {
    /// The connection goes or comes, and the node is told.
    pub fn set_down(self: &Arc<Self>, is_down: bool) {
        if self.is_down.swap(is_down, Ordering::AcqRel) == is_down {
            return;
        }
        let Some(inbox) = self.inbox.lock().clone() else { return };
        inbox.state(if is_down { BrokerState::Down } else { BrokerState::Up });
        if !is_down {
            for channel in self.channels.lock().clone() {
                self.confirm_soon(channel);
            }
        }
    }

    fn hears(&self) -> bool {
        !self.is_down.load(Ordering::Acquire) && !self.is_cut.load(Ordering::Acquire)
    }

    fn confirm_soon(self: &Arc<Self>, channel: Channel) {
        let ear = self.clone();
        let wait = self.dice.ms(0, 20);
        tokio::spawn(async move {
            crate::time::pass(wait).await;
            let inbox = ear.inbox.lock().clone();
            if let Some(inbox) = inbox
                && ear.hears()
                && ear.channels.lock().contains(&channel)
            {
                inbox.confirmed(&channel);
            }
        });
    }
}

impl Broker for SimBroker {
    fn attach(&self, inbox: Arc<dyn Inbox>) {
        inbox.state(self.current_state());
        *self.ear.inbox.lock() = Some(inbox);
    }

    fn listen(&self, channel: &Channel) {
        let mut channels = self.ear.channels.lock();
        if !channels.contains(channel) {
            channels.push(channel.clone());
            self.ear.confirm_soon(channel.clone());
        }
    }

    fn ignore(&self, channel: &Channel) {
        self.ear.channels.lock().retain(|held| held != channel);
    }

    fn post(&self, channel: &Channel, bytes: Bytes) {
        if !self.ear.hears() {
            return;
        }
        let ears = self.bus.ears.lock().clone();
        for ear in ears.into_iter().filter(|ear| !Arc::ptr_eq(ear, &self.ear)) {
            if self.bus.dice.permille(self.bus.loss.load(Ordering::Relaxed)) {
                continue;
            }
            let copies = 1 + u64::from(self.bus.dice.permille(50));
            for _ in 0..copies {
                // Most arrive at once and in order, some are overtaken.
                let wait = if self.bus.dice.permille(100) {
                    self.bus.dice.ms(0, 400)
                } else {
                    self.bus.dice.ms(1, 2)
                };
                let (ear, channel, bytes) = (ear.clone(), channel.clone(), bytes.clone());
                tokio::spawn(async move {
                    crate::time::pass(wait).await;
                    let inbox = ear.inbox.lock().clone();
                    if let Some(inbox) = inbox
                        && ear.hears()
                        && ear.channels.lock().contains(&channel)
                    {
                        inbox.received(bytes);
                    }
                });
            }
        }
    }

    fn current_state(&self) -> BrokerState {
        if self.ear.is_down.load(Ordering::Acquire) { BrokerState::Down } else { BrokerState::Up }
    }
}
