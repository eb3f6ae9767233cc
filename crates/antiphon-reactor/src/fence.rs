//! A node that could verify nothing for too long delivers nothing, and lets its clients go where it is told to.

use antiphon_hub::SubscriberKey;
use antiphon_node::EndReason;
use antiphon_protocol::CloseCode;
use rand::RngExt;

use crate::shard::ShardThread;

/// Within this time (ms) the clients of a node that lets them go come back elsewhere.
const COME_BACK_WITHIN_MS: u64 = 2000;

impl ShardThread {
    /// May anything leave now? What may not stays where it is, and goes on with [`ShardThread::go_on_verified`].
    pub(crate) fn may_deliver(&mut self) -> bool {
        let may = self.links.node.is_verified();
        self.holds_back |= !may;
        may
    }

    /// Goes on with what was held back, once the node has verified again; what is new in the feeds comes with the pass.
    pub(crate) fn go_on_verified(&mut self) {
        if !self.holds_back || !self.links.node.is_verified() {
            return;
        }
        self.holds_back = false;
        let keys = |(index, connection): (usize, &crate::connection::Connection)| {
            let keys: Vec<SubscriberKey> = connection.session.keys().collect();
            (index, keys)
        };
        let held: Vec<_> = self
            .links
            .connections
            .iter()
            .filter(|(_, connection)| !connection.outlet.is_blocked() && connection.closing_since.is_none())
            .map(keys)
            .collect();
        for (index, keys) in held {
            keys.into_iter().for_each(|key| self.go_on_with(index, key));
        }
    }

    /// Ends every connection of a node that has to let them go, with a code that is worth coming back elsewhere.
    pub(crate) fn let_go(&mut self) {
        if self.links.connections.is_empty() || !self.links.node.lets_go() {
            return;
        }
        for index in self.links.connections.iter().map(|(index, _)| index).collect::<Vec<_>>() {
            if self.links.connections.get(index).is_none_or(|held| held.closing_since.is_some()) {
                continue;
            }
            let after_ms = rand::rng().random_range(0..=COME_BACK_WITHIN_MS);
            self.step(index, |session, _, _, acts| session.reconnect(after_ms, acts));
            self.links.close(index, CloseCode::Restart, EndReason::Fenced);
        }
    }
}
