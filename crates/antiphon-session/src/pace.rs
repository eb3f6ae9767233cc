//! How fast frames may come, and when it is enough.

use std::time::Instant;

use antiphon_core::{Bucket, Limits};

/// One connection's pace.
#[derive(Debug, Default)]
pub(crate) struct Pace {
    bucket: Bucket,
    strikes: u32,
}

/// What is said to one more.
#[derive(Debug, PartialEq, Eq)]
pub(crate) enum Paced {
    /// Within the rate.
    Fine,
    /// Worth trying again after so many milliseconds.
    TooFast(u64),
    /// Over its rate again and again.
    Enough,
}

impl Pace {
    /// One more frame.
    pub fn step(&mut self, limits: &Limits, now: Instant) -> Paced {
        let rate = limits.rate(limits.rate_per_second);
        match self.bucket.take(rate, now) {
            Ok(()) => {
                if !self.bucket.is_low(rate, now) {
                    self.strikes = 0;
                }
                Paced::Fine
            }
            Err(wait_ms) => {
                self.strikes += 1;
                if self.strikes > limits.rate_strikes { Paced::Enough } else { Paced::TooFast(wait_ms) }
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

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
