//! Waiting for what a test can only observe: poll with short pauses, and name what did not happen.

use std::sync::atomic::{AtomicU64, Ordering};
use std::time::{Duration, Instant, SystemTime, UNIX_EPOCH};

const PAUSE_MIN: Duration = Duration::from_millis(1);
const PAUSE_MAX: Duration = Duration::from_millis(25);

/// Polls `condition` until it is true; panics with `what` when `deadline` has passed.
///
/// # Panics
/// When the condition did not become true in time.
#[track_caller]
pub fn wait_until(deadline: Duration, what: &str, condition: impl FnMut() -> bool) {
    assert!(poll(deadline, condition), "not within {deadline:?}: {what}");
}

/// [`wait_until`] for a condition that has to be asked with `await`.
///
/// # Panics
/// When the condition did not become true in time.
pub async fn wait_until_async(deadline: Duration, what: &str, mut condition: impl AsyncFnMut() -> bool) {
    let end = Instant::now() + deadline;
    let mut pause = PAUSE_MIN;
    while !condition().await {
        assert!(Instant::now() < end, "not within {deadline:?}: {what}");
        tokio::time::sleep(pause).await; // poll: the pause between two looks.
        pause = (pause * 2).min(PAUSE_MAX);
    }
}

/// Polls until `condition` is true and tells whether that came in time.
pub(crate) fn poll(deadline: Duration, mut condition: impl FnMut() -> bool) -> bool {
    let end = Instant::now() + deadline;
    let mut pause = PAUSE_MIN;
    loop {
        if condition() {
            return true;
        }
        if Instant::now() >= end {
            return false;
        }
        std::thread::sleep(pause); // poll: the pause between two looks.
        pause = (pause * 2).min(PAUSE_MAX);
    }
}

/// A name that no other test uses, now or in an earlier run: shared servers are shared by all tests of a run.
#[must_use]
pub fn unique(prefix: &str) -> String {
    static COUNTER: AtomicU64 = AtomicU64::new(0);
    let count = COUNTER.fetch_add(1, Ordering::Relaxed);
    let nanos = SystemTime::now().duration_since(UNIX_EPOCH).map_or(0, |since| since.as_nanos() as u64);
    format!("{prefix}_{:x}_{:x}_{count:x}", std::process::id(), nanos & 0xff_ffff_ffff)
}
