//! What nodes tell each other besides entries and signals. All of it is a hint or a question: losing one
//! costs time, never rightness.

use serde::{Deserialize, Serialize};

use crate::{NodeId, TenantId, TopicName, UserId};

/// A user and how many connections it has.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct PresentUser {
    /// The user.
    pub id: UserId,
    /// Its connections.
    pub connections: u32,
}

/// A message from node to node.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub enum Control {
    /// The directory of a tenant has changed: whoever holds an older audience should look.
    TenantChanged {
        /// Whose.
        tenant: TenantId,
        /// The revision it is at now.
        revision: u64,
    },
    /// Its sender may not hear the first bell: ring the spare one too for a while.
    Deaf,
    /// Who of yours is subscribed to this topic?
    PresenceAsk {
        /// Comes back in the answer.
        ask: u64,
        /// Who asks.
        from: NodeId,
        /// Whose topic.
        tenant: TenantId,
        /// Which one.
        topic: TopicName,
    },
    /// The answer to PresenceAsk.
    PresenceAnswer {
        /// The question.
        ask: u64,
        /// Who asked.
        to: NodeId,
        /// Who answers.
        from: NodeId,
        /// Those subscribed at the answering node.
        users: Vec<PresentUser>,
    },
    /// How many connections have you?
    CountAsk {
        /// Comes back in the answer.
        ask: u64,
        /// Who asks.
        from: NodeId,
    },
    /// The answer to CountAsk.
    CountAnswer {
        /// The question.
        ask: u64,
        /// Who asked.
        to: NodeId,
        /// Who answers.
        from: NodeId,
        /// Connections with an identity.
        connections: u64,
    },
}
