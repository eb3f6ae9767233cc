//! The engine on PostgreSQL 15 and later, in the schema `antiphon`: for several nodes.
//!
//! Every connection has its timeouts set on the server, and every operation one of its own here, for a server that does
//! not answer at all.

mod append;
mod append_free;
mod broker;
mod change;
mod directory;
mod keys;
mod lease;
mod migrate;
mod put;
mod remove;
mod store;
mod tail;
mod tokens;
mod trim;
mod url;

use std::time::Duration;

use antiphon_protocol::ClusterSecret;
use sqlx::{Connection, PgConnection, PgPool, Postgres, Transaction, postgres::PgPoolOptions};

use crate::{
    SchemaStatus,
    error::{Engine, SqlError},
    options::OpenOptions,
};
pub use broker::PostgresBroker;
pub use tail::PostgresTail;
pub use url::PostgresUrl;

const POSTGRES: Engine = Engine("PostgreSQL");

/// For how long a connection may have been idle to be used without asking whether it still lives.
const TRUSTED_IDLE: Duration = Duration::from_secs(1);

/// Store, Directory, tokens, keys and leases in one PostgreSQL database.
pub struct PostgresEngine {
    pool: PgPool,
    secret: ClusterSecret,
    options: OpenOptions,
}

impl PostgresEngine {
    /// Connects; the schema has to be up to date.
    pub async fn connect(url: &PostgresUrl, options: OpenOptions) -> Result<Self, SqlError> {
        let secret = url.within(options.connect_timeout, Self::secret_of(url)).await?;
        let settings = options.clone();
        let pool = PgPoolOptions::new()
            .max_connections(options.connections.max(1))
            .acquire_timeout(options.acquire_timeout)
            .test_before_acquire(false)
            .after_connect(move |connection, _| {
                let settings = settings.clone();
                Box::pin(async move { configure(connection, &settings).await })
            })
            .before_acquire(|connection, about| {
                Box::pin(async move {
                    if about.idle_for > TRUSTED_IDLE {
                        connection.ping().await?;
                    }
                    Ok(true)
                })
            })
            .connect_lazy_with(url.connect_options());
        Ok(Self { pool, secret, options })
    }

    /// The secret of a database whose schema is up to date. By a connection of its own: a pool would try again and again
    /// until its time is over, and then not say why.
    async fn secret_of(url: &PostgresUrl) -> Result<ClusterSecret, SqlError> {
        let name = url.to_string();
        let mut connection = url.connect().await?;
        let secret = match migrate::status(&mut connection, &name).await? {
            SchemaStatus::UpToDate => migrate::secret(&mut connection, &name).await?,
            SchemaStatus::Behind { missing } => return Err(SqlError::Behind { database: name, missing }),
            SchemaStatus::Newer { unknown } => return Err(migrate::newer(&name, unknown)),
        };
        connection.close().await.map_err(|error| SqlError::of(&name, error))?;
        Ok(secret)
    }

    /// How the schema of this database stands to this program.
    pub async fn status(url: &PostgresUrl, options: &OpenOptions) -> Result<SchemaStatus, SqlError> {
        let name = url.to_string();
        let asked = async {
            let mut connection = url.connect().await?;
            let status = migrate::status(&mut connection, &name).await?;
            connection.close().await.map_err(|error| SqlError::of(&name, error))?;
            Ok(status)
        };
        url.within(options.connect_timeout, asked).await
    }

    /// Brings the schema up to date, one process at a time; the versions that were applied.
    pub async fn migrate(url: &PostgresUrl, options: &OpenOptions) -> Result<Vec<i64>, SqlError> {
        let mut connection = url.within(options.connect_timeout, url.connect()).await?;
        let applied = migrate::migrate(&mut connection, &url.to_string()).await?;
        connection.close().await.map_err(|error| SqlError::of(&url.to_string(), error))?;
        Ok(applied)
    }

    /// The secret that keys positions and envelopes.
    pub fn secret(&self) -> ClusterSecret {
        self.secret.clone()
    }

    /// Waits for what runs, and closes all connections.
    pub async fn close(&self) {
        self.pool.close().await;
    }

    async fn begin(&self) -> Result<Transaction<'static, Postgres>, sqlx::Error> {
        self.pool.begin().await
    }
}

/// What the server itself bounds on this connection. Commits wait for the disk, whatever the database's default is.
async fn configure(connection: &mut PgConnection, options: &OpenOptions) -> Result<(), sqlx::Error> {
    let ms = |time: Duration| time.as_millis().to_string();
    sqlx::query(
        "select set_config('statement_timeout', $1, false), set_config('lock_timeout', $2, false), \
         set_config('idle_in_transaction_session_timeout', $3, false), set_config('jit', 'off', false), \
         case when current_setting('synchronous_commit') = 'off' then set_config('synchronous_commit', 'on', false) end",
    )
    .bind(ms(options.statement_timeout))
    .bind(ms(options.lock_timeout))
    .bind(ms(options.idle_in_transaction_timeout))
    .execute(connection)
    .await?;
    Ok(())
}

/// Ids as the array that a statement takes.
fn texts<T>(ids: &[T], text: impl Fn(&T) -> &str) -> Vec<&str> {
    ids.iter().map(text).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[tokio::test]
    async fn every_connection_is_durable_and_bounded_by_the_server() {
        let test = "every_connection_is_durable_and_bounded_by_the_server";
        let Some(server) = antiphon_testkit::shared_postgres(test) else { return };
        let name = server.name();
        server.sql(&["alter database ", name, " set synchronous_commit = off"].concat());
        let url = PostgresUrl::parse(&server.url()).unwrap();
        PostgresEngine::migrate(&url, &OpenOptions::default()).await.unwrap();
        let engine = PostgresEngine::connect(&url, OpenOptions::default()).await.unwrap();
        let mut held = Vec::new();
        for _ in 0..2 {
            let mut connection = engine.pool.acquire().await.unwrap();
            for (name, value) in [
                ("statement_timeout", "8s"),
                ("lock_timeout", "2s"),
                ("idle_in_transaction_session_timeout", "10s"),
                ("synchronous_commit", "on"),
            ] {
                let now: String = sqlx::query_scalar("select current_setting($1)")
                    .bind(name)
                    .fetch_one(&mut *connection)
                    .await
                    .unwrap();
                assert_eq!(now, value, "{name}");
            }
            held.push(connection);
        }
    }
}
