//! What a session and its driver say to each other.

use std::{net::IpAddr, sync::Arc};

use antiphon_hub::{SubscriberKey, Subscription};
use antiphon_node::{Caller, EndReason};
use antiphon_protocol::{CloseCode, Draft, Position, Refusal, Signal, Topic, TopicName};

/// What was known when the connection came.
#[derive(Debug, Clone, Default)]
pub struct Opening {
    /// The caller, where the upgrade had a token.
    pub caller: Option<Arc<Caller>>,
    /// The User-Agent header, as claimed.
    pub user_agent: Option<Box<str>>,
    /// The X-Forwarded-For header, as claimed.
    pub forwarded_for: Option<Box<str>>,
    /// The address, believed.
    pub address: Option<IpAddr>,
}

/// What the driver has to do, in this order.
pub enum Act {
    /// Send this JSON as a text frame.
    Send(Vec<u8>),
    /// Do this with the node and bring the answer.
    Operate(Operation),
    /// Publish; the outcome comes as [`Answer::Published`] with this number.
    Publish(u64, Arc<Caller>, Draft),
    /// Send a signal; the outcome comes likewise.
    Signal(u64, Arc<Caller>, Signal),
    /// The subscriber joins the hub; tell the session its key with `joined`. It gets what comes after the position behind the
    /// frames of the same step.
    Join(Subscription, Position),
    /// The subscriber leaves the hub.
    Leave(SubscriberKey),
    /// The connection has an identity now.
    Identified,
    /// Say goodbye and end.
    Close(CloseCode, EndReason),
}

/// What is asked of the node, one at a time for each session.
#[derive(Debug)]
pub enum Operation {
    /// Check a token.
    Authenticate(Box<str>),
    /// Subscribe to topics.
    Subscribe(Arc<Caller>, Vec<(Topic, Option<Position>)>),
    /// Read a page of history.
    History {
        /// Who asks.
        caller: Arc<Caller>,
        /// Of which topic.
        topic: Topic,
        /// Before this.
        before: Option<Position>,
        /// After this.
        after: Option<Position>,
        /// How many.
        limit: u32,
    },
    /// Who is there.
    Presence(Arc<Caller>, Topic),
}

/// What a session may ask its driver about a subscriber.
pub trait Place {
    /// Where the subscriber's stream is, if that is still known.
    fn position(&self, key: SubscriberKey) -> Option<Position>;
}

pub(crate) struct Topics(pub smallvec::SmallVec<[(Topic, Option<SubscriberKey>); 1]>);

impl Topics {
    pub fn key(&self, topic: &Topic) -> Option<Option<SubscriberKey>> {
        self.0.iter().find(|(held, _)| held == topic).map(|(_, key)| *key)
    }

    pub fn remove(&mut self, topic: &Topic) -> Option<SubscriberKey> {
        let at = self.0.iter().position(|(held, _)| held == topic)?;
        self.0.swap_remove(at).1
    }

    pub fn name_of(&self, key: SubscriberKey) -> Option<&TopicName> {
        self.0.iter().find(|(_, held)| *held == Some(key)).map(|(topic, _)| topic.name())
    }
}

/// What is waited for.
pub(crate) enum Wait {
    /// Nothing: the next frame may come.
    Nothing,
    /// An answer of the node; the frame that it belongs to.
    Answer(Box<Asked>),
}

/// A frame that waits for an answer.
pub(crate) enum Asked {
    /// Its token is being checked; then it is carried out.
    Token(antiphon_protocol::CommandFrame, [u8; 16]),
    /// SUBSCRIBE with this ref; what was subscribed before, with the position that was given for it; what can't be.
    Subscribe(Option<Box<str>>, Vec<(Topic, Option<Position>)>, Vec<(String, Refusal)>),
    /// HISTORY with this ref.
    History(Option<Box<str>>, TopicName),
    /// PRESENCE with this ref.
    Presence(Option<Box<str>>, TopicName),
}
