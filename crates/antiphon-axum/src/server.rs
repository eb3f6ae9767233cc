//! What the doors know: the node, its reactor, and who may come.

use std::sync::Arc;

use antiphon_node::Node;
use antiphon_reactor::{Reactor, ReactorOptions};
use ipnet::IpNet;

use crate::paces::Paces;

/// How the doors are set up.
#[derive(Debug, Clone, Default)]
pub struct HttpOptions {
    /// Origins besides the own host, as scheme, host and port.
    pub allowed_origins: Vec<url::Origin>,
    /// Proxies whose X-Forwarded-For is believed.
    pub trusted_proxies: Vec<IpNet>,
    /// Shards; 0: one a core.
    pub shards: usize,
    /// Tokens that carry the time of their issue only to the second are in use: revoking waits for the next second.
    pub tokens_by_the_second: bool,
}

/// A node with its doors.
pub struct Doors {
    pub(crate) node: Arc<Node>,
    pub(crate) reactor: Arc<Reactor>,
    pub(crate) options: HttpOptions,
    pub(crate) paces: Paces,
}

impl Doors {
    /// Opens the doors of a node: starts its shards.
    pub fn open(node: Arc<Node>, options: HttpOptions) -> std::io::Result<Arc<Self>> {
        let reactor = Reactor::start(&node, &ReactorOptions { shards: options.shards })?;
        Ok(Arc::new(Self { node, reactor, options, paces: Paces::default() }))
    }

    /// The node.
    pub fn node(&self) -> &Arc<Node> {
        &self.node
    }

    /// Its shards.
    pub fn reactor(&self) -> &Arc<Reactor> {
        &self.reactor
    }
}
