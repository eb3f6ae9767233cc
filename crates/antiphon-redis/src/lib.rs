//! The Broker on Redis: one connection that listens, kept subscribed by a manager of our own, and one that publishes.
//! What comes from Redis is untrusted: it is bounded here and proved by whoever opens it.

mod broker;
mod channel;
mod dispatch;
mod interest;
mod line;
mod listener;
mod options;
mod publisher;
mod reason;

pub use broker::RedisBroker;
pub use options::{RedisError, RedisOptions};
