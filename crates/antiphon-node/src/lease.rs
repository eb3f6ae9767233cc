//! This node's lease: renewed while it lives, released when it goes.

use std::sync::Arc;

use antiphon_core::Lease;

use crate::node::Node;

impl Node {
    pub(crate) async fn run_lease(self: Arc<Self>) {
        let mut every = tokio::time::interval(self.limits.lease_renewal);
        every.set_missed_tick_behavior(tokio::time::MissedTickBehavior::Delay);
        let ttl_ms = self.limits.lease_ttl.as_millis() as u64;
        loop {
            every.tick().await;
            let lease = Lease { node: self.id, connections: self.metrics.identified.get() };
            match self.bounded("the presence", self.engines.presence.renew(lease, ttl_ms)).await {
                Ok(alive) => *self.leases.0.lock() = alive,
                Err(error) => tracing::warn!(%error, "the lease was not renewed"),
            }
        }
    }

    /// Ends the lease at once, so that this node counts no more.
    pub async fn release_lease(&self) {
        if let Err(error) = self.bounded("the presence", self.engines.presence.release(self.id)).await {
            tracing::warn!(%error, "the lease ends by itself");
        }
    }
}
