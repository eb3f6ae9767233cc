//! Publishing, and what happens to the store. As `antiphon-node/src/publish.rs` and the stores' append.

use super::rules::Rule;
use super::state::*;
use super::step::Step;

impl Step<'_> {
    /// A key is sent to a node, or sent again.
    pub fn send(&mut self, key: u8, node: usize) {
        let is_after = self.s.spent.removals > 0;
        self.s.attempts[0] = Attempt { stage: Stage::Queued, key, node: node as u8, is_after };
        self.s.attempts.sort_unstable();
    }

    /// Its batch is taken, and the revision read.
    pub fn stamp(&mut self, index: usize) {
        let node = self.s.attempts[index].node as usize;
        let revision = if self.keeps(Rule::Stamp) { self.fresh(node) } else { self.s.nodes[node].revision };
        if !self.keeps(Rule::CommitFirst) {
            self.s.acked |= 1 << self.s.attempts[index].key;
        }
        self.s.attempts[index].stage = Stage::Stamped(revision);
        self.s.attempts.sort_unstable();
    }

    /// It is committed. False: the answer never comes.
    pub fn commit(&mut self, index: usize, is_answered: bool) {
        let attempt = self.s.attempts[index];
        let Stage::Stamped(revision) = attempt.stage else { return };
        let topic = self.world.topic_of(attempt.key);
        let store = &mut self.s.store;
        let head = store.heads[topic];
        let held = (1..=store.len).find(|id| {
            let entry = store.entry(*id);
            entry.topic as usize == topic && entry.key == attempt.key && store.holds(topic, *id)
        });
        let (id, is_old) = match held.filter(|_| self.world.keeps(Rule::Key)) {
            Some(id) => (id, true),
            None => {
                let offset = store.offset(head) + 1;
                let (topic, key, is_after) = (topic as u8, attempt.key, attempt.is_after);
                store.entries[store.len as usize] =
                    Entry { topic, offset, parent: head, key, revision, is_after };
                store.len += 1;
                store.heads[topic as usize] = store.len;
                (store.len, false)
            }
        };
        self.s.attempts[index] = if is_answered {
            Attempt { stage: Stage::Committed(id, is_old), ..attempt }
        } else {
            Attempt::default()
        };
        self.s.attempts.sort_unstable();
    }

    /// It is answered, offered here and posted.
    pub fn answer(&mut self, index: usize) {
        let attempt = self.s.attempts[index];
        let Stage::Committed(id, is_old) = attempt.stage else { return };
        self.s.attempts[index] = Attempt::default();
        self.s.attempts.sort_unstable();
        self.s.acked |= 1 << attempt.key;
        if !is_old {
            let node = attempt.node as usize;
            self.judge(node, self.world.topic_of(attempt.key), id);
            for other in (0..NODES).filter(|other| *other != node) {
                self.s.posted[other] |= bit(id);
            }
        }
    }

    /// A topic's log is what it was so many entries ago.
    pub fn restore(&mut self, topic: usize, back: u8) {
        for _ in 0..back {
            let head = self.s.store.heads[topic];
            self.s.store.cut |= bit(head);
            self.s.store.heads[topic] = self.s.store.entry(head).parent;
        }
    }

    /// The whole database is what it was before the directory changed.
    pub fn restore_all(&mut self) {
        for topic in 0..TOPICS {
            let store = &self.s.store;
            let (head, then) = (store.offset(store.heads[topic]), store.offset(store.backup[topic]));
            self.restore(topic, head - then);
        }
        self.s.store.revision -= 1;
        self.s.nodes.iter_mut().for_each(|node| node.has_to_look = true);
        if self.keeps(Rule::SameDirectory) {
            let outlived = self.s.attempts.iter_mut().filter(|one| matches!(one.stage, Stage::Stamped(_)));
            outlived.for_each(|one| *one = Attempt::default());
            self.s.attempts.sort_unstable();
        }
    }

    /// A node is killed and comes back with nothing.
    pub fn crash(&mut self, node: usize) {
        self.s.nodes[node] = Node::default();
        for attempt in &mut self.s.attempts {
            if attempt.node as usize == node {
                *attempt = Attempt::default();
            }
        }
        self.s.attempts.sort_unstable();
        self.let_go(node);
    }
}
