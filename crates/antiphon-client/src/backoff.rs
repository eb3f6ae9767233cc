//! How long to stay away: full jitter over a growing bound, as delivery.md part 7 has it.

use std::time::Duration;

/// The bounds of the delay between two attempts to connect.
///
/// The delay before the nth attempt is drawn evenly from zero to `base * 2^n`, at most `cap`, so that ten thousand
/// clients which lost the same node come back spread out. A connection that held for `stable` starts anew.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Backoff {
    /// The bound before the first attempt.
    pub base: Duration,
    /// The most that the bound grows to.
    pub cap: Duration,
    /// How long a connection has to hold before the bound is small again.
    pub stable: Duration,
}

impl Default for Backoff {
    fn default() -> Self {
        Self {
            base: Duration::from_millis(250),
            cap: Duration::from_secs(30),
            stable: Duration::from_secs(30),
        }
    }
}

/// Where one client is in its backoff.
#[derive(Debug)]
pub(crate) struct Attempts {
    backoff: Backoff,
    failed: u32,
}

impl Attempts {
    pub(crate) fn new(backoff: Backoff) -> Self {
        Self { backoff, failed: 0 }
    }

    /// The next delay, with `draw` picking from zero to the bound, both included.
    pub(crate) fn next_delay(&mut self, draw: impl FnOnce(u64) -> u64) -> Duration {
        let factor = 1_u32.checked_shl(self.failed).unwrap_or(u32::MAX);
        let bound = self.backoff.base.saturating_mul(factor).min(self.backoff.cap);
        self.failed = (self.failed + 1).min(31);
        Duration::from_millis(draw(bound.as_millis() as u64))
    }

    /// A connection has ended that held for so long.
    pub(crate) fn held_for(&mut self, held: Duration) {
        if held >= self.backoff.stable {
            self.failed = 0;
        }
    }
}

/// Draws evenly from zero to the bound.
pub(crate) fn draw_evenly(bound: u64) -> u64 {
    rand::random_range(0..=bound)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn bounds(attempts: &mut Attempts, n: usize) -> Vec<u128> {
        (0..n).map(|_| attempts.next_delay(|bound| bound).as_millis()).collect()
    }

    #[test]
    fn the_bound_doubles_from_the_base_to_the_cap_and_stays_there() {
        let mut attempts = Attempts::new(Backoff::default());
        assert_eq!(bounds(&mut attempts, 9), [250, 500, 1000, 2000, 4000, 8000, 16_000, 30_000, 30_000]);
        assert!(bounds(&mut attempts, 100).iter().all(|ms| *ms == 30_000));
    }

    #[test]
    fn a_delay_is_spread_over_the_whole_of_its_bound() {
        let drawn: Vec<u64> = (0..2000).map(|_| draw_evenly(250)).collect();
        assert!(drawn.iter().all(|ms| *ms <= 250));
        for quarter in 0..4 {
            let share = drawn.iter().filter(|ms| **ms / 63 == quarter).count();
            assert!((350..650).contains(&share), "quarter {quarter} has {share} of 2000");
        }
    }

    #[test]
    fn only_a_connection_that_held_starts_anew() {
        let mut attempts = Attempts::new(Backoff::default());
        bounds(&mut attempts, 5);
        attempts.held_for(Duration::from_secs(29));
        assert_eq!(bounds(&mut attempts, 1), [8000]);
        attempts.held_for(Duration::from_secs(30));
        assert_eq!(bounds(&mut attempts, 1), [250]);
    }
}
