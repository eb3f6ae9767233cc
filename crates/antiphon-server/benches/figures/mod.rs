//! What all figures share: the servers, crowds of plain sockets, publishers at a rate, bare round trips, and the table.
//!
//! `cargo bench -p antiphon-server --bench NAME` prints rows of a Markdown table. Sizes are set by environment variables, whose
//! defaults are the sizes that the table in docs/guarantees.md speaks of. Nothing here fails because something is slow.
#![allow(dead_code, clippy::unwrap_used)]

pub mod cluster;
pub mod commits;
pub mod crowd;
pub mod frames;
pub mod http;
pub mod latency;
pub mod report;
pub mod round_trips;
pub mod says;
pub mod settings;

use std::time::{Duration, SystemTime};

/// More than anything here takes, less than a person waits.
pub const PATIENCE: Duration = Duration::from_secs(60);

/// Microseconds since the Unix epoch: the one clock that the database, the publishers and the listeners share.
pub fn now_us() -> u64 {
    SystemTime::UNIX_EPOCH.elapsed().unwrap().as_micros() as u64
}

/// Lets traffic flow for so long.
pub async fn flow(span: Duration) {
    tokio::time::sleep(span).await; // poll: the traffic of this time is what is looked at.
}

/// Where the figures are awaited: two threads, as this machine has cores.
pub fn run(figures: impl Future<Output = ()>) {
    let runtime = tokio::runtime::Builder::new_multi_thread().worker_threads(2).enable_all().build();
    runtime.unwrap().block_on(figures);
}
