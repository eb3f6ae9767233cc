//! How fast frames may come: a bucket of some seconds' worth, kept as the one time at which it is full again.

use std::time::{Duration, Instant};

use antiphon_core::Limits;

/// A bucket.
#[derive(Debug, Default)]
pub struct Pace {
    full_at: Option<Instant>,
    strikes: u32,
}

/// What a bucket says to one more.
#[derive(Debug, PartialEq, Eq)]
pub enum Paced {
    /// Within the rate.
    Fine,
    /// Worth trying again after so many milliseconds.
    TooFast(u64),
    /// Over its rate again and again.
    Enough,
}

impl Pace {
    /// Nothing was taken from it lately: a new one would say the same.
    pub fn is_full(&self, now: Instant) -> bool {
        self.full_at.is_none_or(|full_at| full_at <= now)
    }

    /// One more.
    pub fn step(&mut self, limits: &Limits, now: Instant) -> Paced {
        if limits.rate_per_second == 0 {
            return Paced::Fine;
        }
        let cost = Duration::from_secs(1) / limits.rate_per_second;
        let burst = Duration::from_secs(limits.rate_burst_seconds.into());
        let full_at = self.full_at.unwrap_or(now).max(now) + cost;
        let over = full_at.duration_since(now).saturating_sub(burst);
        if over.is_zero() {
            if full_at.duration_since(now) < burst / 2 {
                self.strikes = 0;
            }
            self.full_at = Some(full_at);
            return Paced::Fine;
        }
        self.strikes += 1;
        if self.strikes > limits.rate_strikes {
            Paced::Enough
        } else {
            Paced::TooFast(over.as_millis() as u64 + 1)
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_burst_passes_then_the_rate_holds_then_it_is_enough() {
        let limits =
            Limits { rate_per_second: 10, rate_burst_seconds: 2, rate_strikes: 3, ..Limits::default() };
        let (mut pace, start) = (Pace::default(), Instant::now());
        for _ in 0..20 {
            assert_eq!(pace.step(&limits, start), Paced::Fine);
        }
        assert!(matches!(pace.step(&limits, start), Paced::TooFast(1..=101)));
        assert_eq!(pace.step(&limits, start + Duration::from_millis(101)), Paced::Fine);
        let later = start + Duration::from_millis(101);
        for _ in 0..2 {
            assert!(matches!(pace.step(&limits, later), Paced::TooFast(_)));
        }
        assert_eq!(pace.step(&limits, later), Paced::Enough);
    }
}
