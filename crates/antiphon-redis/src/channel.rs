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
        Channel::Node(node) => format!("antiphon node {node}"),
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

    proptest::proptest! {
        #[test]
        fn a_name_is_read_back_without_doubt(tenant in "[!-~]{1,128}", named in "[!-~]{1,255}") {
            let text = topic(&tenant, &named);
            let parts: Vec<&str> = text.split(' ').collect();
            assert_eq!(parts, ["antiphon:topic", tenant.as_str(), named.as_str()]);
            assert!(TenantId::parse(&text).is_err());
            assert_ne!(text, name(&Channel::Nodes));
        }

        #[test]
        fn names_of_few_letters_never_meet(
            one in "[a:/ ]{1,3}", two in "[a:/ ]{1,3}", three in "[a:/ ]{1,3}", four in "[a:/ ]{1,3}"
        ) {
            let parsed = [&one, &two, &three, &four].map(|text| text.replace(' ', "antiphon:topic"));
            let [one, two, three, four] = parsed;
            let is_same = one == three && two == four;
            assert_eq!(topic(&one, &two) == topic(&three, &four), is_same);
        }
    }
}
