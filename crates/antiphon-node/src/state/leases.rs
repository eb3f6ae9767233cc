//! The leases of the nodes that are alive, as last seen.

use antiphon_core::Lease;
use antiphon_protocol::NodeId;
use parking_lot::Mutex;

#[derive(Default)]
pub(crate) struct Leases(pub Mutex<Vec<Lease>>);

impl Leases {
    pub fn alive(&self) -> Vec<Lease> {
        self.0.lock().clone()
    }

    pub fn others(&self, me: NodeId) -> Vec<NodeId> {
        self.0.lock().iter().map(|lease| lease.node).filter(|node| *node != me).collect()
    }
}
