//! The Broker on Redis, be it one, one behind sentinels, or a cluster: connections that listen, kept subscribed by a manager of our
//! own, and connections that publish. What comes from Redis is untrusted: it is bounded here and proved by whoever opens it.

mod address;
mod board;
mod broker;
mod channel;
mod cluster;
mod dialer;
mod dispatch;
mod interest;
mod line;
mod listener;
mod map;
mod options;
mod publisher;
mod reason;
mod routes;
mod sentinel;
mod subscriber;

pub use address::{RedisUrl, RedisUrlError};
pub use broker::RedisBroker;
pub use options::{RedisError, RedisOptions};
