//! The engine on SQLite: the embedded default. WAL with synchronous=FULL: what was answered is on the disk.
//!
//! One connection writes, each write in its turn and with a deadline; a small pool reads beside it.

mod append;
mod change;
mod directory;
mod keys;
mod lease;
mod migrate;
mod put;
mod remove;
mod revisions;
mod store;
mod tokens;
mod trim;

use std::{
    path::{Path, PathBuf},
    time::{Duration, Instant},
};

use antiphon_protocol::ClusterSecret;
use sqlx::{
    ConnectOptions, Connection, Sqlite, Transaction,
    sqlite::{SqliteConnectOptions, SqliteJournalMode, SqlitePool, SqlitePoolOptions, SqliteSynchronous},
};

use crate::{
    SchemaStatus,
    error::{Engine, SqlError, is_busy},
    options::OpenOptions,
};
use revisions::Revisions;

const SQLITE: Engine = Engine("SQLite");
/// Between two tries to open a file that another process is just making.
const BUSY_PAUSE: Duration = Duration::from_millis(20);

/// Store, Directory, tokens, keys and leases in one SQLite file.
///
/// # One process serves
/// A file has one serving process (see [`crate::Database::claim`]). Others may use it beside for what makes tenants, users,
/// tokens and keys. They change nobody's membership; so [`antiphon_core::Directory::revision_now`], which knows the changes
/// of its own process alone, is still right about whom an entry is for.
pub struct SqliteEngine {
    writer: SqlitePool,
    readers: SqlitePool,
    secret: ClusterSecret,
    revisions: Revisions,
    options: OpenOptions,
}

impl SqliteEngine {
    /// Opens the file, makes it where missing, and brings its schema up to date.
    pub async fn open(path: impl AsRef<Path>, options: OpenOptions) -> Result<Self, SqlError> {
        let file = File::new(path.as_ref());
        file.create()?;
        let name = file.name();
        let error = |error| SqlError::of(&name, error);
        let writer = file.open_writer(&options).await.map_err(error)?;
        migrate::migrate(&mut *writer.acquire().await.map_err(error)?, &name).await?;
        let secret = migrate::secret(&mut *writer.acquire().await.map_err(error)?, &name).await?;
        let readers = SqlitePoolOptions::new()
            .max_connections(options.connections.max(1))
            .acquire_timeout(options.acquire_timeout)
            .test_before_acquire(false)
            .connect_with(file.connect_options(&options).pragma("query_only", "on"))
            .await
            .map_err(error)?;
        Ok(Self { writer, readers, secret, revisions: Revisions::default(), options })
    }

    /// How the schema of this file stands to this program.
    pub async fn status(path: impl AsRef<Path>, options: &OpenOptions) -> Result<SchemaStatus, SqlError> {
        let file = File::new(path.as_ref());
        let name = file.name();
        if !file.0.exists() {
            return migrate::status_of_nothing(&name);
        }
        let connected = file.connect_options(options).connect().await;
        let mut connection = connected.map_err(|error| SqlError::of(&name, error))?;
        migrate::status(&mut connection, &name).await
    }

    /// The secret that keys positions and envelopes.
    pub fn secret(&self) -> ClusterSecret {
        self.secret.clone()
    }

    /// Waits for what runs, and closes all connections.
    pub async fn close(&self) {
        self.readers.close().await;
        self.writer.close().await;
    }

    /// A transaction that may write: one at a time.
    async fn begin(&self) -> Result<Transaction<'static, Sqlite>, sqlx::Error> {
        self.writer.begin_with("begin immediate").await
    }
}

struct File(PathBuf);

impl File {
    fn new(path: &Path) -> Self {
        Self(path.to_owned())
    }

    fn name(&self) -> String {
        format!("SQLite at {}", self.0.display())
    }

    /// Makes the file where missing: readable by nobody else, since it holds the cluster's secret.
    fn create(&self) -> Result<(), SqlError> {
        let mut open = std::fs::OpenOptions::new();
        open.append(true).create(true);
        #[cfg(unix)]
        std::os::unix::fs::OpenOptionsExt::mode(&mut open, 0o600);
        let error = |error: std::io::Error| SqlError::of(&self.name(), sqlx::Error::Io(error));
        open.open(&self.0).map(drop).map_err(error)
    }

