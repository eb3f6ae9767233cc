//! What a subscriber holds: where its topics began, the events as they come, and what it has dealt with.

use std::{collections::BTreeMap, sync::Arc};

use antiphon_protocol::Refusal;
use tokio::{sync::oneshot, time::timeout};

use crate::{
    ask::{Ask, fits},
    client::Client,
    error::Error,
    event::Event,
    inbox::Inbox,
    place::{Begun, Start},
    wish::Wish,
};

/// After how many entries positions are kept though more wait.
const KEEP_EVERY: usize = 32;

/// The events of some topics. Dropping it ends them.
#[derive(Debug)]
pub struct Subscription {
    client: Client,
    inbox: Left,
    begun: Begun,
    /// The topic and position of the event that was given last.
    dealing: Option<(String, String)>,
    handled: BTreeMap<String, String>,
    /// What is not kept yet, and how many events that is.
    unkept: BTreeMap<String, String>,
    unkept_events: usize,
    told_end: bool,
}

/// An inbox that is left when its reader is gone, also before its subscription has begun.
#[derive(Debug)]
struct Left(Arc<Inbox>);

impl Drop for Left {
    fn drop(&mut self) {
        self.0.leave();
    }
}

impl Subscription {
    /// The tenant of this client's token.
    pub fn tenant(&self) -> &str {
        &self.begun.identity.tenant
    }

    /// The user of this client's token.
    pub fn user(&self) -> &str {
        &self.begun.identity.user
    }

    /// Where each topic began, or why it was refused.
    pub fn topics(&self) -> &BTreeMap<String, Result<Start, Refusal>> {
        &self.begun.topics
    }

    /// The last position of a topic that was dealt with: where another subscription may go on.
    ///
    /// An event is dealt with once the next one is asked for.
    pub fn position(&self, topic: &str) -> Option<&str> {
        self.handled.get(topic).map(String::as_str)
    }

    /// The next event; none: every topic has ended, or the client has. May be dropped and called again.
    ///
    /// It waits for as long as nothing happens, reconnects included. The event before it counts as dealt with from now
    /// on, and its position is kept where there is a [`PositionStore`](crate::PositionStore).
    pub async fn next(&mut self) -> Option<Event> {
        if let Some((topic, position)) = self.dealing.take() {
            self.deal(topic, position);
        }
        if self.inbox.0.is_empty() || self.unkept_events >= KEEP_EVERY {
            self.keep().await;
        }
        if let Some(event) = self.inbox.0.next().await {
            self.dealing = event.place();
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

    /// Calls a handler with each event, one after the other, until there are no more. One that fails ends it, and its
    /// event does not count as dealt with.
    pub async fn for_each<E>(
        &mut self,
        mut handler: impl AsyncFnMut(Event) -> Result<(), E>,
    ) -> Result<(), E> {
        while let Some(event) = self.next().await {
            if let Err(error) = handler(event).await {
                self.dealing = None;
                self.keep().await;
                return Err(error);
            }
        }
        Ok(())
    }

    fn deal(&mut self, topic: String, position: String) {
        if self.client.shared.positions.is_some() {
            self.unkept.insert(topic.clone(), position.clone());
            self.unkept_events += 1;
        }
        self.handled.insert(topic, position);
    }

    /// Keeps what was dealt with; what could not be kept is tried again with the next.
    async fn keep(&mut self) {
        let Some(store) = self.client.shared.positions.clone() else { return };
        self.unkept_events = 0;
        while let Some((topic, position)) = self.unkept.first_key_value() {
            if let Err(error) = store.set(topic, position).await {
                tracing::warn!(%error, topic, "a position could not be kept");
                return;
            }
            self.unkept.pop_first();
        }
    }
}

impl Client {
    /// Subscribes to topics, from where they were kept, else from now on; without any, to the tenant's own.
    pub async fn subscribe<T: Into<String>>(
        &self,
        topics: impl IntoIterator<Item = T>,
    ) -> Result<Subscription, Error> {
        self.subscribe_from(topics, std::iter::empty::<(String, String)>()).await
    }

    /// Subscribes to topics, each from the position that is given for it; it wins over the one that was kept.
    ///
    /// Returns once the server has answered for all of them; if all were refused it is an error. Events that are not
    /// read wait in a bounded inbox; what does not fit stays at the server until there is room.
    pub async fn subscribe_from<T: Into<String>, K: Into<String>, P: Into<String>>(
        &self,
        topics: impl IntoIterator<Item = T>,
        positions: impl IntoIterator<Item = (K, P)>,
    ) -> Result<Subscription, Error> {
        let topics: Vec<String> = topics.into_iter().map(Into::into).collect();
        let positions: BTreeMap<String, String> =
            positions.into_iter().map(|(topic, position)| (topic.into(), position.into())).collect();
        let begins = self.begin(topics, positions);
        timeout(self.shared.ask_timeout, begins).await.unwrap_or(Err(Error::Timeout))
    }

    async fn begin(
        &self,
        mut topics: Vec<String>,
        mut positions: BTreeMap<String, String>,
    ) -> Result<Subscription, Error> {
        if topics.is_empty() {
            topics.push(self.own_topic().await?);
        }
        topics.sort();
        topics.dedup();
        for topic in &topics {
            let shown = positions.get(topic).map(|position| (topic.as_str(), position.as_str()));
            fits(&Ask::subscribe(std::slice::from_ref(topic), shown.into_iter().collect()).encode(Some(0)))?;
        }
        if let Some(store) = &self.shared.positions {
            for topic in topics.iter().filter(|topic| !positions.contains_key(*topic)).collect::<Vec<_>>() {
                let kept = store.get(topic).await.map_err(|error| Error::Positions(Arc::from(error)))?;
                positions.extend(kept.map(|position| (topic.clone(), position)));
            }
        }
        let inbox = Left(Inbox::new(self.shared.inbox, Arc::clone(&self.shared.stir)));
        let (reply, answer) = oneshot::channel();
        let asked = topics.into_iter().map(|topic| {
            let position = positions.get(&topic).cloned();
            (topic, position)
        });
        let wish = Wish::Subscribe { topics: asked.collect(), inbox: Arc::clone(&inbox.0), reply };
        self.shared.wishes.send(wish).await.map_err(|_| self.ended())?;
        let begun = answer.await.map_err(|_| self.ended())??;
        if let Some(Err(refusal)) = begun.topics.values().next()
            && begun.topics.values().all(Result::is_err)
        {
            return Err(Error::Refused(refusal.clone()));
        }
        let mut subscription = Subscription {
            client: self.clone(),
            inbox,
            begun,
            dealing: None,
            handled: BTreeMap::new(),
            unkept: BTreeMap::new(),
            unkept_events: 0,
            told_end: false,
        };
        let started = subscription.begun.topics.iter().filter_map(|(topic, start)| {
            // One that was given may still be reset, so it is the one to go on from.
            let position =
                positions.remove(topic).or(start.as_ref().ok().map(|start| start.position.clone()))?;
            start.is_ok().then(|| (topic.clone(), position))
        });
        for (topic, position) in started.collect::<Vec<_>>() {
            subscription.deal(topic, position);
        }
        subscription.keep().await;
        Ok(subscription)
    }
}
