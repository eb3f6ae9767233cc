//! What a subscriber holds: where its topics began, and the events as they come.

use std::collections::BTreeMap;

use antiphon_protocol::Refusal;
use tokio::sync::mpsc;

use crate::{Client, Error, Event};

/// Where the stream of a topic began.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Start {
    /// The position it goes on from.
    pub position: String,
    /// A position was given and proved good.
    pub recovered: bool,
}

/// The events of some topics. Dropping it ends them.
#[derive(Debug)]
pub struct Subscription {
    client: Client,
    events: mpsc::Receiver<Event>,
    tenant: String,
    user: String,
    topics: BTreeMap<String, Result<Start, Refusal>>,
    told_end: bool,
}

impl Subscription {
    pub(crate) fn new(
        client: Client,
        events: mpsc::Receiver<Event>,
        tenant: String,
        user: String,
        topics: BTreeMap<String, Result<Start, Refusal>>,
    ) -> Self {
        Self { client, events, tenant, user, topics, told_end: false }
    }

    /// The tenant of this client's token.
    pub fn tenant(&self) -> &str {
        &self.tenant
    }

    /// The user of this client's token.
    pub fn user(&self) -> &str {
        &self.user
    }

    /// Where each topic began, or why it was refused.
    pub fn topics(&self) -> &BTreeMap<String, Result<Start, Refusal>> {
        &self.topics
    }

    /// The next event; none: every topic has ended, or the client has. May be dropped and called again.
    ///
    /// It waits for as long as nothing happens, reconnects included.
    pub async fn next(&mut self) -> Option<Event> {
        if let Some(event) = self.events.recv().await {
            return Some(event);
        }
        match self.client.end() {
            Some(Error::Terminated { reason }) if !self.told_end => {
                self.told_end = true;
                Some(Event::Terminated { reason })
            }
            _ => None,
        }
    }
}

impl Drop for Subscription {
    fn drop(&mut self) {
        self.events.close();
        self.client.prune();
    }
}
