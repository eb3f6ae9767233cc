//! Errors of opening and migrating, by what to do about them, and what an error of sqlx means for a seam's caller.

use antiphon_core::SeamError;

/// A database that could not be opened or migrated. Its text never holds a password.
#[derive(Debug, thiserror::Error)]
pub enum SqlError {
    /// A URL that names no database of ours: to be corrected.
    #[error("the database URL is not usable: {0}")]
    Url(String),
    /// Not there for now: worth the same again.
    #[error("{database} is not available: {cause}")]
    Unavailable {
        /// Which one, without its password.
        database: String,
        /// What the driver says.
        cause: String,
    },
    /// Its schema is older than this program: to be migrated.
    #[error(
        "the schema of {database} is behind by {}: run `antiphon migrate --database ...` with a role that may create tables",
        versions(missing)
    )]
    Behind {
        /// Which one.
        database: String,
        /// The versions that are missing.
        missing: Vec<i64>,
    },
    /// Its schema is newer than this program: it was migrated by a later antiphon.
    #[error(
        "the schema of {database} has {} of a later antiphon, and this program knows up to version {known}: \
         start the later antiphon, or restore a backup of before its migration",
        versions(unknown)
    )]
    Newer {
        /// Which one.
        database: String,
        /// The versions that this program does not know.
        unknown: Vec<i64>,
        /// The last version that it knows.
        known: i64,
    },
    /// A migration that was applied is not the one that this program has.
    #[error(
        "migration {version} of {database} was applied with another text than this program has for it: \
         it was changed after its release; use the antiphon that applied it, or restore a backup"
    )]
    Changed {
        /// Which one.
        database: String,
        /// The version that differs.
        version: i64,
    },
    /// Another process serves this SQLite file.
    #[error("{database} is served by another process already: one `serve` owns a SQLite file")]
    Owned {
        /// Which one.
        database: String,
    },
    /// The server is there and the database is not: to be made.
    #[error("{database} is not there: make it first, with `createdb {name}` or as your server has it")]
    Missing {
        /// Which one, without its password.
        database: String,
        /// Its name on the server.
        name: String,
    },
    /// The server does not let this role in: to be made, or its password corrected.
    #[error(
        "{database} refuses this role: {cause}; is it there (`createuser`), with this password and a right to connect?"
    )]
    Refused {
        /// Which one, without its password.
        database: String,
        /// What the server says.
        cause: String,
    },
    /// It does not do what it has to: not worth the same again.
    #[error("{database} failed: {cause}")]
    Broken {
        /// Which one.
        database: String,
        /// What the driver says.
        cause: String,
    },
}

fn versions(versions: &[i64]) -> String {
    let numbers: Vec<String> = versions.iter().map(i64::to_string).collect();
    let noun = if versions.len() == 1 { "version" } else { "versions" };
    format!("{noun} {}", numbers.join(", "))
}

impl SqlError {
    /// What the driver's error means for who opens or migrates this database.
    pub(crate) fn of(database: &str, error: sqlx::Error) -> Self {
        // Without the line of the server's own source.
        let said = error.as_database_error().map(|said| said.message().to_owned());
        let (database, cause) = (database.to_owned(), said.unwrap_or_else(|| error.to_string()));
        if is_temporary(&error) {
            Self::Unavailable { database, cause }
        } else {
            Self::Broken { database, cause }
        }
    }
}

/// True where the same may succeed later.
pub(crate) fn is_temporary(error: &sqlx::Error) -> bool {
    match error {
        sqlx::Error::Io(_)
        | sqlx::Error::Tls(_)
        | sqlx::Error::PoolTimedOut
        | sqlx::Error::PoolClosed
        | sqlx::Error::WorkerCrashed
        | sqlx::Error::BeginFailed => true,
        sqlx::Error::Database(error) => error.code().is_some_and(|code| is_temporary_code(&code)),
        _ => false,
    }
}

fn is_temporary_code(code: &str) -> bool {
    if code.len() == 5 {
        // PostgreSQL: connection, resources, operator and system errors, locks, and a server that only reads (a failover).
        return ["08", "53", "57", "58"].iter().any(|class| code.starts_with(class))
            || ["40001", "40P01", "55P03", "25006", "25P03"].contains(&code);
    }
    // SQLite: busy, locked, interrupted, I/O, full, can't open; the higher bits say more than is needed here.
    code.parse::<u32>().is_ok_and(|code| matches!(code & 0xff, 5 | 6 | 9 | 10 | 13 | 14))
}

/// True where PostgreSQL gave up waiting for a lock, or chose this transaction to end a deadlock.
pub(crate) fn is_locked(error: &sqlx::Error) -> bool {
    let code = error.as_database_error().and_then(sqlx::error::DatabaseError::code);
    code.is_some_and(|code| matches!(&*code, "55P03" | "40P01"))
}

/// True where another connection has SQLite's file for itself.
pub(crate) fn is_busy(error: &sqlx::Error) -> bool {
    // SQLITE_BUSY, the first byte of all its extended codes.
    let code = error.as_database_error().and_then(sqlx::error::DatabaseError::code);
    code.and_then(|code| code.parse::<u32>().ok()).is_some_and(|code| code & 0xff == 5)
}

/// True where PostgreSQL chose this transaction to end a deadlock: whoever it waited for goes on now.
pub(crate) fn is_deadlock(error: &sqlx::Error) -> bool {
    error.as_database_error().and_then(sqlx::error::DatabaseError::code).is_some_and(|code| code == "40P01")
}

/// An engine's name, and how its errors become a seam's.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Engine(pub &'static str);

impl Engine {
    pub fn error(self, error: sqlx::Error) -> SeamError {
        if is_temporary(&error) {
            SeamError::unavailable(self.0, error)
        } else {
            SeamError::broken(self.0, error)
        }
    }

    /// Waits for an operation, but no longer than this.
    pub async fn within<T>(
        self,
        limit: std::time::Duration,
        operation: impl Future<Output = Result<T, Fault>>,
    ) -> Result<T, SeamError> {
        match tokio::time::timeout(limit, operation).await {
            Ok(Ok(value)) => Ok(value),
            Ok(Err(Fault::Sql(error))) => Err(self.error(error)),
            Ok(Err(Fault::Row(cause))) => Err(SeamError::broken(self.0, cause)),
            Err(_) => Err(SeamError::unavailable(self.0, "no answer in time")),
        }
    }
}

/// What goes wrong inside of an operation.
#[derive(Debug)]
pub(crate) enum Fault {
    /// The driver says so.
    Sql(sqlx::Error),
    /// A row holds what was never written by this program.
    Row(String),
}

impl From<sqlx::Error> for Fault {
    fn from(error: sqlx::Error) -> Self {
        Self::Sql(error)
    }
}

impl From<antiphon_protocol::IdError> for Fault {
    fn from(error: antiphon_protocol::IdError) -> Self {
        Self::Row(error.to_string())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_lock_or_a_lost_server_is_temporary_and_a_wrong_statement_is_not() {
        for code in ["55P03", "40P01", "57P01", "57014", "08006", "53300", "25006", "5", "261", "13"] {
            assert!(is_temporary_code(code), "{code}");
        }
        for code in ["42601", "42P01", "23505", "28P01", "3D000", "1", "19", "2067", "11"] {
            assert!(!is_temporary_code(code), "{code}");
        }
    }
}
