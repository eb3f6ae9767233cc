//! Questions to the other nodes: answers are gathered until all that are alive have answered, or the time is over.

use antiphon_core::Channel;
use antiphon_protocol::{Control, NodeId, Parcel};
use tokio::sync::mpsc;

use crate::{
    node::Node,
    state::asks::{Answer, Asks},
};

/// Takes the question back when its asker is gone.
struct Open<'a> {
    asks: &'a Asks,
    ask: u64,
}

impl Drop for Open<'_> {
    fn drop(&mut self) {
        self.asks.open.lock().remove(&self.ask);
    }
}

impl Node {
    /// Asks all other nodes that are alive.
    pub(crate) async fn ask_all(&self, question: impl FnOnce(u64) -> Control) -> Vec<(NodeId, Answer)> {
        let others = self.leases.others(self.id);
        let mut answers = Vec::new();
        if others.is_empty() {
            return answers;
        }
        let ask = rand::random();
        let (to, mut from) = mpsc::channel(others.len() + 8);
        self.asks.open.lock().insert(ask, to);
        let _open = Open { asks: &self.asks, ask };
        self.post(&Channel::Nodes, Parcel::Control(question(ask)));
        let gather = async {
            while let Some((node, answer)) = from.recv().await {
                answers.push((node, answer));
                if others.iter().all(|other| answers.iter().any(|(node, _)| node == other)) {
                    break;
                }
            }
        };
        drop(tokio::time::timeout(self.limits.ask_timeout, gather).await);
        answers
    }
}
