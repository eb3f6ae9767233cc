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

pub use antiphon_checker::Rng;

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
