//! Answers of the node, and the frames that they become.

use std::sync::Arc;

use antiphon_core::{AuthError, HistoryPage};
use antiphon_node::{Caller, Node, Published, Subscribed};
use antiphon_protocol::{
    Entry, Position, PresentUser, Refusal, ServerFrame, SubscribedTopic, SystemEntry, Topic, TopicName,
    UserId, encode_message, message_with_key,
};
use serde_json::value::RawValue;

use crate::{
    Act, Place, Session,
    drive::{Asked, Wait},
};

/// What the node says to an operation.
pub enum Answer {
    /// To a token.
    Authenticated(Result<Arc<Caller>, AuthError>),
    /// To SUBSCRIBE, topic by topic.
    Subscribed(Vec<(Topic, Result<Subscribed, Refusal>)>),
    /// To HISTORY.
    History(Result<HistoryPage, Refusal>),
    /// To PRESENCE.
    Presence(Result<Vec<PresentUser>, Refusal>),
    /// To the publish or signal with this number.
    Published(u64, Published),
}

impl Answer {
    /// What others have said or who they are does not leave behind a fence that fell since it was asked for.
    fn unless_fenced(self, node: &Node) -> Self {
        let Err(refusal) = node.guard() else { return self };
        match self {
            Self::Subscribed(topics) => {
                Self::Subscribed(topics.into_iter().map(|(topic, _)| (topic, Err(refusal.clone()))).collect())
            }
            Self::History(_) => Self::History(Err(refusal)),
            Self::Presence(_) => Self::Presence(Err(refusal)),
            answer @ (Self::Authenticated(_) | Self::Published(..)) => answer,
        }
    }
}

impl Session {
    /// The node has answered.
    pub fn answer(
        &mut self,
        node: &Node,
        answer: Answer,
        now_ms: i64,
        place: &impl Place,
        acts: &mut Vec<Act>,
    ) {
        if self.is_closed {
            return;
        }
        let answer = match answer {
            Answer::Published(number, published) => {
                return self.published(node, number, published, now_ms, acts);
            }
            answer => answer.unless_fenced(node),
        };
        let Wait::Answer(asked) = std::mem::replace(&mut self.wait, Wait::Nothing) else { return };
        match (*asked, answer) {
            (Asked::Token(frame, tag), Answer::Authenticated(checked)) => {
                self.token_checked(node, frame, tag, checked, now_ms, acts);
            }
            (Asked::Subscribe(reference, before, refused), Answer::Subscribed(topics)) => {
                let before = before.into_iter().map(|(topic, given)| self.stays(node, topic, given, place));
                let before = before.collect();
                self.subscribed(node, reference.as_deref(), before, refused, topics, acts);
            }
            (Asked::History(reference, topic), Answer::History(page)) => match page {
                Ok(page) => self.send_history(reference.as_deref(), &topic, &page, acts),
                Err(refusal) => self.refuse(reference.as_deref(), Some(topic.as_str()), refusal, acts),
            },
            (Asked::Presence(reference, topic), Answer::Presence(users)) => match users {
                Ok(users) => {
                    let users: Vec<UserId> = users.into_iter().map(|user| user.id).collect();
                    let frame = ServerFrame::Presence {
                        reference: reference.as_deref(),
                        topic: &topic,
                        users: &users,
                    };
                    acts.push(Act::Send(frame.encode()));
                }
                Err(refusal) => self.refuse(reference.as_deref(), Some(topic.as_str()), refusal, acts),
            },
            _ => debug_assert!(false, "an answer fits its operation"),
        }
        self.go_on(node, now_ms, acts);
    }

    /// Where the stream of a topic is that was subscribed before: what this connection was sent of it comes before this.
    fn stays(
        &self,
        node: &Node,
        topic: Topic,
        given: Option<Position>,
        place: &impl Place,
    ) -> (String, SubscribedTopic) {
        let key = self.topics.key(&topic).flatten();
        let position = key.and_then(|key| place.position(key)).or(given);
        let position = position.or_else(|| node.hub().feed(&topic).and_then(|feed| feed.high()));
        let outcome = match position {
            Some(position) => SubscribedTopic::Subscribed { position, recovered: false },
            // The right to it has ended meanwhile.
            None => SubscribedTopic::Refused { error: Refusal::forbidden().into() },
        };
        (topic.name().to_string(), outcome)
    }

