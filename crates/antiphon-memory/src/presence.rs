//! Leases in memory.

use std::{
    collections::HashMap,
    time::{Duration, Instant},
};

use antiphon_core::{Lease, Presence, SeamError};
use antiphon_protocol::NodeId;
use async_trait::async_trait;
use parking_lot::Mutex;

/// The leases of the nodes of one process.
#[derive(Default)]
pub struct MemoryPresence(Mutex<HashMap<NodeId, (Lease, Instant)>>);

#[async_trait]
impl Presence for MemoryPresence {
    async fn renew(&self, lease: Lease, ttl_ms: u64) -> Result<Vec<Lease>, SeamError> {
        let mut leases = self.0.lock();
        let now = Instant::now();
        leases.insert(lease.node, (lease, now + Duration::from_millis(ttl_ms)));
        leases.retain(|_, (_, ends)| *ends > now);
        Ok(leases.values().map(|(lease, _)| *lease).collect())
    }

    async fn release(&self, node: NodeId) -> Result<(), SeamError> {
        self.0.lock().remove(&node);
        Ok(())
    }
}
