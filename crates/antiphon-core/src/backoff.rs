//! How long to wait before something that is away is tried again.

use std::time::Duration;

/// Full jitter: a random wait below a bound that doubles from a quarter of a second to ten.
pub fn backoff(attempt: u32) -> Duration {
    let bound_ms = 250u64.saturating_mul(1 << attempt.min(6)).min(10_000);
    Duration::from_millis(rand::random_range(50..=bound_ms))
}
