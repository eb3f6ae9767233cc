//! What can't run here says so and is counted, never silently green.

use crate::{Antiphon, Haproxy, Postgres, Redis, StartError, variables};
use std::io::Write;

/// Says that `test` was skipped and why, in the form that `cargo xtask test` counts.
///
/// # Panics
/// With `TESTKIT_REQUIRE=1`, which says that nothing may be skipped.
#[track_caller]
pub fn skipped(test: &str, why: &str) {
    assert!(std::env::var_os(variables::REQUIRE).is_none_or(|value| value != "1"), "{test}: {why}");
    // Written past the capture of the test harness, which would swallow the line of a passing test.
    let _ = writeln!(std::io::stderr(), "SKIPPED: {test}: {why}");
}

/// The server, or none (and a `SKIPPED` line) where its program isn't installed.
///
/// # Panics
/// When the program is there but does not start, or is missing and `TESTKIT_REQUIRE=1`.
#[track_caller]
pub fn or_skip<T>(test: &str, started: Result<T, StartError>) -> Option<T> {
    match started {
        Ok(server) => Some(server),
        Err(StartError::Missing { program, .. }) => {
            skipped(test, &format!("{program} is not installed"));
            None
        }
        Err(error) => panic!("{test}: {error}"),
    }
}

/// An own Redis for this test, or none where it isn't installed.
#[track_caller]
#[must_use]
pub fn redis_or_skip(test: &str) -> Option<Redis> {
    or_skip(test, Redis::start())
}

/// An own PostgreSQL for this test, or none where it isn't installed.
#[track_caller]
#[must_use]
pub fn postgres_or_skip(test: &str) -> Option<Postgres> {
    or_skip(test, Postgres::start())
}

/// An own haproxy with the configuration that `config` makes for its port, or none where it isn't installed.
#[track_caller]
#[must_use]
pub fn haproxy_or_skip(test: &str, config: impl FnOnce(u16) -> String) -> Option<Haproxy> {
    or_skip(test, Haproxy::start(config))
}

/// `antiphon serve` with `args`, or none where the binary wasn't built.
#[track_caller]
#[must_use]
pub fn antiphon_or_skip(test: &str, args: &[&str]) -> Option<Antiphon> {
    or_skip(test, Antiphon::serve(args))
}
