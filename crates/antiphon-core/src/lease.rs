//! The seam that says which nodes are alive: one lease a node.

use antiphon_protocol::NodeId;
use async_trait::async_trait;

use crate::SeamError;

/// A node that vouches for its connections.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Lease {
    /// The node.
    pub node: NodeId,
    /// Its connections with an identity, as it last said.
    pub connections: u64,
}

/// Which nodes are alive. Who is connected where is kept by each node itself and asked for.
///
/// # Promises
/// A lease that was not renewed for `ttl_ms` (by the engine's own clock, one for all nodes) is not listed, and goes; a released one goes at once.
#[async_trait]
pub trait Presence: Send + Sync {
    /// Renews this node's lease and lists all that are alive.
    async fn renew(&self, lease: Lease, ttl_ms: u64) -> Result<Vec<Lease>, SeamError>;
    /// Ends this node's lease.
    async fn release(&self, node: NodeId) -> Result<(), SeamError>;
}
