//! A session's step, and what its acts do: the only place where a shard and a session touch.

use std::{panic::AssertUnwindSafe, sync::Arc, time::Instant};

use antiphon_hub::{ChangesFirst, SubscriberKey};
use antiphon_node::{By, EndReason};
use antiphon_protocol::{CloseCode, Topic, now_ms};
use antiphon_session::{Act, Answer, Operation, Session};
use antiphon_ws::{Opcode, encode};

use crate::{places::Places, post::Post, shard::ShardThread};

impl ShardThread {
    /// Lets a session take a step and does what it says. A panic in it ends this connection alone.
    pub(crate) fn step(
        &mut self,
        index: usize,
        step: impl FnOnce(&mut Session, &antiphon_node::Node, &Places<'_>, &mut Vec<Act>),
    ) {
        let Some(connection) = self.links.connections.get_mut(index) else { return };
        let mut acts = std::mem::take(&mut self.acts);
        let (node, places) = (&*self.links.node, Places(&self.hub));
        let session = &mut connection.session;
        let taken = std::panic::catch_unwind(AssertUnwindSafe(|| step(session, node, &places, &mut acts)));
        if taken.is_err() {
            self.links.node.metrics().panics.inc();
            tracing::error!("a panic in a session's step: its connection ends");
            acts.clear();
            self.links.close(index, CloseCode::Internal, EndReason::Panic);
        }
        for act in acts.drain(..) {
            self.act(index, act);
        }
        self.acts = acts;
        for key in std::mem::take(&mut self.joined) {
            self.go_on_with(index, key);
        }
    }

    fn act(&mut self, index: usize, act: Act) {
        match act {
            Act::Send(json) => self.links.send(index, &encode::frame(Opcode::Text, &json)),
            Act::Operate(operation) => self.operate(index, operation),
            Act::Publish(number, caller, draft) => {
                let (letters, to) = (self.links.letters.clone(), self.links.address(index));
                let Some(connection) = self.links.connections.get_mut(index) else { return };
                let (turns, by) = (&mut connection.turns, By::User(caller));
                self.links.node.publish_in(turns, by, vec![draft], move |published| {
                    letters.post(Post::Answer(to, Answer::Published(number, published)));
                });
            }
            Act::Signal(number, caller, signal) => {
                let (letters, to) = (self.links.letters.clone(), self.links.address(index));
                let Some(connection) = self.links.connections.get_mut(index) else { return };
                let (turns, by) = (&mut connection.turns, By::User(caller));
                self.links.node.signal_in(turns, by, signal, move |sent| {
                    letters.post(Post::Answer(to, Answer::Published(number, sent)));
                });
            }
            Act::Join(subscription, from) => {
                let topic = subscription.feed().topic().clone();
                let key = self.hub.add(index, subscription, from);
                self.links.node.metrics().subscriptions.inc();
                if let Some(connection) = self.links.connections.get_mut(index) {
                    connection.session.joined(&topic, key);
                }
                self.joined.push(key);
            }
            Act::Leave(key) => {
                self.hub.remove(key);
                self.links.node.metrics().subscriptions.dec();
            }
            Act::Identified => {
                self.links.no_longer_half_open(index);
                self.links.node.metrics().identified.inc();
                self.arm(index, Instant::now());
            }
            Act::Close(code, reason) => self.links.close(index, code, reason),
        }
    }

    fn operate(&mut self, index: usize, operation: Operation) {
        let (letters, to) = (self.links.letters.clone(), self.links.address(index));
        let node = self.links.node.clone();
        self.links.node.tasks().spawn_until_end(async move {
            let answer = match operation {
                Operation::Authenticate(token) => Answer::Authenticated(node.authenticate(&token).await),
                Operation::Subscribe(caller, topics) => {
                    let mut outcomes = Vec::with_capacity(topics.len());
                    for (topic, position) in topics {
                        let outcome = node.subscribe(&caller, &topic, position).await;
                        outcomes.push((topic, outcome));
                    }
                    Answer::Subscribed(outcomes)
                }
                Operation::History { caller, topic, before, after, limit } => {
                    Answer::History(node.history(&By::User(caller), &topic, before, after, limit).await)
                }
                Operation::Presence(caller, topic) => {
                    Answer::Presence(node.presence(&By::User(caller), &topic).await)
                }
            };
            letters.post(Post::Answer(to, answer));
        });
    }

    /// Lets one subscriber go on from the ring, or asks for a page of the log.
    pub(crate) fn go_on_with(&mut self, index: usize, key: SubscriberKey) {
        loop {
            if !self.links.may_deliver() {
                return;
            }
            if let Some((reason, position)) = self.hub.owed_reset(key) {
                self.reset(index, key, reason, position);
            }
            match self.hub.go_on(key, &mut self.links) {
                Ok(true) => return self.ask_page(index, key),
                Ok(false) => return,
                // What an entry was sent after has to count before the entry leaves; the subscriber may be gone by then.
                Err(ChangesFirst) => self.take_changes(),
            }
        }
    }

    /// Reads a page of the log for a subscriber, if none is being read for its connection and it takes something.
    pub(crate) fn ask_page(&mut self, index: usize, key: SubscriberKey) {
        let Some(after) = self.hub.reads_log(key) else { return };
        let Some(connection) = self.links.connections.get_mut(index) else { return };
        if connection.reads_page || connection.outlet.is_blocked() || connection.closing_since.is_some() {
            return;
        }
        connection.reads_page = true;
        let (letters, to) = (self.links.letters.clone(), self.links.address(index));
        let (node, feed) = (self.links.node.clone(), Arc::clone(self.hub.feed(key)));
        self.links.node.tasks().spawn_until_end(async move {
            let page = node.catch_up(&feed, after).await;
            if matches!(page, antiphon_node::Catchup::Later) {
                tokio_pause().await;
            }
            letters.post(Post::Page(to, key, after, page));
        });
    }

    /// The topic of a place, for frames about it.
    pub(crate) fn topic_of(&self, key: SubscriberKey) -> Topic {
        self.hub.feed(key).topic().clone()
    }

    /// The time of the wall clock for sessions.
    pub(crate) fn wall() -> i64 {
        now_ms()
    }
}

/// Before a store that failed is asked again.
async fn tokio_pause() {
    tokio::time::sleep(std::time::Duration::from_millis(500)).await;
}
