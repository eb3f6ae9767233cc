//! Servers that all tests of a run share: those that `cargo xtask test` has started, else own ones, started with the
//! first test that asks and gone with the process.

use crate::error::StartError;
use crate::postgres::{Database, Postgres, programs};
use crate::redis::{Redis, run_cli};
use crate::skip::or_skip;
use crate::variables;
use std::process::Command;
use std::sync::OnceLock;

/// A Redis that other tests use at the same time: names of channels must be [`crate::unique`].
#[derive(Debug, Clone)]
pub struct SharedRedis {
    url: String,
}

impl SharedRedis {
    /// Its URL.
    #[must_use]
    pub fn url(&self) -> String {
        self.url.clone()
    }

    /// Says a command through redis-cli and returns the answer as it prints it raw, without the last line end.
    ///
    /// # Panics
    /// When redis-cli can't be run or reports an error.
    #[track_caller]
    pub fn cli(&self, args: &[&str]) -> String {
        let mut command = Command::new("redis-cli");
        command.args(["--no-auth-warning", "-u", &self.url]).args(args);
        run_cli(command, args)
    }
}

/// The Redis that this run's tests share, or none (and a `SKIPPED` line) where it isn't installed.
///
/// # Panics
/// When it is there but does not start.
#[track_caller]
#[must_use]
pub fn shared_redis(test: &str) -> Option<SharedRedis> {
    static OWN: OnceLock<Result<Redis, Cause>> = OnceLock::new();
    if let Ok(url) = std::env::var(variables::REDIS_URL) {
        return Some(SharedRedis { url });
    }
    let own = OWN.get_or_init(|| {
        let redis = Redis::start().map_err(Cause::from)?;
        redis.outlives_statics();
        Ok(redis)
    });
    or_skip(test, own.as_ref().map(|redis| SharedRedis { url: redis.url() }).map_err(Cause::again))
}

/// A fresh database on the PostgreSQL that this run's tests share, or none (and a `SKIPPED` line) where it isn't
/// installed.
///
/// # Panics
/// When it is there but does not start.
#[track_caller]
#[must_use]
pub fn shared_postgres(test: &str) -> Option<Database> {
    static OWN: OnceLock<Result<Postgres, Cause>> = OnceLock::new();
    if let Ok(url) = std::env::var(variables::POSTGRES_URL) {
        let psql = programs().ok_or_else(|| StartError::missing("psql", "cargo xtask setup"));
        return or_skip(test, psql).map(|programs| Database::create(&url, &programs));
    }
    let own = OWN.get_or_init(|| {
        let postgres = Postgres::start().map_err(Cause::from)?;
        postgres.outlives_statics();
        Ok(postgres)
    });
    or_skip(test, own.as_ref().map_err(Cause::again)).map(Postgres::create_database)
}

/// Why the shared server did not start, to be told to each test that asks.
#[derive(Debug)]
enum Cause {
    Missing(&'static str, String),
    Failed(String),
}

impl From<StartError> for Cause {
    fn from(error: StartError) -> Self {
        match error {
            StartError::Missing { program, hint } => Self::Missing(program, hint),
            other => Self::Failed(other.to_string()),
        }
    }
}

impl Cause {
    fn again(&self) -> StartError {
        match self {
            Self::Missing(program, hint) => StartError::missing(program, hint.clone()),
            Self::Failed(why) => {
                StartError::Failed { program: "a shared server", why: why.clone(), log: String::new() }
            }
        }
    }
}
