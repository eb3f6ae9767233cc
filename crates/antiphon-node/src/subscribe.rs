//! Subscribe and resume: from a position that is proved, or from the head.

use std::sync::Arc;

use antiphon_core::{Action, Channel, Located};
use antiphon_hub::{Feed, Subscription};
use antiphon_protocol::{Head, Position, Refusal, ResetReason, Topic, TopicKind};

use crate::{
    caller::{By, Caller},
    catchup::not_now,
    node::{Node, refuse},
    proof::judge,
};

/// A subscription that stands.
pub struct Subscribed {
    /// Holds the place in the feed.
    pub subscription: Subscription,
    /// Where the client's stream goes on from.
    pub from: Position,
    /// A given position was proved good.
    pub recovered: bool,
    /// Why a given position could not be continued.
    pub reset: Option<ResetReason>,
}

impl Node {
    /// Subscribes a user to a topic of its tenant.
    pub async fn subscribe(
        &self,
        caller: &Arc<Caller>,
        topic: &Topic,
        position: Option<Position>,
    ) -> Result<Subscribed, Refusal> {
        self.guard()?;
        self.keep_out_of_a_storm(topic, position)?;
        self.fresh(topic.tenant()).await.map_err(|error| refuse(&error))?;
        self.authorize(&By::User(caller.clone()), Action::Subscribe, topic, None)?;
        let member = caller.login.member();
        let (subscription, is_new) = self.hub.subscribe(topic, caller.login.audience(), member);
        if is_new {
            self.engines.broker.listen(&Channel::Topic(topic.clone()));
            if let Some(plain) = &self.engines.plain
                && topic.kind() == TopicKind::Tenant
            {
                plain.listen_plain(topic.tenant());
            }
        }
        let feed = subscription.feed().clone();
        let Some(position) = position else {
            let head = self.locate(&feed, None).await?.head.position;
            return Ok(Subscribed { subscription, from: head, recovered: false, reset: None });
        };
        let reset = self.prove_position(&feed, position).await?;
        // Where the link agrees the history is the same; the epoch is the log's own from here on.
        let (from, reset) = match reset {
            None => (position, None),
            Some((head, None)) => (Position { epoch: head.epoch, ..position }, None),
            Some((head, reset)) => (head, reset),
        };
        Ok(Subscribed { subscription, from, recovered: reset.is_none(), reset })
    }

    /// While too many read what they have missed, whoever would have to is asked to come later, before anything is asked of the
    /// database for it.
    fn keep_out_of_a_storm(&self, topic: &Topic, position: Option<Position>) -> Result<(), Refusal> {
        let Some(position) = position else { return Ok(()) };
        let is_known = || {
            self.hub.feed(topic).is_some_and(|feed| {
                feed.position_at(position.offset).is_some()
                    || self.pages.link_at(&feed, position.offset).is_some()
            })
        };
        // Whoever joins a reading costs none.
        let may_come = is_known() || self.pages.is_read(topic) || self.pages.admit().is_some();
        may_come.then_some(()).ok_or_else(not_now)
    }

    /// None: the position is good as it is; else the log's head, and why a stream can't go on from the position.
    async fn prove_position(
        &self,
        feed: &Arc<Feed>,
        position: Position,
    ) -> Result<Option<(Position, Option<ResetReason>)>, Refusal> {
        // What this node has delivered is proved already, and what was read for others a moment ago.
        let known = || {
            let held = feed.position_at(position.offset);
            if held == Some(position) {
                return Some(None);
            }
            let (head, link) = (feed.high()?, self.pages.link_at(feed, position.offset)?);
            // What this node has not delivered yet a restored log may have lost since the page was read.
            if position.offset > head.offset {
                return None;
            }
            // Where the two disagree the log has become another one: only the store knows.
            let agree = held.is_none_or(|held| held.link == link);
            let head = Head { position: head, trimmed: 0 };
            agree.then(|| Some((head.position, judge(position, head, Some(link)))))
        };
        if let Some(known) = known() {
            return Ok(known);
        }
        // One of those who have missed the same asks, and the others wait for what it finds.
        let _turn = self.turn(feed).await?;
        if let Some(known) = known() {
            return Ok(known);
        }
        let _admitted = self.pages.admit().ok_or_else(not_now)?;
        let located = self.locate(feed, Some(position.offset)).await?;
        let head = located.head.position;
        let reset = judge(position, located.head, located.link);
        if reset.is_none() && position.offset < head.offset {
            // The page that it needs next; the entry before it proves those who come after.
            let before = position.offset.saturating_sub(1);
            self.read_page(feed, before).await.map_err(|error| refuse(&error))?;
        }
        Ok(Some((head, reset)))
    }

    /// Where a feed's log is, which begins the feed if nothing has.
    async fn locate(&self, feed: &Arc<Feed>, at: Option<u64>) -> Result<Located, Refusal> {
        let located = self.located(feed.topic(), at).await.map_err(|error| refuse(&error))?;
        let head = located.head.position;
        feed.begin(head);
        let is_behind = |high: Position| {
            high.offset < head.offset
                || high.epoch != head.epoch
                || (high.offset == head.offset && high.link != head.link)
        };
        if feed.high().is_some_and(is_behind) {
            self.repair(feed);
        }
        Ok(located)
    }
}
