//! How the node is: ready or not, and why.

use std::sync::atomic::Ordering;

use antiphon_core::BrokerState;

use crate::node::Node;

/// How a node is.
#[derive(Debug, Clone)]
pub struct Health {
    /// It may be given clients.
    pub ready: bool,
    /// It is going away.
    pub draining: bool,
    /// The database answers.
    pub database: bool,
    /// The broker's state; its absence costs time, not readiness.
    pub broker: BrokerState,
    /// What is not as it should be.
    pub reason: Option<String>,
}

impl Node {
    /// How it is now.
    pub fn health(&self) -> Health {
        let draining = self.health.draining.load(Ordering::Relaxed);
        let database = self.health.database.load(Ordering::Relaxed);
        let broker = self.engines.broker.current_state();
        let reasons = [
            draining.then_some("the node is draining"),
            (!database).then_some("the database does not answer"),
            (broker == BrokerState::Down)
                .then_some("the broker does not answer: entries of other nodes come with the next tick"),
        ];
        let reasons: Vec<&str> = reasons.into_iter().flatten().collect();
        let reason = (!reasons.is_empty()).then(|| reasons.join("; "));
        Health { ready: !draining && database, draining, database, broker, reason }
    }

    /// From now on it is not ready and takes no new clients.
    pub fn begin_drain(&self) {
        self.health.draining.store(true, Ordering::Relaxed);
    }
}
