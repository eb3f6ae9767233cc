//! The seam to the other nodes: the broker is only a bell.

use std::sync::Arc;

use antiphon_protocol::{NodeId, TenantId, Topic};
use bytes::Bytes;

/// Where nodes hear each other.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub enum Channel {
    /// A topic's entries and signals.
    Topic(Topic),
    /// Control messages for every node.
    Nodes,
    /// One node's own: what it posts there comes back to it, which proves the way through.
    Node(NodeId),
}

/// How a broker is.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum BrokerState {
    /// Connected, and what is listened to is confirmed.
    Up,
    /// Away or in doubt, while another one rings in its place.
    Spare,
    /// Away; it is tried again.
    Down,
}

/// A node's ear. Called from the engine's own thread or task: it must not block.
pub trait Inbox: Send + Sync {
    /// Somebody posted these bytes: untrusted until opened.
    fn received(&self, bytes: Bytes);
    /// Listening to this channel began now: what was posted before may have been missed.
    fn confirmed(&self, channel: &Channel);
    /// The connection came or went. After `Down` every channel may miss posts until it is confirmed again.
    fn state(&self, state: BrokerState);
}

/// The bell.
///
/// # Promises
/// - No method blocks or fails: `post` drops when its bounded queue is full or the broker is away, and counts it.
/// - What is listened to stays listened to through every reconnect, and each (re)start of hearing is `confirmed`.
/// - After `ignore` nothing of that channel arrives for long, and the broker keeps nothing for it.
///
/// # Not promised
/// That a post arrives, arrives once, or arrives in order. That a node does not hear its own posts; those to its own
/// channel ([`Channel::Node`]) it does hear.
pub trait Broker: Send + Sync {
    /// Gives the ear; called once, before anything else. A broker that is up by then tells it so.
    fn attach(&self, inbox: Arc<dyn Inbox>);
    /// Listens to a channel from now on.
    fn listen(&self, channel: &Channel);
    /// Ends that.
    fn ignore(&self, channel: &Channel);
    /// Rings: all that listen to the channel get the bytes.
    fn post(&self, channel: &Channel, bytes: Bytes);
    /// How it is now.
    fn current_state(&self) -> BrokerState;
    /// How many posts were dropped since the start.
    fn dropped(&self) -> u64 {
        0
    }
}

/// What a plain channel's listener gets.
pub trait PlainInbox: Send + Sync {
    /// Some program published these bytes on the channel named after the tenant: untrusted.
    fn plain(&self, tenant: &TenantId, bytes: Bytes);
}

/// The post's own form: plain JSON on the channel named after the tenant's id. Nothing is promised but an attempt.
pub trait PlainChannel: Send + Sync {
    /// Gives the ear; called once.
    fn attach_plain(&self, inbox: Arc<dyn PlainInbox>);
    /// Hears what others publish for the tenant.
    fn listen_plain(&self, tenant: &TenantId);
    /// Ends that.
    fn ignore_plain(&self, tenant: &TenantId);
    /// Publishes for the post's listeners.
    fn post_plain(&self, tenant: &TenantId, json: Bytes);
}
