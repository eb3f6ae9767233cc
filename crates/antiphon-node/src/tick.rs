//! The tick: the net below the bell. One query compares the heads of all local topics with what was delivered, one the
//! revisions of all local tenants with what is held; without a broker this is how a node hears of the others.

use std::sync::Arc;

use antiphon_core::{BrokerState, Channel, SeamError};
use antiphon_protocol::TopicKind;
use tokio::time::{Instant, sleep_until};

use crate::node::Node;

/// Topics of one query.
const TOPICS_MAX: usize = 5_000;

impl Node {
    pub(crate) async fn run_ticks(self: Arc<Self>) {
        loop {
            if let Err(error) = self.tick().await {
                tracing::warn!(%error, "a tick failed");
            }
            self.hub.sweep(self.limits.linger, |topic| {
                self.engines.broker.ignore(&Channel::Topic(topic.clone()));
                if let Some(plain) = &self.engines.plain
                    && topic.kind() == TopicKind::Tenant
                {
                    plain.ignore_plain(topic.tenant());
                }
            });
            self.audiences.sweep();
            self.pages.age();
            self.wait_for_tick().await;
        }
    }

    /// Until the next tick: sooner while the broker is away, and at once when it went. A spare one does not slow it down: what
    /// was rung before all noticed is found by this alone.
    async fn wait_for_tick(&self) {
        let is_up = || self.engines.broker.current_state() == BrokerState::Up;
        let wait = if is_up() { self.limits.tick } else { self.limits.tick_without_broker };
        let until = Instant::now() + wait;
        loop {
            tokio::select! {
                () = sleep_until(until) => return,
                () = self.broker_changed.notified() => if !is_up() { return },
            }
        }
    }

    async fn tick(&self) -> Result<(), SeamError> {
        let began = std::time::Instant::now();
        let tenants = self.audiences.tenants();
        if tenants.is_empty() {
            self.timed("the store", self.engines.store.ping()).await?;
            self.fence.verified(began);
            return Ok(());
        }
        let revisions = self.timed("the directory", self.engines.directory.revisions(&tenants)).await?;
        for (tenant, revision) in tenants.iter().zip(revisions) {
            self.audience_as_read(tenant, revision).await?;
        }
        // Whoever logged in meanwhile was read then.
        self.fence.verified(began);
        let feeds = self.hub.feeds();
        for feeds in feeds.chunks(TOPICS_MAX) {
            let topics: Vec<_> = feeds.iter().map(|feed| feed.topic().clone()).collect();
            let heads = self.timed("the store", self.engines.store.heads(&topics)).await?;
            for (feed, head) in feeds.iter().zip(heads) {
                feed.age();
                // Entries that were appended meanwhile may have been delivered already: then there is nothing to read.
                let is_behind = feed.high().is_some_and(|high| {
                    high.offset < head.offset
                        || high.epoch != head.epoch
                        || (high.offset == head.offset && high != head)
                });
                let is_cut = feed.high().is_some_and(|high| high.offset > head.offset);
                if is_behind || is_cut {
                    self.repair(feed);
                }
            }
        }
        Ok(())
    }
}
