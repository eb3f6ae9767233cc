//! The fence: what a node may do without having verified who is still allowed what.

use std::{
    sync::atomic::{AtomicBool, AtomicU64, Ordering},
    time::{Duration, Instant},
};

/// How long a node whose fence has fallen tries before it lets its clients go: one that was only frozen verifies itself at
/// once when it wakes.
const LET_GO_AFTER: Duration = Duration::from_secs(1);

/// When the revisions of all local tenants were read last, and what that means now. Whoever is about to deliver compares the time
/// itself: a node that was frozen would wake with an answer of before.
pub(crate) struct Fence {
    start: Instant,
    limit: Duration,
    /// Milliseconds after `start`.
    verified_ms: AtomicU64,
    /// When it was first seen down, in the same; 0: it is not.
    fell_ms: AtomicU64,
    /// As it was said in the log last.
    said_open: AtomicBool,
}

impl Fence {
    pub fn new(limit: Duration) -> Self {
        let (verified_ms, fell_ms) = (AtomicU64::new(0), AtomicU64::new(0));
        Self { start: Instant::now(), limit, verified_ms, fell_ms, said_open: AtomicBool::new(true) }
    }

    /// All that is held was as new as the database at this time.
    pub fn verified(&self, at: Instant) {
        let at = at.saturating_duration_since(self.start).as_millis() as u64;
        self.verified_ms.fetch_max(at, Ordering::AcqRel);
    }

    /// Since when nothing was verified.
    fn age(&self) -> Duration {
        let verified = Duration::from_millis(self.verified_ms.load(Ordering::Acquire));
        self.start.elapsed().saturating_sub(verified)
    }

    pub fn is_open(&self) -> bool {
        self.age() < self.limit
    }

    /// It has been seen down for long enough to let the clients go.
    pub fn is_down_for_good(&self) -> bool {
        if self.is_open() {
            self.fell_ms.store(0, Ordering::Relaxed);
            return false;
        }
        let now = 1 + self.start.elapsed().as_millis() as u64;
        match self.fell_ms.load(Ordering::Relaxed) {
            0 => {
                self.fell_ms.store(now, Ordering::Relaxed);
                false
            }
            fell => now.saturating_sub(fell) >= LET_GO_AFTER.as_millis() as u64,
        }
    }

    /// How long it stays open by itself.
    pub fn left(&self) -> Duration {
        self.limit.saturating_sub(self.age())
    }

    /// Whether it is open, if that is not what was said last.
    pub fn change(&self) -> Option<bool> {
        let is_open = self.is_open();
        (self.said_open.swap(is_open, Ordering::AcqRel) != is_open).then_some(is_open)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn it_falls_when_nothing_was_verified_for_its_time_and_stands_again_with_the_next_verification() {
        let fence = Fence::new(Duration::from_millis(60_000));
        assert!(fence.is_open() && fence.change().is_none());
        let fallen = Fence::new(Duration::ZERO);
        assert!(!fallen.is_open() && !fallen.is_down_for_good());
        assert_eq!((fallen.change(), fallen.change(), fallen.left()), (Some(false), None, Duration::ZERO));
        let fallen = Fence { limit: Duration::from_secs(5), ..fallen };
        fallen.verified(Instant::now());
        assert_eq!((fallen.is_open(), fallen.change()), (true, Some(true)));
    }

    #[test]
    fn a_verification_that_began_before_another_changes_nothing() {
        let fence = Fence::new(Duration::from_secs(5));
        let earlier = fence.start;
        fence.verified(fence.start + Duration::from_secs(3));
        fence.verified(earlier);
        assert_eq!(fence.left(), Duration::from_secs(5), "as of the later one, which is ahead of now");
    }
}
