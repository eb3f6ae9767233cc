//! A PostgreSQL's URL, and how to reach what it names without ever showing its password.

use std::{fmt, str::FromStr, time::Duration};

use sqlx::{ConnectOptions, PgConnection, postgres::PgConnectOptions};

use crate::SqlError;

/// `postgres://USER:PASSWORD@HOST:PORT/DATABASE`, with `?sslmode=` and the driver's other parameters.
#[derive(Clone)]
pub struct PostgresUrl(Box<PgConnectOptions>);

impl PostgresUrl {
    /// Reads it.
    pub fn parse(url: &str) -> Result<Self, SqlError> {
        // The driver's own words could repeat a part of the URL, and with it the password.
        let wrong =
            |_| SqlError::Url("it must be postgres://USER:PASSWORD@HOST:PORT/DATABASE[?sslmode=...]".into());
        let options = PgConnectOptions::from_str(url).map_err(wrong)?;
        Ok(Self(Box::new(options.application_name("antiphon").disable_statement_logging())))
    }

    pub(super) fn connect_options(&self) -> PgConnectOptions {
        (*self.0).clone()
    }

    pub(super) async fn connect(&self) -> Result<PgConnection, SqlError> {
        self.0.connect().await.map_err(|error| self.not_connected(error))
    }

    fn not_connected(&self, error: sqlx::Error) -> SqlError {
        let database = self.to_string();
        let Some(said) = error.as_database_error() else { return SqlError::of(&database, error) };
        match said.code().as_deref() {
            Some("3D000") => SqlError::Missing { database, name: self.database().to_owned() },
            Some("28000" | "28P01") => SqlError::Refused { database, cause: said.message().to_owned() },
            _ => SqlError::of(&database, error),
        }
    }

    fn database(&self) -> &str {
        self.0.get_database().unwrap_or(self.0.get_username())
    }

    /// Waits, but no longer than this.
    pub(super) async fn within<T>(
        &self,
        limit: Duration,
        what: impl Future<Output = Result<T, SqlError>>,
    ) -> Result<T, SqlError> {
        tokio::time::timeout(limit, what).await.unwrap_or_else(|_| {
            Err(SqlError::Unavailable { database: self.to_string(), cause: "no answer in time".into() })
        })
    }
}

impl fmt::Display for PostgresUrl {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let database = self.database();
        match self.0.get_socket() {
            Some(socket) => write!(f, "PostgreSQL at {}, database {database}", socket.display()),
            None => {
                write!(f, "PostgreSQL at {}:{}, database {database}", self.0.get_host(), self.0.get_port())
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_password_is_in_no_text() {
        let url = PostgresUrl::parse("postgres://app:s3cret@db.example:6432/chat?sslmode=disable").unwrap();
        assert_eq!(url.to_string(), "PostgreSQL at db.example:6432, database chat");
        for wrong in ["postgres://app:s3cret@db.example:x/chat", "postgres://app:x@h/chat?sslmode=s3cret"] {
            let error = PostgresUrl::parse(wrong).err().unwrap();
            assert!(!format!("{error} {error:?}").contains("s3cret"), "{error:?}");
        }
    }
}
