//! Three nodes behind haproxy on PostgreSQL and Redis, hundreds of clients, and whatever can break, breaking.
//!
//! The cluster and its proxies are in `cluster`, what breaks in `faults`, who comes and goes in `directory`, the two
//! kinds of clients in `speaker` and `library`; all of them tell `recorder` what happened, and `rows` adds the log.
#![allow(dead_code, clippy::unwrap_used)]

pub mod cluster;
pub mod directory;
pub mod draft;
pub mod faults;
pub mod http;
pub mod library;
pub mod plan;
pub mod recorder;
pub mod rows;
pub mod speaker;

use std::time::Duration;

/// Numbers from a seed (splitmix64).
#[derive(Clone)]
pub struct Rng(u64);

impl Rng {
    pub fn new(seed: u64) -> Self {
        Self(seed)
    }

    pub fn next(&mut self) -> u64 {
        self.0 = self.0.wrapping_add(0x9e37_79b9_7f4a_7c15);
        let mut mixed = self.0;
        mixed = (mixed ^ (mixed >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
        mixed = (mixed ^ (mixed >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
        mixed ^ (mixed >> 31)
    }

    /// Another one, for somebody else.
    pub fn fork(&mut self) -> Self {
        Self(self.next())
    }

    pub fn below(&mut self, end: usize) -> usize {
        (self.next() % end.max(1) as u64) as usize
    }

    pub fn percent(&mut self, chance: usize) -> bool {
        self.below(100) < chance
    }

    pub fn pick<'a, T>(&mut self, list: &'a [T]) -> &'a T {
        &list[self.below(list.len())]
    }

    pub fn millis(&mut self, from: u64, to: u64) -> Duration {
        Duration::from_millis(from + self.next() % (to - from).max(1))
    }
}

/// A pace, or how long a fault lasts. Nothing is waited for with it.
pub async fn pause(time: Duration) {
    // poll: the pace of a load is a time.
    tokio::time::sleep(time).await;
}

/// The same on a thread.
pub fn pause_here(time: Duration) {
    // poll: how long a fault lasts is a time.
    std::thread::sleep(time);
}
