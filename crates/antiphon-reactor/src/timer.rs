//! One timing wheel for all connections of a shard: each stands in it once.

use std::time::{Duration, Instant};

/// One tick of the wheel.
pub(crate) const TICK: Duration = Duration::from_millis(250);
const SLOTS: u64 = 128;

pub(crate) struct Wheel {
    start: Instant,
    /// The next tick to be looked at.
    at: u64,
    slots: Vec<Vec<usize>>,
}

impl Wheel {
    pub fn new(now: Instant) -> Self {
        Self { start: now, at: 0, slots: (0..SLOTS).map(|_| Vec::new()).collect() }
    }

    /// Arms a connection for a time; what is further off than a turn of the wheel is looked at once a turn. Returns the tick.
    pub fn arm(&mut self, connection: usize, due: Instant) -> u64 {
        let ticks = due.saturating_duration_since(self.start).as_millis().div_ceil(TICK.as_millis()) as u64;
        let tick = ticks.clamp(self.at, self.at + SLOTS - 1);
        self.slots[(tick % SLOTS) as usize].push(connection);
        tick
    }

    /// The connections whose tick has come, each with that tick.
    pub fn due(&mut self, now: Instant, into: &mut Vec<(usize, u64)>) {
        let now = (now.saturating_duration_since(self.start).as_millis() / TICK.as_millis()) as u64;
        while self.at <= now {
            let slot = &mut self.slots[(self.at % SLOTS) as usize];
            into.extend(slot.drain(..).map(|connection| (connection, self.at)));
            self.at += 1;
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn nothing_fires_early_and_everything_fires() {
        let start = Instant::now();
        let mut wheel = Wheel::new(start);
        wheel.arm(1, start + Duration::from_millis(600));
        wheel.arm(2, start + Duration::from_secs(3600));
        let mut due = Vec::new();
        wheel.due(start + Duration::from_millis(599), &mut due);
        assert!(due.is_empty());
        wheel.due(start + Duration::from_millis(750), &mut due);
        assert_eq!(due, [(1, 3)]);
        wheel.due(start + Duration::from_secs(40), &mut due);
        assert_eq!(due.len(), 2, "what is far off is looked at once a turn");
    }
}
