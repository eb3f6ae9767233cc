//! One step of the world: what all steps need.

use super::properties::Fault;
use super::rules::Rule;
use super::state::*;
use super::world::World;

/// A state that is being changed, by the rules of its world.
pub struct Step<'w> {
    pub world: &'w World,
    pub s: State,
}

impl Step<'_> {
    pub fn keeps(&self, rule: Rule) -> bool {
        self.world.keeps(rule)
    }

    pub fn fault(&mut self, fault: Fault) {
        self.s.faults |= fault.bit();
    }

    pub fn feed(&mut self, node: usize, topic: usize) -> &mut Feed {
        &mut self.s.nodes[node].feeds[topic]
    }

    /// The subscriptions of a topic that stand at a node.
    pub fn subscribers(&self, node: usize, topic: usize) -> impl Iterator<Item = usize> + use<> {
        let clients = self.s.clients;
        (0..CLIENTS).filter(move |client| {
            clients[*client].at == Some(node as u8)
                && matches!(clients[*client].subs[topic].stand, Stand::On { .. })
        })
    }

    /// Brings what a node holds of the directory to at least this revision.
    pub fn audience_at(&mut self, node: usize, revision: u8) {
        let (now, is_member) = (self.s.store.revision, self.s.store.is_member);
        let held = &mut self.s.nodes[node];
        if held.revision >= revision || now < held.revision {
            return;
        }
        if held.is_member != is_member {
            held.is_member = is_member;
            held.member_changed = true;
        }
        held.revision = now;
    }

    /// The same with a revision that was just read from the directory. Where that is behind what is held, nothing that is held is
    /// worth anything: whoever is connected is let go, and comes back.
    pub fn audience_as_read(&mut self, node: usize, revision: u8) {
        self.s.nodes[node].has_to_look = false;
        if self.s.nodes[node].revision <= revision {
            return self.audience_at(node, revision);
        }
        let (now, is_member) = (self.s.store.revision, self.s.store.is_member);
        if self.keeps(Rule::GoneBack) && now < self.s.nodes[node].revision {
            (self.s.nodes[node].revision, self.s.nodes[node].is_member) = (now, is_member);
            self.let_go(node);
        }
    }

    /// The same with the directory's revision now.
    pub fn fresh(&mut self, node: usize) -> u8 {
        let revision = self.s.store.revision;
        self.audience_as_read(node, revision);
        revision
    }

    /// The connections of a node end.
    pub fn let_go(&mut self, node: usize) {
        for client in 0..CLIENTS {
            if self.s.clients[client].at == Some(node as u8) {
                self.disconnect(client);
            }
        }
    }

    pub fn may_stay(&self, node: usize, client: usize, topic: usize) -> bool {
        client != REMOVED || topic != PROJECT_TOPIC || self.s.nodes[node].is_member
    }

    pub fn is_open(&self, node: usize) -> bool {
        !self.s.nodes[node].is_fenced || !self.keeps(Rule::Fence)
    }
}
