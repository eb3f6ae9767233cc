//! Where streams begin.

use std::collections::BTreeMap;

use antiphon_protocol::Refusal;

/// Topics that are asked for, each with the position to go on from.
pub(crate) type Topics = Vec<(String, Option<String>)>;

/// Where the stream of a topic began.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Start {
    /// The position it goes on from.
    pub position: String,
    /// A position was given and proved good.
    pub recovered: bool,
}

/// Who this client is to the server.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Identity {
    pub(crate) tenant: String,
    pub(crate) user: String,
}

/// What became of the topics of one subscription.
#[derive(Debug)]
pub(crate) struct Begun {
    pub(crate) identity: Identity,
    pub(crate) topics: BTreeMap<String, Result<Start, Refusal>>,
}
