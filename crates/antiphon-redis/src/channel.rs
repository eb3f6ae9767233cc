//! Channels' names on Redis. Each of ours has a space in it and no id can have one, so that the name is read back
//! without doubt and is never the name of a tenant's plain channel.

use std::sync::Arc;

use antiphon_core::Channel;
use antiphon_protocol::TenantId;
use bytes::Bytes;

/// Shard channels that carry the posts of all topics of a cluster. All nodes must agree on it.
const PARTITIONS: u16 = 128;
/// How the name of a partition's channel begins.
const PARTITION: &str = "antiphon:topics {";
/// Stands between a topic's name and what was posted, where topics share a channel.
const END_OF_NAME: u8 = b'\n';

/// What a name is wanted for.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) enum Listened {
    Ours(Channel),
    Plain(TenantId),
}

/// A name, and the channel of Redis on which what is meant for it comes.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Named {
    pub name: Arc<str>,
    pub channel: Arc<str>,
}

impl Named {
    fn alone(name: &str) -> Self {
        let name: Arc<str> = name.into();
        Self { channel: name.clone(), name }
    }

    /// What is posted on the channel.
    pub fn wrap(&self, bytes: Bytes) -> Bytes {
        if self.name == self.channel {
            return bytes;
        }
        [self.name.as_bytes(), &[END_OF_NAME], &bytes].concat().into()
    }
}

/// Has each topic a channel of its own, or do they share partitions?
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Naming {
    Topics,
    Partitions,
}

impl Naming {
    pub fn ours(self, channel: &Channel) -> Named {
        match channel {
            Channel::Topic(topic) => {
                let mut named = Named::alone(&format!("antiphon:topic {} {}", topic.tenant(), topic.name()));
                if self == Self::Partitions {
                    let partition = crc16(named.name.as_bytes()) % PARTITIONS;
                    named.channel = format!("{PARTITION}{partition}}}").into();
                }
                named
            }
            Channel::Nodes => Named::alone("antiphon nodes"),
            Channel::Node(node) => Named::alone(&format!("antiphon node {node}")),
        }
    }

    pub fn plain(self, tenant: &TenantId) -> Named {
        Named::alone(tenant.as_str())
    }
}

/// Is it one of ours, which a cluster shards, or a plain one, which it does not?
pub(crate) fn is_ours(channel: &str) -> bool {
    channel.contains(' ')
}

/// The name that bytes on a channel are meant for, and what was posted for it. None: they were not made by us.
pub(crate) fn unwrap(channel: &str, bytes: Bytes) -> Option<(Arc<str>, Bytes)> {
    if !channel.starts_with(PARTITION) {
        return Some((channel.into(), bytes));
    }
    let end = bytes.iter().position(|byte| *byte == END_OF_NAME)?;
    let name = std::str::from_utf8(&bytes[..end]).ok()?.into();
    Some((name, bytes.slice(end + 1..)))
}

/// A channel's slot in a cluster.
pub(crate) fn slot(channel: &str) -> u16 {
    let tag = channel.split_once('{').and_then(|(_, rest)| rest.split_once('}')).map(|(tag, _)| tag);
    crc16(tag.filter(|tag| !tag.is_empty()).unwrap_or(channel).as_bytes()) % SLOTS
}

/// Slots of a cluster.
pub(crate) const SLOTS: u16 = 16_384;

/// CRC-16/XMODEM, as Redis Cluster has it.
fn crc16(bytes: &[u8]) -> u16 {
    bytes.iter().fold(0, |crc, byte| (crc << 8) ^ CRC16[usize::from((crc >> 8) as u8 ^ byte)])
}

const CRC16: [u16; 256] = {
    let mut table = [0; 256];
    let mut at = 0;
    while at < 256 {
        let (mut crc, mut bit) = ((at as u16) << 8, 0);
        while bit < 8 {
            crc = if crc & 0x8000 == 0 { crc << 1 } else { (crc << 1) ^ 0x1021 };
            bit += 1;
        }
        table[at] = crc;
        at += 1;
    }
    table
};

