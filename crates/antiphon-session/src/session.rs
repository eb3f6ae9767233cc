//! The state of one conversation.

use std::{collections::VecDeque, sync::Arc};

use antiphon_hub::SubscriberKey;
use antiphon_node::{Caller, Node};
use antiphon_protocol::{CommandError, CommandFrame, Refusal, ServerFrame, Topic};

use crate::{
    Act, Opening,
    drive::{Topics, Wait},
    in_flight::InFlight,
    pace::{Pace, Paced},
};

/// One conversation.
pub struct Session {
    pub(crate) caller: Option<Arc<Caller>>,
    /// Which token was shown last.
    pub(crate) token_tag: [u8; 16],
    /// A token was shown that could not be checked for now.
    pub(crate) was_shown: bool,
    pub(crate) opening: Option<Box<Opening>>,
    pub(crate) opened_ms: i64,
    pub(crate) topics: Topics,
    pub(crate) wait: Wait,
    /// A frame that has to wait until what was published before it is answered.
    pub(crate) held: Option<Box<CommandFrame>>,
    pub(crate) in_flight: VecDeque<InFlight>,
    pub(crate) next_number: u64,
    pub(crate) pace: Pace,
    pub(crate) is_closed: bool,
}

impl Session {
    /// A conversation that begins at this time (ms).
    pub fn new(opening: Opening, now_ms: i64) -> Self {
        let caller = opening.caller.clone();
        Self {
            opening: caller.is_none().then(|| Box::new(opening)),
            caller,
            token_tag: [0; 16],
            was_shown: false,
            opened_ms: now_ms,
            topics: Topics(smallvec::SmallVec::new()),
            wait: Wait::Nothing,
            held: None,
            in_flight: VecDeque::new(),
            next_number: 0,
            pace: Pace::default(),
            is_closed: false,
        }
    }

    /// True if the next frame may come; else what is unread has to wait.
    pub fn wants_frames(&self, node: &Node) -> bool {
        !self.is_closed
            && matches!(self.wait, Wait::Nothing)
            && self.held.is_none()
            && self.in_flight.len() < node.limits().publishes_in_flight
    }

    /// True once it has said goodbye.
    pub fn is_closed(&self) -> bool {
        self.is_closed
    }

    /// Who it is.
    pub fn caller(&self) -> Option<&Arc<Caller>> {
        self.caller.as_ref()
    }

    /// How many topics it is subscribed to.
    pub fn topic_count(&self) -> usize {
        self.topics.0.len()
    }

    /// All its places in the hub, which have to be left when the connection ends.
    pub fn keys(&self) -> impl Iterator<Item = SubscriberKey> + '_ {
        self.topics.0.iter().filter_map(|(_, key)| *key)
    }

    /// The name of the topic of one of its places.
    pub fn topic_of(&self, key: SubscriberKey) -> Option<&antiphon_protocol::TopicName> {
        self.topics.name_of(key)
    }

    /// A subscriber has joined the hub under this key.
    pub fn joined(&mut self, topic: &Topic, key: SubscriberKey) {
        if let Some((_, held)) = self.topics.0.iter_mut().find(|(held, _)| held == topic) {
            *held = Some(key);
        }
    }

    /// A text frame has come.
    pub fn frame(&mut self, node: &Node, text: &str, now_ms: i64, acts: &mut Vec<Act>) {
        if self.is_closed || !self.keep_pace(node, || CommandFrame::reference_of(text), acts) {
            return;
        }
        match CommandFrame::parse(text) {
            Err(CommandError { reference, refusal }) => {
                self.refuse(reference.as_deref(), None, refusal, acts);
            }
            Ok(frame) => self.identify(node, frame, now_ms, acts),
        }
    }

    /// A binary frame has come: nothing here takes one.
    pub fn binary(&mut self, node: &Node, acts: &mut Vec<Act>) {
        if !self.is_closed && self.keep_pace(node, || None, acts) {
            acts.push(Act::Close(
                antiphon_protocol::CloseCode::Unsupported,
                antiphon_node::EndReason::Protocol,
            ));
            self.is_closed = true;
        }
    }

    /// A ping has come: it counts like a frame. False: it is not to be answered.
    pub fn ping(&mut self, node: &Node, acts: &mut Vec<Act>) -> bool {
        !self.is_closed && self.keep_pace(node, || None, acts)
    }

    fn keep_pace(
        &mut self,
        node: &Node,
        reference: impl FnOnce() -> Option<Box<str>>,
        acts: &mut Vec<Act>,
    ) -> bool {
        match self.pace.step(node.limits(), std::time::Instant::now()) {
            Paced::Fine => match self.caller.as_ref().map(|caller| node.keep_shares(caller)) {
                None | Some(Ok(())) => true,
                Some(Err(refusal)) => {
                    self.refuse(reference().as_deref(), None, refusal, acts);
                    false
                }
            },
            Paced::TooFast(wait_ms) => {
                self.refuse(reference().as_deref(), None, Refusal::rate_limited(wait_ms), acts);
                false
            }
            Paced::Enough => {
                acts.push(Act::Close(
                    antiphon_protocol::CloseCode::TooManyFrames,
                    antiphon_node::EndReason::RateLimited,
                ));
                self.is_closed = true;
                false
            }
        }
    }

    /// Goes on with a frame that was held back.
    pub(crate) fn go_on(&mut self, node: &Node, now_ms: i64, acts: &mut Vec<Act>) {
        if self.in_flight.is_empty()
            && matches!(self.wait, Wait::Nothing)
            && let Some(frame) = self.held.take()
        {
            self.identify(node, *frame, now_ms, acts);
        }
    }

    /// The node is going away: leave after this time and come back.
    pub fn reconnect(&self, after_ms: u64, acts: &mut Vec<Act>) {
        if !self.is_closed {
            acts.push(Act::Send(ServerFrame::Reconnect { after_ms }.encode()));
        }
    }
}
