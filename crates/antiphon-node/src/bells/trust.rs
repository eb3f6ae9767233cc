//! Whether the first bell is trusted: it is connected, and brings back each probe in time.

use std::{
    collections::VecDeque,
    time::{Duration, Instant},
};

/// How long a probe may be on its way. Doubt costs a second ring, no connection, so it may come early.
pub(super) const SILENCE: Duration = Duration::from_millis(250);
/// For how long each probe has to come back in time after a doubt.
const STEADY: Duration = Duration::from_secs(1);
/// Probes under way that are remembered; the oldest of them decides.
const UNDER_WAY_MAX: usize = 64;

/// What the probes tell.
#[derive(Debug, Default)]
pub(super) struct Trust {
    sent: u64,
    /// Those that have not come back, the oldest first.
    under_way: VecDeque<(u64, Instant)>,
    is_trusted: bool,
    /// The first probe of all has come back: there is no doubt yet that would have to be made up for.
    is_begun: bool,
    /// Since when nothing has spoken against it.
    steady_since: Option<Instant>,
}

impl Trust {
    /// A probe leaves now; its number.
    pub fn sends(&mut self, now: Instant) -> u64 {
        self.sent += 1;
        if self.under_way.len() < UNDER_WAY_MAX {
            self.under_way.push_back((self.sent, now));
        }
        self.sent
    }

    /// A probe has come back: those before it will not any more, or do not matter.
    pub fn heard(&mut self, number: u64) {
        if number > self.sent {
            return;
        }
        while self.under_way.front().is_some_and(|(first, _)| *first <= number) {
            self.under_way.pop_front();
        }
        self.is_trusted |= !self.is_begun;
        self.is_begun = true;
    }

    /// Is it trusted now?
    pub fn look(&mut self, now: Instant, is_up: bool) -> bool {
        if !is_up {
            // What was under way is lost with the connection.
            self.under_way.clear();
        }
        let is_late =
            self.under_way.front().is_some_and(|(_, at)| now.saturating_duration_since(*at) > SILENCE);
        if !is_up || is_late {
            (self.is_trusted, self.steady_since) = (false, None);
        } else if self.is_begun && !self.is_trusted {
            let since = *self.steady_since.get_or_insert(now);
            self.is_trusted = now.saturating_duration_since(since) >= STEADY;
        }
        self.is_trusted
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const MS: Duration = Duration::from_millis(1);

    #[test]
    fn it_is_trusted_at_its_first_probe_doubted_at_the_first_late_one_and_trusted_again_after_steady_ones() {
        let (mut trust, start) = (Trust::default(), Instant::now());
        assert!(!trust.look(start, true), "nothing has come back yet");
        let first = trust.sends(start);
        trust.heard(first);
        assert!(trust.look(start, true));
        let second = trust.sends(start);
        assert!(trust.look(start + SILENCE, true));
        assert!(!trust.look(start + SILENCE + MS, true), "it is late");
        trust.heard(second);
        let back = start + SILENCE + 2 * MS;
        assert!(!trust.look(back, true) && !trust.look(back + STEADY - MS, true));
        assert!(trust.look(back + STEADY, true));
    }

    #[test]
    fn a_lost_connection_is_doubted_at_once_and_a_later_probe_stands_for_those_before_it() {
        let (mut trust, start) = (Trust::default(), Instant::now());
        let first = trust.sends(start);
        trust.heard(first);
        assert!(trust.look(start, true) && !trust.look(start, false));
        let numbers: Vec<u64> = (0..1000).map(|_| trust.sends(start)).collect();
        assert!(trust.under_way.len() <= UNDER_WAY_MAX);
        trust.heard(u64::MAX);
        assert!(!trust.under_way.is_empty(), "a number that was never sent says nothing");
        trust.heard(numbers[999]);
        assert!(trust.under_way.is_empty());
    }
}
