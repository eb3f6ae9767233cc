//! History: pages of a topic's past, as the asker may see it.

use antiphon_core::{Action, HistoryPage};
use antiphon_protocol::{Entry, Position, Refusal, Topic};

use crate::{
    caller::By,
    node::{Node, refuse},
};

/// Pages that are read for one answer at most, where most of them is not for the asker.
const PAGES_MAX: usize = 50;
/// The most entries of an answer.
const LIMIT_MAX: u32 = 200;

impl Node {
    /// Up to `limit` entries before or after a position (neither: the newest), oldest first.
    pub async fn history(
        &self,
        by: &By,
        topic: &Topic,
        before: Option<Position>,
        after: Option<Position>,
        limit: u32,
    ) -> Result<HistoryPage, Refusal> {
        if before.is_some() && after.is_some() {
            return Err(Refusal::invalid("`before` and `after` exclude each other"));
        }
        self.guard()?;
        self.fresh(topic.tenant()).await.map_err(|error| refuse(&error))?;
        self.authorize(by, Action::Subscribe, topic, None)?;
        if let Some(position) = before.or(after) {
            self.prove(topic, position).await?;
        }
        let limit = limit.clamp(1, LIMIT_MAX) as usize;
        let page = match after {
            Some(after) => self.read_after(by, topic, after.offset, limit).await?,
            None => self.read_before(by, topic, before.map(|before| before.offset), limit).await?,
        };
        // It may have been frozen meanwhile.
        self.guard()?;
        Ok(page)
    }

    /// One entry, if there is one that the asker may see.
    pub async fn entry(&self, by: &By, topic: &Topic, id: uuid::Uuid) -> Result<Option<Entry>, Refusal> {
        self.guard()?;
        self.fresh(topic.tenant()).await.map_err(|error| refuse(&error))?;
        self.authorize(by, Action::Subscribe, topic, None)?;
        let entry = self.timed("the store", self.engines.store.entry(topic, id)).await;
        let mut entry = entry.map_err(|error| refuse(&error))?;
        self.brought_to(by, topic, entry.as_mut_slice()).await?;
        self.guard()?;
        Ok(entry.filter(|entry| sees(by, entry)))
    }

    async fn prove(&self, topic: &Topic, position: Position) -> Result<(), Refusal> {
        let located = self.located(topic, Some(position.offset)).await.map_err(|error| refuse(&error))?;
        let is_trimmed =
            position.epoch == located.head.position.epoch && position.offset < located.head.trimmed;
        if located.link == Some(position.link) || is_trimmed {
            Ok(())
        } else {
            Err(Refusal::invalid("this position is not of this topic's history; read without it"))
        }
    }

    /// Brings what is held of the tenant to what these entries want, once for all of them.
    async fn brought_to(&self, by: &By, topic: &Topic, entries: &mut [Entry]) -> Result<(), Refusal> {
        let By::User(_) = by else { return Ok(()) };
        self.audience_of(topic.tenant(), entries).await.map_err(|error| refuse(&error))
    }

    async fn read_after(
        &self,
        by: &By,
        topic: &Topic,
        after: u64,
        limit: usize,
    ) -> Result<HistoryPage, Refusal> {
        let (mut page, mut bytes, mut after) = (HistoryPage::default(), 0, after);
        for _ in 0..PAGES_MAX {
            let read = self.engines.store.read(topic, after, LIMIT_MAX, self.limits.page_bytes);
            let mut entries = self.timed("the store", read).await.map_err(|error| refuse(&error))?;
            self.brought_to(by, topic, &mut entries).await?;
            let Some(last) = entries.last() else { return Ok(page) };
            after = last.position.offset;
            for entry in entries {
                if !sees(by, &entry) {
                    continue;
                }
                bytes += entry.content.json().len();
                if page.entries.len() == limit
                    || (bytes > self.limits.history_bytes && !page.entries.is_empty())
                {
                    page.more = true;
                    return Ok(page);
                }
                page.entries.push(entry);
            }
        }
        page.more = true;
        Ok(page)
    }

    async fn read_before(
        &self,
        by: &By,
        topic: &Topic,
        before: Option<u64>,
        limit: usize,
    ) -> Result<HistoryPage, Refusal> {
        let (mut page, mut bytes, mut before) = (HistoryPage::default(), 0, before);
        'pages: for number in 0..PAGES_MAX {
            let read = self.engines.store.read_before(topic, before, LIMIT_MAX);
            let mut read = self.timed("the store", read).await.map_err(|error| refuse(&error))?;
            self.brought_to(by, topic, &mut read.entries).await?;
            let Some(first) = read.entries.first() else { break };
            before = Some(first.position.offset);
            for entry in read.entries.into_iter().rev() {
                if !sees(by, &entry) {
                    continue;
                }
                bytes += entry.content.json().len();
                if page.entries.len() == limit
                    || (bytes > self.limits.history_bytes && !page.entries.is_empty())
                {
                    page.more = true;
                    break 'pages;
                }
                page.entries.push(entry);
            }
            if !read.more {
                break;
            }
            page.more = number + 1 == PAGES_MAX;
        }
        page.entries.reverse();
        Ok(page)
    }
}

/// From memory, which the caller of this has brought to what the entry wants.
fn sees(by: &By, entry: &Entry) -> bool {
    match by {
        By::User(caller) => caller.login.member().is_meant(&entry.audience()),
        By::Key => true,
    }
}
