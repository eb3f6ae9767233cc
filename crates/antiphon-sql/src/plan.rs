//! What a call of `append` writes: decided in memory, from the locked topics and the entries that its keys have already.
//! Both engines lock and look up, ask this, and write what it says.

use std::collections::HashMap;

use antiphon_core::{AppendRefusal, Appended, GroupOutcome};
use antiphon_protocol::{ClusterSecret, Draft, Entry, Key, Position, Topic, UserId};
use uuid::Uuid;

/// Where a key is unique.
pub(crate) type KeyPlace = (Topic, Option<UserId>, Key);

/// The entries that keys stand for.
pub(crate) type Keyed = HashMap<KeyPlace, Entry>;

/// A topic's row as it was read under its lock.
#[derive(Debug, Clone, Copy)]
pub(crate) struct LockedTopic {
    pub id: i64,
    pub position: Position,
    /// The revision of its tenant's last deletion; 0: none that matters here.
    pub deleted: i64,
}

impl LockedTopic {
    /// Whether what is stamped with this revision was meant for the tenant that is gone.
    fn is_gone_for(&self, revision: u64) -> bool {
        self.deleted > 0 && self.deleted.cast_unsigned() >= revision
    }
}

/// What is to be written, and what is to be answered once it is.
pub(crate) struct Plan {
    pub entries: Vec<(i64, Entry)>,
    /// Row, new position, for each topic that gets entries.
    pub heads: Vec<(i64, Position)>,
    pub outcomes: Vec<GroupOutcome>,
}

/// The topics of these groups, each once, in the order in which all lock them.
pub(crate) fn topics_of(groups: &[(u64, Vec<Draft>)]) -> Vec<Topic> {
    let mut topics: Vec<Topic> =
        groups.iter().flat_map(|(_, drafts)| drafts).map(|draft| draft.topic.clone()).collect();
    topics.sort_unstable();
    topics.dedup();
    topics
}

/// The keys of these groups.
pub(crate) fn keys_of(groups: &[(u64, Vec<Draft>)]) -> Vec<KeyPlace> {
    groups.iter().flat_map(|(_, drafts)| drafts).filter_map(key_place).collect()
}

fn key_place(draft: &Draft) -> Option<KeyPlace> {
    let key = draft.key.clone()?;
    Some((draft.topic.clone(), draft.author.clone(), key))
}

/// Decides. `kept` are the stored entries of [`keys_of`] the same groups.
pub(crate) fn plan(
    secret: &ClusterSecret,
    groups: &[(u64, Vec<Draft>)],
    topics: &HashMap<Topic, LockedTopic>,
    mut kept: Keyed,
    now_ms: i64,
) -> Plan {
    let mut heads: HashMap<Topic, Position> = HashMap::new();
    let mut plan =
        Plan { entries: Vec::new(), heads: Vec::new(), outcomes: Vec::with_capacity(groups.len()) };
    for (revision, drafts) in groups {
        if drafts.iter().any(|draft| topics[&draft.topic].is_gone_for(*revision)) {
            plan.outcomes.push(Err(AppendRefusal::Gone));
            continue;
        }
        let mut group = Group { heads: HashMap::new(), keyed: HashMap::new(), appended: Vec::new() };
        let refused = drafts.iter().enumerate().find_map(|(index, draft)| {
            let earlier =
                key_place(draft).and_then(|place| kept.get(&place).or(group.keyed.get(&place)).cloned());
            match earlier {
                Some(entry) if entry.content == draft.content && entry.project == draft.project() => {
                    group.appended.push(Appended { entry, duplicate: true });
                    None
                }
                Some(_) => Some(AppendRefusal::Conflict(index)),
                None => {
                    let last = group.heads.get(&draft.topic).or(heads.get(&draft.topic)).copied();
                    let last = last.unwrap_or(topics[&draft.topic].position);
                    group.append(secret, draft, last, *revision, now_ms);
                    None
                }
            }
        });
        if let Some(refusal) = refused {
            plan.outcomes.push(Err(refusal));
            continue;
        }
        let new = group.appended.iter().filter(|appended| !appended.duplicate);
        plan.entries.extend(new.map(|new| (topics[&new.entry.topic].id, new.entry.clone())));
        heads.extend(group.heads);
        kept.extend(group.keyed);
        plan.outcomes.push(Ok(group.appended));
    }
    plan.heads = heads.iter().map(|(topic, position)| (topics[topic].id, *position)).collect();
    plan
}

/// A group while it is not known whether all of it can be appended.
struct Group {
    heads: HashMap<Topic, Position>,
    keyed: Keyed,
    appended: Vec<Appended>,
}

impl Group {
    fn append(&mut self, secret: &ClusterSecret, draft: &Draft, last: Position, revision: u64, now_ms: i64) {
        let id = Uuid::now_v7();
        let entry = Entry {
            id,
            topic: draft.topic.clone(),
            position: secret.next(last, &id, &draft.content),
            author: draft.author.clone(),
            project: draft.project(),
            key: draft.key.clone(),
            content: draft.content.clone(),
            created_at: now_ms,
            revision,
        };
        self.heads.insert(draft.topic.clone(), entry.position);
        if let Some(place) = key_place(draft) {
            self.keyed.insert(place, entry.clone());
        }
        self.appended.push(Appended { entry, duplicate: false });
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use antiphon_protocol::{Content, TenantId, TopicName};

    fn draft(key: Option<&str>, text: &str) -> Draft {
        let topic = Topic::new(TenantId::parse("acme").unwrap(), TopicName::parse("news").unwrap());
        let key = key.map(|key| Key::parse(key).unwrap());
        Draft { topic, author: None, named_project: None, key, content: Content::text(text).unwrap() }
    }

    fn planned(groups: &[(u64, Vec<Draft>)]) -> Plan {
        let secret = ClusterSecret::new([7; 32]);
        let topic = draft(None, "").topic;
        let position = secret.origin(&topic, secret.first_epoch(&topic));
        let topics = HashMap::from([(topic, LockedTopic { id: 1, position, deleted: 0 })]);
        plan(&secret, groups, &topics, Keyed::new(), 5)
    }

    #[test]
    fn a_refused_group_leaves_no_gap_and_no_key_behind() {
        let plan = planned(&[
            (1, vec![draft(Some("a"), "one")]),
            (2, vec![draft(Some("b"), "two"), draft(Some("a"), "other")]),
            (3, vec![draft(Some("b"), "three"), draft(Some("b"), "three")]),
        ]);
        let offsets: Vec<u64> = plan.entries.iter().map(|(_, entry)| entry.position.offset).collect();
        assert_eq!(offsets, [1, 2]);
        assert_eq!(plan.outcomes[1].as_ref().unwrap_err(), &AppendRefusal::Conflict(1));
        let last = plan.outcomes[2].as_ref().unwrap();
        assert!(!last[0].duplicate && last[1].duplicate && last[0].entry.id == last[1].entry.id);
        assert_eq!(plan.heads, [(1, plan.entries[1].1.position)]);
    }
}
