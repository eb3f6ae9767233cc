//! Everything that happens by chance, decided by one seed (SplitMix64).

use std::{
    sync::{
        Arc,
        atomic::{AtomicU64, Ordering},
    },
    time::Duration,
};

const STEP: u64 = 0x9e37_79b9_7f4a_7c15;

/// Shared by all parts of one world; a part that has to stay the same whatever the others throw has its own.
#[derive(Clone)]
pub struct Dice(Arc<AtomicU64>);

impl Dice {
    pub fn new(seed: u64) -> Self {
        Self(Arc::new(AtomicU64::new(seed)))
    }

    fn throw(&self) -> u64 {
        let state = self.0.fetch_add(STEP, Ordering::Relaxed).wrapping_add(STEP);
        let mixed = (state ^ (state >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
        let mixed = (mixed ^ (mixed >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
        mixed ^ (mixed >> 31)
    }

    /// A number below `bound`.
    pub fn below(&self, bound: u64) -> u64 {
        self.throw() % bound.max(1)
    }

    /// True so many times in a thousand.
    pub fn permille(&self, of_thousand: u64) -> bool {
        self.below(1000) < of_thousand
    }

    /// A time of `from` to `to` milliseconds.
    pub fn ms(&self, from: u64, to: u64) -> Duration {
        Duration::from_micros(from * 1000 + self.below((to - from) * 1000 + 1))
    }
}
