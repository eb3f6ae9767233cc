//! Real servers for tests: Redis, PostgreSQL, haproxy and antiphon itself, as direct children on free ports of
//! 127.0.0.1, in directories of their own, waited for until they are ready and reaped when they are dropped.
//!
//! A server that isn't installed is a [`StartError::Missing`]; the `…_or_skip` functions turn it into a line
//! `SKIPPED: <test>: <program> is not installed` that `cargo xtask test` counts, or into a panic where
//! `TESTKIT_REQUIRE=1` says that everything must be there.
//!
//! ```no_run
//! let Some(redis) = antiphon_testkit::redis_or_skip("a_lost_bell_is_healed") else { return };
//! assert_eq!(redis.cli(&["PING"]), "PONG");
//! ```

mod antiphon;
mod commit_cutter;
mod error;
mod fault_proxy;
mod haproxy;
mod log;
mod port;
mod postgres;
mod process;
mod redis;
mod redis_cluster;
mod redis_sentinel;
mod shared;
mod skip;
mod small_disk;
pub mod variables;
mod wait;
mod watchdog;

pub use antiphon::{Antiphon, AntiphonLaunch, Finished, antiphon_binary, run_antiphon};
pub use commit_cutter::CommitCutter;
pub use error::StartError;
pub use fault_proxy::{Counters, Direction, FaultProxy};
pub use haproxy::Haproxy;
pub use log::{Line, Log, Source};
pub use port::free_port;
pub use postgres::{Database, Postgres, PostgresOptions};
pub use redis::{Redis, RedisOptions, RedisTls};
pub use redis_cluster::RedisCluster;
pub use redis_sentinel::RedisSentinel;
pub use shared::{SharedRedis, shared_postgres, shared_redis};
pub use skip::{antiphon_or_skip, haproxy_or_skip, or_skip, postgres_or_skip, redis_or_skip, skipped};
pub use small_disk::{SmallDisk, small_disk_or_skip};
pub use wait::{unique, wait_until, wait_until_async};
