//! When a token is renewed on a line that holds: shortly before it ends a fresh one is shown, and nothing has to be left
//! and come back to.

use std::time::{Duration, SystemTime, UNIX_EPOCH};

use tokio::time::Instant;

/// A fifth of what is left, at most this, is the time that a renewal may take.
const LEAD_MAX: Duration = Duration::from_secs(30);
/// How long a renewal that came to nothing is left alone, at least.
const AGAIN_MIN: Duration = Duration::from_secs(1);
/// A token that seems to have ended already is the clock's fault: the server took it.
const CLOCK_IS_WRONG: Duration = Duration::from_secs(30);

/// What is due.
#[derive(Debug, PartialEq, Eq)]
pub(crate) enum Due {
    /// Ask for a fresh token.
    Fetch,
    /// Show the line's token again.
    Show,
}

#[derive(Debug, Default)]
pub(crate) struct Renewal {
    ends_at: Option<SystemTime>,
    fetch_at: Option<Instant>,
    show_at: Option<Instant>,
}

impl Renewal {
    /// The server said when the token ends, in milliseconds since the Unix epoch; none: it never does, or is not known.
    pub(crate) fn ends_at(&mut self, expires_at: Option<u64>) {
        self.stop();
        self.ends_at = expires_at.map(|ms| UNIX_EPOCH + Duration::from_millis(ms));
        let Some(left) = self.left() else { return };
        let wait = if left.is_zero() { CLOCK_IS_WRONG } else { left - LEAD_MAX.min(left / 5) };
        self.fetch_at = Some(Instant::now() + wait);
    }

    /// The server wants the token shown again after so long.
    pub(crate) fn show_again(&mut self, after: Duration) {
        self.stop();
        self.show_at = Some(Instant::now() + after);
    }

    /// A renewal came to nothing.
    pub(crate) fn again(&mut self) {
        let Some(left) = self.left() else { return };
        let wait = if left.is_zero() { CLOCK_IS_WRONG } else { AGAIN_MIN.max(left / 2) };
        self.fetch_at = Some(Instant::now() + wait);
    }

    pub(crate) fn stop(&mut self) {
        *self = Self::default();
    }

    pub(crate) fn due(&self) -> Option<Instant> {
        [self.fetch_at, self.show_at].into_iter().flatten().min()
    }

    /// Takes what is due.
    pub(crate) fn fire(&mut self, now: Instant) -> Option<Due> {
        let is_due = |at: &mut Option<Instant>| at.take_if(|at| *at <= now).is_some();
        if is_due(&mut self.show_at) {
            return Some(Due::Show);
        }
        is_due(&mut self.fetch_at).then_some(Due::Fetch)
    }

    fn left(&self) -> Option<Duration> {
        let ends_at = self.ends_at?;
        Some(ends_at.duration_since(SystemTime::now()).unwrap_or_default())
    }
}
