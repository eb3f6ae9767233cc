//! Store, Directory, tokens, keys and leases on SQLite and PostgreSQL: one crate, two engines that keep the same promises.
//!
//! [`Database`] is the way in. What both engines share stands beside this file: what a call of `append` writes (`plan`),
//! how rows become values (`row`, `members`, `tokens`), migrations and errors. Statements are constants with bound values.

mod append_in;
mod database;
mod error;
mod members;
mod migration;
mod options;
mod plan;
mod postgres;
mod row;
mod sqlite;
mod tokens;
mod trim;

pub use append_in::{AppendInError, AppendedIn, append_in};
pub use database::{Claim, Database, Engines};
pub use error::SqlError;
pub use migration::SchemaStatus;
pub use options::OpenOptions;
pub use postgres::{PostgresBroker, PostgresEngine, PostgresTail, PostgresUrl};
pub use sqlite::SqliteEngine;
/// The driver, for who appends in transactions of its own: a connection must be of this version.
pub use sqlx;
