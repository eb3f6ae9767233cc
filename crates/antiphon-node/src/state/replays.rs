//! Signals that were heard: a copy of one, whoever made it, is none.

use std::collections::HashMap;

use antiphon_protocol::NodeId;
use parking_lot::Mutex;

/// Numbers behind a node's highest that are still told apart; older ones count as heard. Posts of two threads may overtake each
/// other, and not by more.
const WINDOW: u64 = 1024;
/// How old a signal may be, whatever the nodes' clocks say.
const OLDEST_MS: i64 = 60_000;
/// Nodes that are remembered; more than a cluster has, with those that were restarted in a minute.
const NODES_MAX: usize = 4096;

/// What was heard of each node.
#[derive(Default)]
pub(crate) struct Replays(Mutex<HashMap<NodeId, Heard>>);

struct Heard {
    highest: u64,
    /// One bit for each of the last numbers.
    window: [u64; (WINDOW / 64) as usize],
    at: i64,
}

impl Replays {
    /// True if this signal was not heard before, as far as that can be told.
    pub fn is_first(&self, origin: NodeId, number: u64, sent_at: i64, now: i64) -> bool {
        if sent_at.abs_diff(now) > OLDEST_MS.cast_unsigned() {
            return false;
        }
        let mut nodes = self.0.lock();
        if nodes.len() >= NODES_MAX && !nodes.contains_key(&origin) {
            // Whoever was silent for longer than a signal may be old can't be repeated.
            nodes.retain(|_, heard| now - heard.at <= 2 * OLDEST_MS);
            if nodes.len() >= NODES_MAX {
                return false;
            }
        }
        let heard = nodes.entry(origin).or_insert(Heard { highest: 0, window: [0; 16], at: now });
        heard.at = now;
        heard.take(number)
    }
}

impl Heard {
    fn take(&mut self, number: u64) -> bool {
        let bit = |number: u64| ((number % WINDOW / 64) as usize, 1u64 << (number % 64));
        if number > self.highest {
            for passed in (self.highest + 1..=number).take(WINDOW as usize) {
                let (word, mask) = bit(passed);
                self.window[word] &= !mask;
            }
            // A leap beyond the window leaves nothing of it.
            if number - self.highest > WINDOW {
                self.window = [0; 16];
            }
            self.highest = number;
        } else if self.highest - number >= WINDOW {
            return false;
        }
        let (word, mask) = bit(number);
        let is_first = self.window[word] & mask == 0;
        self.window[word] |= mask;
        is_first
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const NOW: i64 = 1_000_000_000;

    #[test]
    fn each_signal_is_heard_once_in_whatever_order_they_come() {
        let replays = Replays::default();
        let hear = |node: u64, number: u64| replays.is_first(NodeId(node), number, NOW, NOW);
        for number in [1, 3, 2, 700, 5, 699, 1024, 1500, 900] {
            assert!(hear(1, number), "{number}");
            assert!(!hear(1, number), "{number} again");
            assert!(hear(2, number), "{number} of another node");
        }
        assert!(!hear(1, 476) && hear(1, 477), "what is behind the window counts as heard");
        assert!(hear(1, u64::MAX) && !hear(1, 1500) && hear(1, u64::MAX - 5));
        assert!(!hear(1, u64::MAX - WINDOW));
    }

    #[test]
    fn a_signal_of_another_time_is_none() {
        let replays = Replays::default();
        assert!(replays.is_first(NodeId(1), 1, NOW - OLDEST_MS, NOW));
        assert!(!replays.is_first(NodeId(1), 2, NOW - OLDEST_MS - 1, NOW));
        assert!(!replays.is_first(NodeId(1), 2, NOW + OLDEST_MS + 1, NOW));
    }

    #[test]
    fn nodes_that_were_silent_for_long_are_forgotten_and_never_too_many_kept() {
        let replays = Replays::default();
        for node in 0..NODES_MAX as u64 {
            assert!(replays.is_first(NodeId(node), 1, NOW, NOW));
        }
        assert!(!replays.is_first(NodeId(u64::MAX), 1, NOW, NOW));
        let later = NOW + 2 * OLDEST_MS + 1;
        assert!(replays.is_first(NodeId(u64::MAX), 1, later, later));
        assert_eq!(replays.0.lock().len(), 1);
    }
}
