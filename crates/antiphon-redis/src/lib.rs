//! The Broker on Redis.
