//! Questions to the other nodes: answers are gathered until all that are alive have answered, or the time is over.

use std::{
    collections::HashMap,
    sync::{Arc, OnceLock, Weak},
};

use antiphon_core::Channel;
use antiphon_protocol::{Control, NodeId, Parcel};
use parking_lot::Mutex;
use tokio::sync::mpsc;

use crate::Node;

/// One node's answer.
pub(crate) enum Answer {
    Users(Vec<antiphon_protocol::PresentUser>),
    Connections(u64),
}

#[derive(Default)]
pub(crate) struct Asks {
    open: Mutex<HashMap<u64, mpsc::Sender<(NodeId, Answer)>>>,
    node: OnceLock<Weak<Node>>,
}

impl Asks {
    pub fn belongs_to(&self, node: &Arc<Node>) {
        drop(self.node.set(Arc::downgrade(node)));
    }

    /// The node, for tasks that it starts.
    pub fn node(&self) -> Option<Arc<Node>> {
        self.node.get()?.upgrade()
    }

    pub fn answered(&self, ask: u64, from: NodeId, answer: Answer) {
        if let Some(to) = self.open.lock().get(&ask) {
            drop(to.try_send((from, answer)));
        }
    }
}

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
