//! Subscribe and resume: from a position that is proved, or from the head.

use std::sync::Arc;

use antiphon_core::{Action, Channel};
use antiphon_hub::{Delivery, Feed, Subscription};
use antiphon_protocol::{Head, Link, Position, Refusal, ResetReason, Topic, TopicKind, encode_message};

use crate::{
    caller::{By, Caller},
    node::{Node, refuse},
    publish::entry_delivery,
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

/// A page of what a subscriber has missed.
pub enum Catchup {
    /// Deliveries that follow, up to this offset.
    Page(Vec<Arc<Delivery>>, u64),
    /// What follows is no longer kept.
    Reset(ResetReason, Position),
    /// For now.
    Later,
}

/// Why a stream can't go on from this position; none: it can.
fn judge(position: Position, head: Head, link: Option<Link>) -> Option<ResetReason> {
    if link == Some(position.link) {
        return None;
    }
    if position.epoch != head.position.epoch {
        return Some(ResetReason::Epoch);
    }
    if position.offset > head.position.offset {
        Some(ResetReason::Ahead)
    } else if position.offset < head.trimmed {
        Some(ResetReason::Retention)
    } else {
        Some(ResetReason::Fork)
    }
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
        // What this node has delivered is proved already: no need to ask. Where the head is, only the store knows.
        if let Some(from) = position
            && feed.position_at(from.offset) == Some(from)
        {
            return Ok(Subscribed { subscription, from, recovered: true, reset: None });
        }
        let locate = self.engines.store.locate(topic, position.map(|position| position.offset));
        let located = self.timed("the store", locate).await.map_err(|error| refuse(&error))?;
        let head = located.head;
        feed.begin(head.position);
        if feed.high().is_some_and(|high| high.offset < head.position.offset) {
            self.repair(&feed);
        }
        let reset = position.and_then(|position| judge(position, head, located.link));
        let from = position.filter(|_| reset.is_none()).unwrap_or(head.position);
        // Where the link agrees the history is the same; the epoch is the log's own from here on.
        let from = Position { epoch: head.position.epoch, ..from };
        Ok(Subscribed { subscription, from, recovered: position.is_some() && reset.is_none(), reset })
    }

    /// What follows an offset in a feed's log, for a subscriber that the ring has passed by.
    pub async fn catch_up(&self, feed: &Arc<Feed>, after: u64) -> Catchup {
        let limits = &self.limits;
        let read = self.engines.store.read(feed.topic(), after, limits.page_entries, limits.page_bytes);
        let entries = match self.timed("the store", read).await {
            Ok(entries) => entries,
            Err(error) => {
                refuse(&error);
                return Catchup::Later;
            }
        };
        let follows = match entries.first() {
            Some(first) => first.position.offset == after + 1,
            None => feed.high().is_none_or(|high| high.offset <= after),
        };
        if !follows {
            return match self.timed("the store", self.engines.store.locate(feed.topic(), None)).await {
                Ok(located) => Catchup::Reset(ResetReason::Retention, located.head.position),
                Err(_) => Catchup::Later,
            };
        }
        let revision = entries.iter().map(|entry| entry.revision).max().unwrap_or(0);
        if self.audience_at(feed.topic().tenant(), revision).await.is_err() {
            return Catchup::Later;
        }
        let upto = entries.last().map_or(after, |entry| entry.position.offset);
        let page = entries.iter().map(|entry| Arc::new(entry_delivery(entry, &encode_message(entry))));
        Catchup::Page(page.collect(), upto)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use antiphon_protocol::Epoch;

    #[test]
    fn a_position_is_reset_for_the_reason_that_is_true() {
        let at = |epoch, offset, link| Position { epoch: Epoch(epoch), offset, link: Link(link) };
        let head = Head { position: at(1, 10, 100), trimmed: 3 };
        assert_eq!(judge(at(1, 5, 50), head, Some(Link(50))), None);
        assert_eq!(judge(at(1, 5, 51), head, Some(Link(50))), Some(ResetReason::Fork));
        assert_eq!(judge(at(1, 11, 110), head, None), Some(ResetReason::Ahead));
        assert_eq!(judge(at(1, 2, 20), head, None), Some(ResetReason::Retention));
        assert_eq!(judge(at(2, 5, 51), head, Some(Link(50))), Some(ResetReason::Epoch));
        assert_eq!(
            judge(at(2, 5, 50), head, Some(Link(50))),
            None,
            "where the link agrees, the history is the same"
        );
    }
}
