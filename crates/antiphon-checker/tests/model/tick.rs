//! The tick, and the fence that rests on it. As `antiphon-node/src/tick.rs` and `state/fence.rs`.

use super::rules::Rule;
use super::state::*;
use super::step::Step;

impl Step<'_> {
    pub fn tick(&mut self, node: usize) {
        self.s.nodes[node].asked = Asked::Revision(self.s.store.revision, false);
        self.tick_is_answered(node);
    }

    pub fn tick_is_answered(&mut self, node: usize) {
        let Asked::Revision(revision, is_old) = self.s.nodes[node].asked else { return };
        self.s.nodes[node].asked = Asked::Nothing;
        self.audience_as_read(node, revision);
        if !is_old || !self.keeps(Rule::FenceAsked) {
            self.s.nodes[node].is_fenced = false;
        }
        for topic in 0..TOPICS {
            let feed = self.s.nodes[node].feeds[topic];
            if feed.has_begun && feed.high != self.s.store.heads[topic] && feed.repair == Repair::Idle {
                self.want_repair(node, topic);
            }
        }
    }
}
