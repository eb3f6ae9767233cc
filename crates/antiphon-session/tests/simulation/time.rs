//! The world's own time. It is paused: where everybody waits, it is later at once.

use std::time::Duration;

use tokio::time::Instant;

/// Lets it be later.
pub async fn pass(time: Duration) {
    // poll: no time of ours passes.
    tokio::time::sleep(time).await;
}

/// The same, up to a moment.
pub async fn until(moment: Instant) {
    // poll: no time of ours passes.
    tokio::time::sleep_until(moment).await;
}
