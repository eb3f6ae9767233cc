//! How the node is: ready or not, and why.

use std::sync::atomic::Ordering;

use antiphon_core::BrokerState;

use crate::node::Node;

/// How a node is.
#[derive(Debug, Clone)]
pub struct Health {
    /// It may be given clients.
    pub ready: bool,
    /// It is going away: no longer ready, though it may still accept.
    pub draining: bool,
    /// It takes new clients; false once those that it has are being moved away, and while it can't verify who they are.
    pub accepting: bool,
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
        let accepting = self.health.accepting.load(Ordering::Relaxed);
        let database = self.health.database.load(Ordering::Relaxed);
        let writable = self.health.writable.load(Ordering::Relaxed);
        let broker = self.engines.broker.current_state();
        let broker_reason = match broker {
            BrokerState::Up => None,
            BrokerState::Spare => Some("the broker does not answer: the spare one rings in its place"),
            BrokerState::Down => {
                Some("the broker does not answer: entries of other nodes come with the next tick")
            }
        };
        let verified = self.is_verified();
        let reasons = [
            draining.then_some("the node is draining"),
            (!database).then_some("the database does not answer"),
            (database && !writable)
                .then_some("the database did not take what was published last: its disk may be full"),
            (!verified).then_some("nothing could be verified for too long: no work is taken"),
            broker_reason,
        ];
        let reasons: Vec<&str> = reasons.into_iter().flatten().collect();
        let reason = (!reasons.is_empty()).then(|| reasons.join("; "));
        Health {
            ready: !draining && database && verified,
            draining,
            accepting: accepting && verified,
            database,
            broker,
            reason,
        }
    }

    /// From now on it is not ready. It still takes new clients, until they are moved away: whoever sends them has to
    /// notice first.
    pub fn begin_drain(&self) {
        self.health.draining.store(true, Ordering::Relaxed);
    }

    /// Its clients are being moved away: from now on it takes no new ones either.
    pub fn begin_moving(&self) {
        self.begin_drain();
        self.health.accepting.store(false, Ordering::Relaxed);
    }
}
