//! Publishes under way.

use antiphon_node::Published;
use antiphon_protocol::{Key, TopicName};

/// A publish or a signal that waits for its outcome.
pub(crate) struct InFlight {
    pub number: u64,
    pub reference: Option<Box<str>>,
    pub topic: Option<TopicName>,
    pub key: Option<Key>,
    pub outcome: Option<Published>,
}