    fn subscribed(
        &mut self,
        node: &Node,
        reference: Option<&str>,
        before: Vec<(String, SubscribedTopic)>,
        mut refused: Vec<(String, Refusal)>,
        topics: Vec<(Topic, Result<Subscribed, Refusal>)>,
        acts: &mut Vec<Act>,
    ) {
        let Some(caller) = self.caller.clone() else { return };
        let mut outcomes = before;
        let (mut resets, mut joins) = (Vec::new(), Vec::new());
        for (topic, outcome) in topics {
            let name = topic.name();
            // The right to it may have ended since it was checked: whoever is told of that knows only topics held here.
            match outcome
                .and_then(|one| node.may_stay(&caller, &topic).then_some(one).ok_or_else(Refusal::forbidden))
            {
                Ok(subscribed) => {
                    let Subscribed { from, recovered, reset, .. } = subscribed;
                    let outcome = SubscribedTopic::Subscribed { position: from, recovered };
                    outcomes.push((name.to_string(), outcome));
                    if let Some(reason) = reset {
                        resets.push(ServerFrame::Reset { topic: name, reason, position: from }.encode());
                    }
                    // The feed's own names, which all its subscribers share.
                    self.topics.0.push((subscribed.subscription.feed().topic().clone(), None));
                    joins.push(Act::Join(subscribed.subscription, from));
                }
                Err(refusal) => refused.push((name.to_string(), refusal)),
            }
        }
        if let (true, Some((name, refusal))) = (outcomes.is_empty(), refused.first()) {
            return self.refuse(reference, Some(name), refusal.clone(), acts);
        }
        let refusals = refused.into_iter();
        outcomes.extend(
            refusals.map(|(name, refusal)| (name, SubscribedTopic::Refused { error: refusal.into() })),
        );
        let frame = ServerFrame::SubscriptionSuccessful {
            reference,
            text: caller.tenant(),
            user_id: &caller.identity.user,
            expires_at: caller.identity.expires_at,
            keep_alive_ms: node.limits().keep_alive.as_millis() as u64,
            topics: &outcomes,
            entry: SystemEntry::fresh(),
        };
        // Whoever is told that it is subscribed has to be: a signal may follow at once.
        acts.extend(joins);
        acts.push(Act::Send(frame.encode()));
        acts.extend(resets.into_iter().map(Act::Send));
    }

    fn send_history(
        &self,
        reference: Option<&str>,
        topic: &TopicName,
        page: &HistoryPage,
        acts: &mut Vec<Act>,
    ) {
        let user = self.caller.as_ref().map(|caller| &caller.identity.user);
        let entries = page.entries.iter().map(|entry| as_seen_by(entry, user)).collect();
        let frame = ServerFrame::History { reference, topic, entries, more: page.more };
        acts.push(Act::Send(frame.encode()));
    }

    pub(crate) fn refuse(
        &self,
        reference: Option<&str>,
        topic: Option<&str>,
        refusal: Refusal,
        acts: &mut Vec<Act>,
    ) {
        let frame = ServerFrame::Error { reference, topic, refusal: refusal.into() };
        acts.push(Act::Send(frame.encode()));
    }
}

/// A MESSAGE frame as this user sees it: with the key where it is the author.
fn as_seen_by(entry: &Entry, user: Option<&UserId>) -> Box<RawValue> {
    let mut json = encode_message(entry);
    if let Some(key) = &entry.key
        && entry.author.is_some()
        && entry.author.as_ref() == user
    {
        json = message_with_key(&json, key);
    }
    let text = String::from_utf8(json).expect("JSON is UTF-8");
    RawValue::from_string(text).expect("a MESSAGE frame is JSON")
}
