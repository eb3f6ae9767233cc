//! Pages of the log that were read a moment ago, for those who have missed the same: however many clients come back after a
//! node has ended, a topic is read about as often as it has pages. One reads a topic at a time, and the others wait for that.

use std::{
    collections::{HashMap, VecDeque},
    sync::{Arc, Weak},
    time::{Duration, Instant},
};

use antiphon_hub::{Delivery, Feed};
use antiphon_protocol::{Link, Position, Topic};
use parking_lot::Mutex;
use tokio::sync::{OwnedSemaphorePermit, Semaphore};

/// For how long a page is good for others: as long as it takes a crowd to come back, and not much longer than a restored
/// database stays unnoticed.
const AGE: Duration = Duration::from_secs(5);
/// Pages that are kept, over all topics.
const PAGES_MAX: usize = 256;

/// A page: what follows an offset.
pub(crate) struct LogPage {
    /// The offset before its first entry.
    pub after: u64,
    /// The tenant revision that an audience must have reached.
    pub revision: u64,
    /// How often the feed had begun anew before it was read: a page from before the last time is of another log.
    pub restarts: u64,
    /// Its entries, in their order, without a gap.
    pub entries: Vec<Arc<Delivery>>,
}

impl LogPage {
    /// The entries behind this offset; none if the page does not reach there.
    pub fn behind(&self, after: u64) -> Option<&[Arc<Delivery>]> {
        let skip = usize::try_from(after.checked_sub(self.after)?).ok()?;
        self.entries.get(skip..).filter(|rest| !rest.is_empty())
    }

    /// The position of its entry with this offset.
    pub fn position_at(&self, offset: u64) -> Option<Position> {
        let index = usize::try_from(offset.checked_sub(self.after + 1)?).ok()?;
        self.entries.get(index)?.position
    }

    fn bytes(&self) -> usize {
        self.entries.iter().map(|entry| entry.frame.len()).sum()
    }
}

/// The pages, who reads a topic, and how many may read at once.
pub(crate) struct Pages {
    bytes_max: usize,
    kept: Mutex<Kept>,
    // Guards which topics are being read; nothing is awaited under it.
    turns: Mutex<HashMap<Topic, Weak<tokio::sync::Mutex<()>>>>,
    reads: Arc<Semaphore>,
}

#[derive(Default)]
struct Kept {
    /// Oldest first. A page is good for the feed that it was read for, until that begins anew.
    pages: VecDeque<(Instant, Weak<Feed>, Arc<LogPage>)>,
    bytes: usize,
}

impl Kept {
    fn drop_first(&mut self) {
        if let Some((_, _, gone)) = self.pages.pop_front() {
            self.bytes -= gone.bytes();
        }
    }
}

impl Pages {
    pub fn new(reads: usize, bytes_max: usize) -> Self {
        let reads = Arc::new(Semaphore::new(reads.max(1)));
        Self { bytes_max, kept: Mutex::default(), turns: Mutex::default(), reads }
    }

    /// A page that has what follows this offset.
    pub fn find(&self, feed: &Arc<Feed>, after: u64) -> Option<Arc<LogPage>> {
        self.first(feed, |page| page.behind(after).is_some())
    }

    /// The link of an entry that stands in a page.
    pub fn link_at(&self, feed: &Arc<Feed>, offset: u64) -> Option<Link> {
        let page = self.first(feed, |page| page.position_at(offset).is_some())?;
        page.position_at(offset).map(|position| position.link)
    }

    fn first(&self, feed: &Arc<Feed>, fits: impl Fn(&LogPage) -> bool) -> Option<Arc<LogPage>> {
        let kept = self.kept.lock();
        let fresh = kept.pages.iter().rev().take_while(|(since, _, _)| since.elapsed() < AGE);
        let restarts = feed.restarts();
        let of_feed = fresh.filter(|(_, of, page)| is_of(of, feed) && page.restarts == restarts);
        let mut of_feed = of_feed.map(|(_, _, page)| page);
        of_feed.find(|page| fits(page)).cloned()
    }

    /// Keeps a page for others.
    pub fn keep(&self, feed: &Arc<Feed>, page: Arc<LogPage>) {
        let mut kept = self.kept.lock();
        kept.bytes += page.bytes();
        kept.pages.push_back((Instant::now(), Arc::downgrade(feed), page));
        while kept.pages.len() > PAGES_MAX || kept.bytes > self.bytes_max {
            kept.drop_first();
        }
    }

