//! Sizes, by environment variables, and what makes a run another one than the last.

use std::{str::FromStr, time::Duration};

/// The variable's value, or this default.
pub fn number<T: FromStr>(name: &str, default: T) -> T {
    match std::env::var(name) {
        Ok(text) => text.parse().unwrap_or_else(|_| panic!("{name}={text} is not a number")),
        Err(_) => default,
    }
}

/// The same, in seconds.
pub fn seconds(name: &str, default: u64) -> Duration {
    Duration::from_secs(number(name, default))
}

/// The names of `TOPICS` topics.
pub fn topics(default: usize) -> Vec<String> {
    (0..number("TOPICS", default)).map(|number| format!("t{number}")).collect()
}

/// `TESTKIT_SEED`, or one of now.
pub fn seed() -> u64 {
    number("TESTKIT_SEED", super::now_us())
}

/// Numbers that the seed decides (SplitMix64).
#[derive(Clone)]
pub struct Random(pub u64);

impl Random {
    pub fn next(&mut self) -> u64 {
        self.0 = self.0.wrapping_add(0x9e37_79b9_7f4a_7c15);
        let mut mixed = self.0;
        mixed = (mixed ^ (mixed >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
        mixed = (mixed ^ (mixed >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
        mixed ^ (mixed >> 31)
    }

    pub fn below(&mut self, bound: usize) -> usize {
        (self.next() % bound.max(1) as u64) as usize
    }

    /// So many letters and digits.
    pub fn text(&mut self, len: usize) -> String {
        const LETTERS: &[u8] = b"ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789+-";
        (0..len).map(|_| char::from(LETTERS[self.below(LETTERS.len())])).collect()
    }
}