    /// The one connection that writes.
    async fn open_writer(&self, options: &OpenOptions) -> Result<SqlitePool, sqlx::Error> {
        let until = Instant::now() + options.lock_timeout;
        loop {
            let opened = SqlitePoolOptions::new()
                .max_connections(1)
                .acquire_timeout(options.acquire_timeout)
                .idle_timeout(None)
                .max_lifetime(None)
                .test_before_acquire(false)
                // SQLite ends a transaction by itself when the disk is full; the driver's rollback fails then, and it would
                // begin no other one on this connection for ever.
                .before_acquire(|connection, _| {
                    let is_free = !connection.is_in_transaction();
                    Box::pin(async move { Ok(is_free) })
                })
                .connect_with(self.connect_options(options))
                .await;
            match opened {
                // Of two who turn a new file to WAL one is told so at once, whatever its busy timeout is.
                Err(error) if is_busy(&error) && Instant::now() < until => {
                    tokio::time::sleep(BUSY_PAUSE).await
                }
                opened => return opened,
            }
        }
    }

    fn connect_options(&self, options: &OpenOptions) -> SqliteConnectOptions {
        SqliteConnectOptions::new()
            .filename(&self.0)
            .create_if_missing(false)
            .journal_mode(SqliteJournalMode::Wal)
            .synchronous(SqliteSynchronous::Full)
            .foreign_keys(true)
            .busy_timeout(options.lock_timeout)
            .pragma("trusted_schema", "off")
            .pragma("journal_size_limit", "67108864")
            .disable_statement_logging()
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use antiphon_core::{SeamError, Store};
    use antiphon_protocol::{Content, Draft, TenantId, Topic, TopicName};
    use sqlx::Connection;

    #[tokio::test]
    async fn every_connection_is_durable_and_bounded() {
        let folder = tempfile::tempdir().unwrap();
        let engine = SqliteEngine::open(folder.path().join("a.db"), OpenOptions::default()).await.unwrap();
        for pool in [&engine.writer, &engine.readers] {
            let mut connection = pool.acquire().await.unwrap();
            let text = |sql| sqlx::query_scalar::<_, String>(sql);
            let number = |sql| sqlx::query_scalar::<_, i64>(sql);
            assert_eq!(text("pragma journal_mode").fetch_one(&mut *connection).await.unwrap(), "wal");
            assert_eq!(number("pragma synchronous").fetch_one(&mut *connection).await.unwrap(), 2);
            assert_eq!(number("pragma foreign_keys").fetch_one(&mut *connection).await.unwrap(), 1);
            assert_eq!(number("pragma busy_timeout").fetch_one(&mut *connection).await.unwrap(), 2000);
            connection.ping().await.unwrap();
        }
        let mut reader = engine.readers.acquire().await.unwrap();
        assert!(sqlx::query("delete from entries").execute(&mut *reader).await.is_err());
        let version: String =
            sqlx::query_scalar("select sqlite_version()").fetch_one(&mut *reader).await.unwrap();
        let parts: Vec<u32> = version.split('.').map(|part| part.parse().unwrap()).collect();
        assert!(parts >= vec![3, 51, 3], "{version}");
    }

    #[tokio::test]
    async fn after_a_full_disk_has_ended_a_transaction_the_next_one_is_begun() {
        let folder = tempfile::tempdir().unwrap();
        let engine = SqliteEngine::open(folder.path().join("a.db"), OpenOptions::default()).await.unwrap();
        let draft = |len: usize| Draft {
            topic: Topic::new(TenantId::parse("acme").unwrap(), TopicName::parse("news").unwrap()),
            author: None,
            named_project: None,
            key: None,
            content: Content::text(&"x".repeat(len)).unwrap(),
        };
        engine.append(&[(1, vec![draft(1)])]).await.unwrap();
        // As if its pages were all that the disk has, for this connection.
        let mut writer = engine.writer.acquire().await.unwrap();
        sqlx::query("pragma max_page_count = 1").execute(&mut *writer).await.unwrap();
        drop(writer);
        let full = engine.append(&[(1, vec![draft(50_000)])]).await;
        assert!(matches!(full, Err(SeamError::Unavailable { .. })), "{full:?}");
        let appended = engine.append(&[(1, vec![draft(2)])]).await.unwrap().remove(0).unwrap();
        assert_eq!(appended[0].entry.position.offset, 2);
    }
}
