//! Repair: what a feed misses is read from the store, by one reader for each topic.

use std::sync::Arc;

use antiphon_core::SeamError;
use antiphon_hub::{Feed, Verdict};
use antiphon_protocol::{Position, ResetReason, TenantId, encode_message};

use crate::{node::Node, proof::judge, publish::entry_delivery};

impl Node {
    /// Reads what this feed misses, soon.
    pub(crate) fn repair(&self, feed: &Arc<Feed>) {
        let Some(node) = self.me.upgrade() else { return };
        if !self.repairs.begin(feed.topic()) {
            return;
        }
        let feed = feed.clone();
        self.tasks.spawn_until_end(async move {
            loop {
                if let Err(error) = node.read_missing(&feed).await {
                    tracing::warn!(%error, "a gap stays until the next tick");
                }
                if !node.repairs.end(feed.topic()) {
                    break;
                }
            }
        });
    }

    /// What is missing before an entry is mostly on its way: only if it does not come soon it is read.
    pub(crate) fn repair_unless_it_comes(&self, feed: &Arc<Feed>) {
        let Some(node) = self.me.upgrade() else { return };
        let feed = feed.clone();
        let patience = self.limits.reorder_patience;
        self.tasks.spawn_until_end(async move {
            tokio::time::sleep(patience).await;
            if feed.is_waiting() {
                node.repair(&feed);
            }
        });
    }

    async fn read_missing(&self, feed: &Arc<Feed>) -> Result<(), SeamError> {
        let Some(head) = self.verify(feed).await? else { return Ok(()) };
        // A feed that has not begun yet is begun by its first subscriber.
        while let Some(high) = feed.high().filter(|high| high.offset < head.offset) {
            let limits = &self.limits;
            self.metrics.repairs.inc();
            let read =
                self.engines.store.read(feed.topic(), high.offset, limits.page_entries, limits.page_bytes);
            let mut entries = self.timed("the store", read).await?;
            if entries.is_empty() {
                return self.verify(feed).await.map(drop);
            }
            self.audience_of(feed.topic().tenant(), &mut entries).await?;
            let before = feed.high();
            for entry in &entries {
                let json = encode_message(entry);
                match feed.offer(entry.revision, entry_delivery(entry, &json)) {
                    Verdict::Next | Verdict::Seen => {}
                    Verdict::Stale => break,
                    Verdict::Early(_) | Verdict::Gap | Verdict::Fork => {
                        return self.verify(feed).await.map(drop);
                    }
                }
            }
            if feed.high() == before {
                // What they were sent after is not to be had for now: the next tick looks again.
                return Ok(());
            }
        }
        Ok(())
    }

    /// Compares what was delivered with the log, and tells the log's head where it is the same. Where it is another log now,
    /// the feed starts anew and its subscribers are told.
    async fn verify(&self, feed: &Arc<Feed>) -> Result<Option<Position>, SeamError> {
        let Some(high) = feed.high() else { return Ok(None) };
        let located = self.located(feed.topic(), Some(high.offset)).await?;
        let head = located.head.position;
        if head.epoch == high.epoch && located.link == Some(high.link) {
            return Ok(Some(head));
        }
        let reason = judge(high, located.head, located.link).unwrap_or(ResetReason::Epoch);
        if feed.restart(high, head, reason) {
            self.pages.forget(feed);
            let topic = feed.topic();
            if head.offset == 0 && self.is_deleted(topic.tenant()).await {
                tracing::info!(tenant = %topic.tenant(), topic = %topic.name(), "the topic ended with its tenant");
            } else {
                tracing::error!(
                    tenant = %topic.tenant(),
                    topic = %topic.name(),
                    delivered = high.offset,
                    head = head.offset,
                    ?reason,
                    "the log is not the one that was delivered: its subscribers are reset"
                );
            }
        }
        Ok(None)
    }

    /// A tenant that was deleted takes its log with it.
    async fn is_deleted(&self, tenant: &TenantId) -> bool {
        let read = async {
            let revision = self.fresh(tenant).await?;
            self.exists_at(tenant, revision).await
        };
        matches!(read.await, Ok(false))
    }
}
