//! The database of the configuration, opened, and what its errors mean for how the program ends.

use antiphon_core::Limits;
use antiphon_sql::{Database, OpenOptions, SqlError};

use crate::{config::Config, failure::Failure, words};

impl From<SqlError> for Failure {
    fn from(error: SqlError) -> Self {
        match error {
            SqlError::Url(_) => Self::Usage(words::of_database(&error)),
            _ => Self::Running(words::of_database(&error)),
        }
    }
}

/// The database that the configuration names, not opened yet.
pub fn named(config: &Config) -> Result<Database, Failure> {
    Ok(Database::parse_url(&config.database.secret())?)
}

/// How patiently it is used.
pub fn patience(limits: &Limits) -> OpenOptions {
    OpenOptions { operation_timeout: limits.engine_timeout, ..OpenOptions::default() }
}
