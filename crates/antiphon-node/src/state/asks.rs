//! Questions to other nodes that are open, and who waits for their answers.

use std::collections::HashMap;

use antiphon_protocol::NodeId;
use parking_lot::Mutex;
use tokio::sync::mpsc;

/// One node's answer.
pub(crate) enum Answer {
    Users(Vec<antiphon_protocol::PresentUser>),
    Connections(u64),
}

#[derive(Default)]
pub(crate) struct Asks {
    pub open: Mutex<HashMap<u64, mpsc::Sender<(NodeId, Answer)>>>,
}

impl Asks {
    pub fn answered(&self, ask: u64, from: NodeId, answer: Answer) {
        if let Some(to) = self.open.lock().get(&ask) {
            drop(to.try_send((from, answer)));
        }
    }
}
