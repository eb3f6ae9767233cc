//! Catch-up: what a subscriber has missed, page by page, from what was read for others or from the log.

use std::{sync::Arc, time::Duration};

use antiphon_core::SeamError;
use antiphon_hub::{Delivery, Feed};
use antiphon_protocol::{Position, Refusal, ResetReason, encode_message};
use tokio::sync::OwnedMutexGuard;

use crate::{
    node::{Node, refuse},
    proof::judge,
    publish::entry_delivery,
    state::pages::LogPage,
};

/// A page of what a subscriber has missed.
pub enum Catchup {
    /// Deliveries that follow, up to this position.
    Page(Vec<Arc<Delivery>>, Position),
    /// What the subscriber has can't be continued; it goes on from this position.
    Reset(ResetReason, Position),
    /// For now.
    Later,
}

/// How long one who was not admitted is asked to stay away.
const STORM_MS: std::ops::Range<u64> = 500..4000;

impl Node {
    /// What follows a position in a feed's log, for a subscriber that the ring has passed by.
    pub async fn catch_up(&self, feed: &Arc<Feed>, after: Position) -> Catchup {
        let page = match self.pages.find(feed, after.offset) {
            Some(page) => page,
            None => match self.read_for(feed, after).await {
                Ok(Some(page)) => page,
                Ok(None) => return self.at_the_end(feed, after).await,
                Err(_) => return Catchup::Later,
            },
        };
        let behind = page.behind(after.offset).unwrap_or_default();
        let follows = behind.first().is_some_and(|first| first.follows(after, &self.secret));
        if !follows {
            // It may have been read before the log became another one.
            self.pages.forget(feed);
            return self.refuted(feed, after).await.unwrap_or(Catchup::Later);
        }
        if self.audience_at(feed.topic().tenant(), page.revision).await.is_err() {
            return Catchup::Later;
        }
        let upto = behind.last().and_then(|last| last.position).unwrap_or(after);
        Catchup::Page(behind.to_vec(), upto)
    }

    /// The log has nothing behind this position: right if this is where the feed is, or will be when it has caught up.
    async fn at_the_end(&self, feed: &Arc<Feed>, after: Position) -> Catchup {
        match feed.high() {
            Some(high) if high == after => Catchup::Page(Vec::new(), after),
            high => {
                self.repair(feed);
                let is_ahead = high.is_none_or(|high| high.offset < after.offset);
                let for_now = if is_ahead { Catchup::Page(Vec::new(), after) } else { Catchup::Later };
                self.refuted(feed, after).await.unwrap_or(for_now)
            }
        }
    }

    /// A reset, if the log says that a stream can't go on behind this position.
    async fn refuted(&self, feed: &Arc<Feed>, after: Position) -> Option<Catchup> {
        let located = self.located(feed.topic(), Some(after.offset)).await.ok()?;
        let reason = judge(after, located.head, located.link)?;
        Some(Catchup::Reset(reason, located.head.position))
    }

    /// The page behind a position, read in this topic's turn; none if nothing is there. An error: not now.
    async fn read_for(&self, feed: &Arc<Feed>, after: Position) -> Result<Option<Arc<LogPage>>, Refusal> {
        let _turn = self.turn(feed).await?;
        if let Some(page) = self.pages.find(feed, after.offset) {
            return Ok(Some(page));
        }
        let _admitted = self.pages.admit().ok_or_else(not_now)?;
        self.read_page(feed, after.offset).await.map_err(|error| refuse(&error))
    }

    /// This topic's turn to read; one at a time.
    pub(crate) async fn turn(&self, feed: &Arc<Feed>) -> Result<OwnedMutexGuard<()>, Refusal> {
        let turn = self.pages.turn(feed.topic()).lock_owned();
        tokio::time::timeout(self.limits.engine_timeout, turn).await.map_err(|_| not_now())
    }

    /// Reads a page that has what follows this offset, and keeps it for others. It begins somewhat earlier: others have mostly
    /// missed about the same.
    pub(crate) async fn read_page(
        &self,
        feed: &Arc<Feed>,
        after: u64,
    ) -> Result<Option<Arc<LogPage>>, SeamError> {
        let step = u64::from(self.limits.page_entries / 2).max(1);
        for from in [after - after % step, after] {
            let Some(page) = self.read_page_from(feed, from).await? else { return Ok(None) };
            if page.behind(after).is_some() {
                return Ok(Some(page));
            }
            if page.after > after {
                // What follows is no longer kept: whoever asked finds that its entry follows nothing it has.
                return Ok(Some(page));
            }
        }
        Ok(None)
    }

    async fn read_page_from(&self, feed: &Arc<Feed>, from: u64) -> Result<Option<Arc<LogPage>>, SeamError> {
        let limits = &self.limits;
        self.metrics.pages.inc();
        let restarts = feed.restarts();
        let read = self.engines.store.read(feed.topic(), from, limits.page_entries, limits.page_bytes);
        let mut entries = self.timed("the store", read).await?;
        self.audience_of(feed.topic().tenant(), &mut entries).await?;
        let Some(first) = entries.first() else { return Ok(None) };
        let (after, revision) =
            (first.position.offset - 1, entries.iter().map(|entry| entry.revision).max().unwrap_or(0));
        let entries = entries.iter().map(|entry| Arc::new(entry_delivery(entry, &encode_message(entry))));
        let page = Arc::new(LogPage { after, revision, restarts, entries: entries.collect() });
        self.pages.keep(feed, page.clone());
        Ok(Some(page))
    }
}

/// What whoever was not admitted is told: each of a crowd another time.
pub(crate) fn not_now() -> Refusal {
    Refusal::unavailable(Duration::from_millis(rand::random_range(STORM_MS)).as_millis() as u64)
}