    /// Forgets a feed's pages: its log is another one now.
    pub fn forget(&self, feed: &Arc<Feed>) {
        let mut kept = self.kept.lock();
        kept.pages.retain(|(_, of, _)| !is_of(of, feed));
        kept.bytes = kept.pages.iter().map(|(_, _, page)| page.bytes()).sum();
    }

    /// Lets go of what is old.
    pub fn age(&self) {
        let mut kept = self.kept.lock();
        while kept.pages.front().is_some_and(|(since, _, _)| since.elapsed() >= AGE) {
            kept.drop_first();
        }
    }

    /// What whoever reads this topic holds.
    pub fn turn(&self, topic: &Topic) -> Arc<tokio::sync::Mutex<()>> {
        let mut turns = self.turns.lock();
        if let Some(turn) = turns.get(topic).and_then(Weak::upgrade) {
            return turn;
        }
        turns.retain(|_, turn| turn.strong_count() > 0);
        let turn = Arc::new(tokio::sync::Mutex::new(()));
        turns.insert(topic.clone(), Arc::downgrade(&turn));
        turn
    }

    /// True while somebody reads this topic, whose page may be what others need.
    pub fn is_read(&self, topic: &Topic) -> bool {
        self.turns.lock().get(topic).is_some_and(|turn| turn.strong_count() > 0)
    }

    /// May the store be read now? Held while it is; none: too many do.
    pub fn admit(&self) -> Option<OwnedSemaphorePermit> {
        self.reads.clone().try_acquire_owned().ok()
    }
}

fn is_of(held: &Weak<Feed>, feed: &Arc<Feed>) -> bool {
    std::ptr::eq(held.as_ptr(), Arc::as_ptr(feed))
}

#[cfg(test)]
mod tests {
    use super::*;
    use antiphon_hub::{Hub, MemberState, RingBounds, Subscription, TenantAudience};
    use antiphon_protocol::{ClusterSecret, Epoch, TenantId, UserId};

    fn page(after: u64, entries: u64, bytes: usize) -> Arc<LogPage> {
        let entry = |offset| {
            let position = Position { epoch: Epoch(1), offset, link: Link(offset) };
            Arc::new(Delivery::entry(position, None, None, None, &vec![b'x'; bytes]))
        };
        let entries = (after + 1..=after + entries).map(entry).collect();
        Arc::new(LogPage { after, revision: 1, restarts: 0, entries })
    }

    fn subscription(hub: &Arc<Hub>, tenant: &str) -> Subscription {
        let tenant = TenantId::parse(tenant).unwrap();
        let audience = Arc::new(TenantAudience::new(tenant.clone()));
        let login = audience.login(&UserId::parse("ann").unwrap(), 1, MemberState::default());
        hub.subscribe(&Topic::of_tenant(&tenant), &audience, login.member()).0
    }

    fn hub() -> Arc<Hub> {
        let bounds = RingBounds { entries: 8, bytes: 1 << 20, age: Duration::from_secs(60) };
        Hub::new(bounds, ClusterSecret::new([1; 32]))
    }

    #[test]
    fn a_page_is_found_by_each_offset_that_something_in_it_follows() {
        let pages = Pages::new(1, 1 << 20);
        let hub = hub();
        let subscription = subscription(&hub, "acme");
        let feed = subscription.feed();
        pages.keep(feed, page(10, 3, 8));
        let len = |after| pages.find(feed, after).map(|page| page.behind(after).map_or(0, <[_]>::len));
        assert_eq!([9, 10, 12, 13].map(len), [None, Some(3), Some(1), None]);
        assert_eq!(
            [10, 11, 13, 14].map(|at| pages.link_at(feed, at)),
            [None, Some(Link(11)), Some(Link(13)), None]
        );
        let subscription_of_another = self::subscription(&hub, "globex");
        assert!(pages.find(subscription_of_another.feed(), 10).is_none());
        pages.forget(feed);
        assert!(pages.find(feed, 10).is_none() && pages.kept.lock().bytes == 0);
    }

    #[test]
    fn what_is_kept_and_who_reads_has_a_bound() {
        let pages = Pages::new(2, 1000);
        let hub = hub();
        let subscription = subscription(&hub, "acme");
        let feed = subscription.feed();
        for number in 0..400 {
            pages.keep(feed, page(number, 1, 98));
            assert!(pages.kept.lock().bytes <= 1000);
        }
        assert!(pages.find(feed, 399).is_some() && pages.find(feed, 380).is_none());
        let held = (pages.admit(), pages.admit());
        assert!(held.0.is_some() && held.1.is_some() && pages.admit().is_none());
        drop(held);
        assert!(pages.admit().is_some());
    }
}
