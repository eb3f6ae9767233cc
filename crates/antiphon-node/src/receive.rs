//! Receive: what rings here, from this node or another, and what the feed's verdict asks for.

use std::sync::{Arc, atomic::Ordering};

use antiphon_core::{BrokerState, Channel, Inbox};
use antiphon_hub::{Delivery, Feed, Verdict};
use antiphon_protocol::{Envelope, NodeId, Parcel, find_content, now_ms};
use bytes::Bytes;

use crate::node::Node;

impl Node {
    /// Offers a delivery to its feed and acts on the verdict.
    pub(crate) fn judge(&self, feed: &Arc<Feed>, revision: u64, delivery: Delivery) {
        let is_signal = delivery.position.is_none();
        if is_signal && !self.is_verified() {
            // An entry waits in its ring until it may leave; a signal would be of another time by then.
            self.metrics.signals_dropped.inc();
            return;
        }
        match feed.offer(revision, delivery) {
            Verdict::Next | Verdict::Seen => {}
            // A signal's audience was brought up before it was judged, or is by whoever parked it.
            Verdict::Stale if is_signal => {}
            Verdict::Early(false) => {}
            Verdict::Early(true) => self.repair_unless_it_comes(feed),
            Verdict::Gap | Verdict::Stale | Verdict::Fork => self.repair(feed),
        }
    }

    fn receive(&self, origin: NodeId, parcel: Parcel) {
        match parcel {
            Parcel::Entry { topic, position, revision, id, author, project, key, json } => {
                let Some(feed) = self.hub.feed(&topic) else { return };
                let content = find_content(&json);
                let delivery =
                    Delivery::entry(position, project, author, key, &json).chained(id, content, &json);
                self.judge(&feed, revision, delivery);
            }
            Parcel::Head { topic, position } => {
                let Some(feed) = self.hub.feed(&topic) else { return };
                if feed.high() != Some(position) {
                    self.repair(&feed);
                }
            }
            Parcel::Signal { topic, revision, number, sent_at, project, json } => {
                // An entry has its place in the log; of a signal only this tells that it was heard before.
                if !self.replays.is_first(origin, number, sent_at, now_ms()) {
                    self.metrics.signals_repeated.inc();
                    return;
                }
                let Some(feed) = self.hub.feed(&topic) else { return };
                let delivery = Delivery::signal(project, &json);
                if feed.audience().revision() >= revision {
                    self.judge(&feed, revision, delivery);
                } else {
                    self.park(feed, revision, delivery);
                }
            }
            Parcel::Control(control) => self.control(control),
        }
    }
}

impl Inbox for Node {
    fn received(&self, bytes: Bytes) {
        match Envelope::open(&bytes, &self.secret) {
            Ok(envelope) if envelope.origin == self.id => {}
            Ok(envelope) => self.receive(envelope.origin, envelope.parcel),
            Err(error) => {
                if self.metrics.envelopes_refused.inc() == 0 {
                    tracing::warn!(%error, "dropped what came over the broker; later ones are only counted");
                }
            }
        }
    }

    fn confirmed(&self, channel: &Channel) {
        // What was posted before may have been missed.
        if let Channel::Topic(topic) = channel
            && let Some(feed) = self.hub.feed(topic)
        {
            self.repair(&feed);
        }
    }

    fn state(&self, state: BrokerState) {
        self.broker_changed.notify_one();
        let is_up = state == BrokerState::Up;
        let was_up = self.health.hears.swap(is_up, Ordering::Relaxed);
        match state {
            BrokerState::Up if was_up => {}
            BrokerState::Up => tracing::info!("the other nodes are heard"),
            BrokerState::Spare => {
                tracing::warn!("the broker is silent: the other nodes are heard by the spare one");
            }
            BrokerState::Down => {
                tracing::warn!("the other nodes are not heard: their entries come with the next tick");
            }
        }
    }
}
