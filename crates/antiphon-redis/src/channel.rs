//! Channels' names on Redis. Each of ours has a space in it and no id can have one, so that the name is read back
//! without doubt and is never the name of a tenant's plain channel.

use antiphon_core::Channel;
use antiphon_protocol::TenantId;

/// What a Redis channel is for.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) enum Listened {
    Ours(Channel),
    Plain(TenantId),
}

/// The name of one of our channels.
pub(crate) fn name(channel: &Channel) -> String {
    match channel {
        Channel::Topic(topic) => format!("antiphon:topic {} {}", topic.tenant(), topic.name()),
        Channel::Nodes => "antiphon nodes".to_owned(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use antiphon_protocol::{Topic, TopicName};

    fn topic(tenant: &str, topic: &str) -> String {
        name(&Channel::Topic(Topic::new(TenantId::parse(tenant).unwrap(), TopicName::parse(topic).unwrap())))
    }

    #[test]
    fn no_two_channels_have_one_name_and_none_is_a_tenants() {
        assert_ne!(topic("a", "b:c"), topic("a:b", "c"));
        assert_ne!(topic("a", "bc"), topic("ab", "c"));
        for name in [topic("a", "b"), name(&Channel::Nodes)] {
            assert!(TenantId::parse(&name).is_err(), "{name} could be a tenant");
        }
    }
}
