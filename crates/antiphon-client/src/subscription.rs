//! What a subscriber holds: where its topics began, and the events as they come.

use std::collections::BTreeMap;

use antiphon_protocol::Refusal;
use tokio::sync::mpsc;

use crate::{
    ask::Ask,
    client::{Client, fits},
    driver::Wish,
    error::Error,
    event::Event,
    says::{Answer, Begun},
};

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

impl Client {
    /// Subscribes to topics from now on; without any, to the tenant's own.
    pub async fn subscribe<T: Into<String>>(
        &self,
        topics: impl IntoIterator<Item = T>,
    ) -> Result<Subscription, Error> {
        self.subscribe_from(topics, std::iter::empty::<(String, String)>()).await
    }

    /// Subscribes to topics, each from the position that is given for it.
    ///
    /// Events have to be read: while the queue of a subscription is full nothing more is read from the connection,
    /// not even the answers to other asks.
    pub async fn subscribe_from<T: Into<String>, K: Into<String>, P: Into<String>>(
        &self,
        topics: impl IntoIterator<Item = T>,
        positions: impl IntoIterator<Item = (K, P)>,
    ) -> Result<Subscription, Error> {
        let topics: Vec<String> = topics.into_iter().map(Into::into).collect();
        let positions: BTreeMap<String, String> =
            positions.into_iter().map(|(topic, position)| (topic.into(), position.into())).collect();
        let shown = positions.iter().map(|(topic, position)| (topic.as_str(), position.as_str())).collect();
        fits(&Ask::subscribe(&topics, shown).encode(Some(u64::MAX)))?;
        let (queue, events) = mpsc::channel(self.shared.queue);
        let wish = |reply| Wish::Subscribe {
            topics: topics.clone(),
            positions: positions.clone(),
            events: queue.clone(),
            reply,
        };
        match self.ask(wish).await? {
            Answer::Subscribed(subscribed) => {
                let start = |begun: Begun| Start { position: begun.position, recovered: begun.recovered };
                let topics = subscribed.topics.into_iter();
                let topics = topics.map(|(topic, outcome)| (topic, outcome.map(start))).collect();
                let (tenant, user) = (subscribed.tenant, subscribed.user);
                Ok(Subscription::new(self.clone(), events, tenant, user, topics))
            }
            _ => Err(Error::Disconnected),
        }
    }
}
