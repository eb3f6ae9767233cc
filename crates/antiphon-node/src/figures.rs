//! The figures that are read when they are asked for.

use std::sync::atomic::Ordering;

use antiphon_core::BrokerState;
use prometheus_client::{encoding::text::encode, metrics::gauge::Gauge};

use crate::node::Node;

impl Node {
    /// All figures in the OpenMetrics text format.
    pub fn encode_metrics(&self) -> String {
        let m = &self.metrics;
        let level = |gauge: &Gauge, value: u64| {
            gauge.set(i64::try_from(value).unwrap_or(i64::MAX));
        };
        level(&m.connections_gauge, m.connections.get());
        level(&m.identified_gauge, m.identified.get());
        level(&m.subscriptions_gauge, m.subscriptions.get());
        level(&m.topics_gauge, self.hub.feed_count() as u64);
        level(&m.tenants_gauge, self.audiences.len() as u64);
        level(&m.queue_gauge, (self.lanes.waiting() + self.aside.waiting()) as u64);
        level(&m.hook_gauge, self.asking.waiting() as u64);
        let broker = self.engines.broker.current_state();
        level(&m.broker_up, u64::from(broker == BrokerState::Up));
        level(&m.spare_rings, u64::from(broker == BrokerState::Spare));
        level(&m.broker_dropped, self.engines.broker.dropped());
        level(&m.nodes_gauge, self.leases.alive().len().max(1) as u64);
        level(&m.verified_gauge, u64::from(self.is_verified()));
        level(&m.writable_gauge, u64::from(self.health.writable.load(Ordering::Relaxed)));
        let mut text = String::new();
        encode(&mut text, &m.registry).expect("a String takes all that is written to it");
        text
    }
}
