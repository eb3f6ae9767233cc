//! The shards: threads with a poll of their own, which own the raw sockets of upgraded connections. A shard reads what
//! has come, lets sessions take their steps, and ends each turn with the hub's pass. No task, channel or queue for
//! a connection; a panic in one session's step ends that session alone.

mod clock;
mod connection;
mod drain;
mod fence;
mod links;
mod outlet;
mod places;
mod post;
mod reactor;
mod read;
mod shard;
mod socket;
mod step;
mod timer;

pub use post::{Accepted, HalfOpenPlace};
pub use reactor::{Reactor, ReactorOptions};
pub use socket::RawSocket;
