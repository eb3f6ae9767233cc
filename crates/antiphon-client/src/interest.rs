//! Which topics are heard by whom, where each stream is, and what waits for a subscription that is slow.

use std::collections::{BTreeMap, HashMap, VecDeque};

use tokio::sync::mpsc;

use crate::event::{Event, Message};

/// The most events that wait beside the queues, before news of the connection is left out.
const MAX_HELD_NEWS: usize = 64;

/// Where the stream of one topic is.
#[derive(Debug)]
struct Stream {
    subscription: u64,
    position: String,
    /// The last offset that was seen.
    offset: u64,
}

/// Who hears some of the topics.
#[derive(Debug)]
struct Hearer {
    events: mpsc::Sender<Event>,
    topics: usize,
}

/// The topics of one client.
#[derive(Debug, Default)]
pub(crate) struct Interest {
    streams: BTreeMap<String, Stream>,
    hearers: HashMap<u64, Hearer>,
    /// The tenant's own topic, once it is known.
    pub(crate) own_topic: Option<String>,
    held: VecDeque<(u64, Event)>,
    next: u64,
}

impl Interest {
    /// The first of these topics that is heard already.
    pub(crate) fn taken<'a>(&self, mut topics: impl Iterator<Item = &'a String>) -> Option<&'a String> {
        topics.find(|topic| self.streams.contains_key(*topic))
    }

    /// Begins a subscription.
    pub(crate) fn add(
        &mut self,
        events: mpsc::Sender<Event>,
        topics: impl Iterator<Item = (String, String)>,
    ) {
        self.next += 1;
        let subscription = self.next;
        let before = self.streams.len();
        let streams = topics.map(|(topic, position)| (topic, Stream { subscription, position, offset: 0 }));
        self.streams.extend(streams);
        let topics = self.streams.len() - before;
        self.hearers.insert(subscription, Hearer { events, topics });
    }

    /// Ends this topic, and with the last one its subscription.
    fn end(&mut self, topic: &str) -> Option<u64> {
        let subscription = self.streams.remove(topic)?.subscription;
        if let Some(hearer) = self.hearers.get_mut(&subscription) {
            hearer.topics -= 1;
        }
        Some(subscription)
    }

    fn forget_if_over(&mut self, subscription: u64) {
        let waits = self.held.iter().any(|(waiting, _)| *waiting == subscription);
        if !waits && self.hearers.get(&subscription).is_some_and(|hearer| hearer.topics == 0) {
            self.hearers.remove(&subscription);
        }
    }

    /// Ends these topics.
    pub(crate) fn remove(&mut self, topics: &[String]) {
        for topic in topics {
            if let Some(subscription) = self.end(topic) {
                self.forget_if_over(subscription);
            }
        }
    }

    /// Ends the topics whose subscription was dropped, and names them.
    pub(crate) fn prune(&mut self) -> Vec<String> {
        let dropped = |stream: &&Stream| {
            self.hearers.get(&stream.subscription).is_none_or(|hearer| hearer.events.is_closed())
        };
        let topics = self.streams.iter().filter(|(_, stream)| dropped(stream));
        let topics: Vec<String> = topics.map(|(topic, _)| topic.clone()).collect();
        self.remove(&topics);
        topics
    }

    /// Every topic.
    pub(crate) fn topics(&self) -> impl Iterator<Item = &String> {
        self.streams.keys()
    }

    /// The position of a topic.
    pub(crate) fn position(&self, topic: &str) -> Option<&str> {
        self.streams.get(topic).map(|stream| stream.position.as_str())
    }

    /// An entry came; one that was seen before is dropped.
    pub(crate) fn message(&mut self, message: Message) {
        let Some(stream) = self.streams.get_mut(message.topic()) else { return };
        if message.offset <= stream.offset {
            return;
        }
        stream.offset = message.offset;
        stream.position.clone_from(&message.position);
        let subscription = stream.subscription;
        self.hand(subscription, Event::Message(message));
    }

    /// The stream moved without an entry.
    pub(crate) fn moved(&mut self, topic: String, position: String, offset: u64) {
        let Some(stream) = self.streams.get_mut(&topic) else { return };
        if offset < stream.offset {
            return;
        }
        stream.offset = offset;
        stream.position.clone_from(&position);
        let subscription = stream.subscription;
        self.hand(subscription, Event::Position { topic, position, offset });
    }

    /// The stream goes on elsewhere: offsets of before say nothing any more.
    pub(crate) fn reset(&mut self, topic: String, reason: String, position: String) {
        let Some(stream) = self.streams.get_mut(&topic) else { return };
        stream.offset = 0;
        stream.position.clone_from(&position);
        let subscription = stream.subscription;
        self.hand(subscription, Event::Reset { topic, reason, position });
    }

    /// Something of a topic that has no place in its stream.
    pub(crate) fn beside(&mut self, topic: &str, event: Event) {
        let Some(stream) = self.streams.get(topic) else { return };
        self.hand(stream.subscription, event);
    }

    /// The right to a topic has ended.
    pub(crate) fn refused(&mut self, topic: String, reason: String) {
        let Some(subscription) = self.end(&topic) else { return };
        self.hand(subscription, Event::Unsubscribed { topic, reason });
        self.forget_if_over(subscription);
    }

    /// Something that concerns all.
    pub(crate) fn news(&mut self, event: &Event) {
        if self.held.len() < MAX_HELD_NEWS {
            let ids: Vec<u64> = self.hearers.keys().copied().collect();
            ids.into_iter().for_each(|id| self.hand(id, event.clone()));
        }
    }

    fn hand(&mut self, subscription: u64, event: Event) {
        let Some(hearer) = self.hearers.get(&subscription) else { return };
        if self.held.iter().any(|(waiting, _)| *waiting == subscription) {
            self.held.push_back((subscription, event));
        } else if let Err(mpsc::error::TrySendError::Full(event)) = hearer.events.try_send(event) {
            self.held.push_back((subscription, event));
        }
    }

    /// Whether an event waits for a full queue. Until it is taken nothing more is read.
    pub(crate) fn holds(&self) -> bool {
        !self.held.is_empty()
    }

    /// Waits until the first event that is held has found room. May be dropped and called again.
    pub(crate) async fn hand_over(&mut self) {
        let Some((subscription, _)) = self.held.front() else { return };
        let subscription = *subscription;
        let permit = match self.hearers.get(&subscription) {
            Some(hearer) => hearer.events.reserve().await.ok(),
            None => None,
        };
        if let (Some((_, event)), Some(permit)) = (self.held.pop_front(), permit) {
            permit.send(event);
        }
        self.forget_if_over(subscription);
    }
}
