//! How often something may happen: a bucket of some seconds' worth, kept as the one time at which it is full again.

use std::{
    collections::HashMap,
    hash::Hash,
    time::{Duration, Instant},
};

use parking_lot::Mutex;

/// So many a second, and how many seconds' worth at once.
#[derive(Debug, Clone, Copy)]
pub struct Rate {
    /// A second; 0: no bound.
    pub per_second: u32,
    /// Seconds' worth of one burst.
    pub burst_seconds: u32,
}

/// One bucket.
#[derive(Debug, Default)]
pub struct Bucket {
    full_at: Option<Instant>,
}

impl Bucket {
    /// Nothing was taken from it lately: a new one would say the same.
    pub fn is_full(&self, now: Instant) -> bool {
        self.full_at.is_none_or(|full_at| full_at <= now)
    }

    /// Less than half of it is left.
    pub fn is_low(&self, rate: Rate, now: Instant) -> bool {
        let burst = Duration::from_secs(rate.burst_seconds.into());
        self.full_at.is_some_and(|full_at| full_at.saturating_duration_since(now) >= burst / 2)
    }

    /// One more; an error: nothing is left, and after so many milliseconds it is worth trying again.
    pub fn take(&mut self, rate: Rate, now: Instant) -> Result<(), u64> {
        if rate.per_second == 0 {
            return Ok(());
        }
        let cost = Duration::from_secs(1) / rate.per_second;
        let full_at = self.full_at.unwrap_or(now).max(now) + cost;
        let burst = Duration::from_secs(rate.burst_seconds.into());
        let over = full_at.duration_since(now).saturating_sub(burst);
        if !over.is_zero() {
            return Err(over.as_millis() as u64 + 1);
        }
        self.full_at = Some(full_at);
        Ok(())
    }
}

/// How many are remembered; whoever has been quiet for a burst's length needs no place.
const BUCKETS_MAX: usize = 10_000;

/// A bucket for each.
pub struct Buckets<K> {
    // No other lock is taken under it.
    held: Mutex<HashMap<K, Bucket>>,
}

impl<K> Default for Buckets<K> {
    fn default() -> Self {
        Self { held: Mutex::default() }
    }
}

impl<K: Hash + Eq + Clone> Buckets<K> {
    /// One more of this one.
    pub fn take(&self, key: &K, rate: Rate, now: Instant) -> Result<(), u64> {
        if rate.per_second == 0 {
            return Ok(());
        }
        let mut held = self.held.lock();
        if let Some(bucket) = held.get_mut(key) {
            return bucket.take(rate, now);
        }
        if held.len() >= BUCKETS_MAX {
            held.retain(|_, bucket| !bucket.is_full(now));
            // So many busy ones: all begin anew, rather than that one is refused for the others.
            if held.len() >= BUCKETS_MAX {
                held.clear();
            }
        }
        held.entry(key.clone()).or_default().take(rate, now)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const RATE: Rate = Rate { per_second: 10, burst_seconds: 2 };

    #[test]
    fn a_burst_passes_and_then_the_rate_holds() {
        let (mut bucket, start) = (Bucket::default(), Instant::now());
        for _ in 0..20 {
            assert_eq!(bucket.take(RATE, start), Ok(()));
        }
        assert!(matches!(bucket.take(RATE, start), Err(1..=101)) && bucket.is_low(RATE, start));
        let later = start + Duration::from_millis(101);
        assert_eq!(bucket.take(RATE, later), Ok(()));
        assert!(bucket.take(RATE, later).is_err());
        assert!(bucket.is_full(later + Duration::from_secs(3)));
    }

    #[test]
    fn one_bucket_is_not_anothers_and_their_number_is_bounded() {
        let (buckets, now) = (Buckets::default(), Instant::now());
        let rate = Rate { per_second: 1, burst_seconds: 1 };
        assert!(buckets.take(&1, rate, now).is_ok() && buckets.take(&1, rate, now).is_err());
        for other in 2..3 * BUCKETS_MAX {
            assert!(buckets.take(&other, rate, now).is_ok());
        }
        assert!(buckets.held.lock().len() <= BUCKETS_MAX);
    }
}