#[cfg(test)]
mod tests {
    use super::*;
    use antiphon_protocol::{Topic, TopicName};
    use std::collections::{HashMap, HashSet};

    fn named(naming: Naming, tenant: &str, topic: &str) -> Named {
        let topic = Topic::new(TenantId::parse(tenant).unwrap(), TopicName::parse(topic).unwrap());
        naming.ours(&Channel::Topic(topic))
    }

    fn topic(tenant: &str, topic: &str) -> String {
        let (named, shared) =
            (named(Naming::Topics, tenant, topic), named(Naming::Partitions, tenant, topic));
        assert!(named.name == named.channel && named.name == shared.name);
        named.name.to_string()
    }

    fn nodes() -> Named {
        Naming::Partitions.ours(&Channel::Nodes)
    }

    #[test]
    fn no_two_channels_have_one_name_and_none_is_a_tenants() {
        assert_ne!(topic("a", "b:c"), topic("a:b", "c"));
        assert_ne!(topic("a", "bc"), topic("ab", "c"));
        let partition = named(Naming::Partitions, "a", "b").channel.to_string();
        for name in [topic("a", "b"), nodes().name.to_string(), partition] {
            assert!(TenantId::parse(&name).is_err() && is_ours(&name), "{name} could be a tenant");
        }
    }

    #[test]
    fn slots_are_those_of_redis() {
        // What `CLUSTER KEYSLOT` says.
        for (channel, expected) in
            [("123456789", 12739), ("foo{hash_tag}", 2515), ("a{}b", 13694), ("{1}x", 9842)]
        {
            assert_eq!(slot(channel), expected, "{channel}");
        }
    }

    #[test]
    fn topics_are_spread_evenly_over_partitions_and_these_over_the_slots() {
        let mut topics: HashMap<Arc<str>, usize> = HashMap::new();
        for number in 0..12_800 {
            *topics.entry(named(Naming::Partitions, "acme", &format!("t{number}")).channel).or_default() += 1;
        }
        assert_eq!(topics.len(), usize::from(PARTITIONS));
        assert!(topics.values().all(|topics| (50..200).contains(topics)), "{topics:?}");
        let thirds: HashSet<u16> = topics.keys().map(|channel| slot(channel) / (SLOTS / 3 + 1)).collect();
        for third in thirds {
            let share = topics.keys().filter(|channel| slot(channel) / (SLOTS / 3 + 1) == third).count();
            assert!((30..56).contains(&share), "a third of the slots has {share} partitions");
        }
    }

    #[test]
    fn what_is_posted_on_a_shared_channel_is_read_back_for_its_name_alone() {
        let shared = named(Naming::Partitions, "acme", "news");
        for bytes in [&b""[..], b"x", b"\n\n", &[0xff; 1000]] {
            let bytes = Bytes::copy_from_slice(bytes);
            let wrapped = shared.wrap(bytes.clone());
            assert_eq!(unwrap(&shared.channel, wrapped), Some((shared.name.clone(), bytes.clone())));
            let nodes = nodes();
            assert_eq!(unwrap(&nodes.channel, nodes.wrap(bytes.clone())), Some((nodes.name, bytes)));
        }
        for bytes in [&b""[..], b"no end", b"\xff\nx"] {
            assert_eq!(unwrap(&shared.channel, Bytes::from_static(bytes)), None);
        }
    }

    proptest::proptest! {
        #[test]
        fn a_name_is_read_back_without_doubt(tenant in "[!-~]{1,128}", named in "[!-~]{1,255}") {
            let text = topic(&tenant, &named);
            let parts: Vec<&str> = text.split(' ').collect();
            assert_eq!(parts, ["antiphon:topic", tenant.as_str(), named.as_str()]);
            assert!(TenantId::parse(&text).is_err());
            assert_ne!(text, nodes().name.as_ref());
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
