//! The way in: from a URL to the five seams of one engine.

use std::{fmt, fs, path::PathBuf, sync::Arc};

use antiphon_core::{ApiKeys, Broker, Directory, Presence, Store, Tail, Tasks, Tokens};
use antiphon_protocol::ClusterSecret;

use crate::{
    OpenOptions, PostgresBroker, PostgresEngine, PostgresTail, PostgresUrl, SchemaStatus, SqlError,
    SqliteEngine,
};

/// A database that was named by a URL: `sqlite:PATH` or `postgres://...`. Its text never holds the password.
#[derive(Clone)]
pub enum Database {
    /// A SQLite file.
    Sqlite(PathBuf),
    /// A PostgreSQL database.
    Postgres(PostgresUrl),
}

/// One engine as its seams.
pub struct Engines {
    /// The log.
    pub store: Arc<dyn Store>,
    /// Tenants, users, projects, members.
    pub directory: Arc<dyn Directory>,
    /// Opaque tokens.
    pub tokens: Arc<dyn Tokens>,
    /// API keys.
    pub keys: Arc<dyn ApiKeys>,
    /// Leases of nodes.
    pub presence: Arc<dyn Presence>,
    /// What other programs append; none where they can't.
    pub tail: Option<Arc<dyn Tail>>,
    /// What keys positions and envelopes.
    pub secret: ClusterSecret,
}

impl Engines {
    fn of<E: Store + Directory + Tokens + ApiKeys + Presence + 'static>(
        engine: E,
        secret: ClusterSecret,
        tail: Option<Arc<dyn Tail>>,
    ) -> Self {
        let engine = Arc::new(engine);
        Self {
            store: engine.clone(),
            directory: engine.clone(),
            tokens: engine.clone(),
            keys: engine.clone(),
            presence: engine,
            tail,
            secret,
        }
    }
}

/// Holds a SQLite file for one serving process; ends with it.
#[derive(Debug)]
pub struct Claim(
    #[expect(dead_code, reason = "the lock lives as long as its file is open")] Option<fs::File>,
);

impl Database {
    /// Reads a database URL.
    pub fn parse_url(url: &str) -> Result<Self, SqlError> {
        if let Some(path) = url.strip_prefix("sqlite:") {
            let path = path.strip_prefix("//").unwrap_or(path);
            if path.is_empty() || path == ":memory:" {
                return Err(SqlError::Url("`sqlite:` must be followed by the path of a file".into()));
            }
            return Ok(Self::Sqlite(path.into()));
        }
        if url.starts_with("postgres://") || url.starts_with("postgresql://") {
            return PostgresUrl::parse(url).map(Self::Postgres);
        }
        Err(SqlError::Url("it must be `sqlite:PATH` or `postgres://...`".into()))
    }

    /// True for SQLite, where a process can be alone.
    pub fn is_sqlite(&self) -> bool {
        matches!(self, Self::Sqlite(_))
    }

    /// Opens it. A SQLite file is made and migrated where needed; a PostgreSQL whose schema is behind is [`SqlError::Behind`].
    pub async fn open(&self, options: OpenOptions) -> Result<Engines, SqlError> {
        match self {
            Self::Sqlite(path) => {
                let engine = SqliteEngine::open(path, options).await?;
                let secret = engine.secret();
                Ok(Engines::of(engine, secret, None))
            }
            Self::Postgres(url) => {
                let tail = Arc::new(PostgresTail::new(url, options.clone()));
                let engine = PostgresEngine::connect(url, options).await?;
                let secret = engine.secret();
                Ok(Engines::of(engine, secret, Some(tail)))
            }
        }
    }

    /// The broker that nodes on this database have where there is no Redis; none on SQLite, which a process has for itself.
    pub fn broker(&self, secret: &ClusterSecret, tasks: &Tasks) -> Option<Arc<dyn Broker>> {
        match self {
            Self::Sqlite(_) => None,
            Self::Postgres(url) => Some(PostgresBroker::start(url, secret, tasks)),
        }
    }

    /// Brings its schema up to date; true if there was something to do.
    pub async fn migrate(&self, options: &OpenOptions) -> Result<bool, SqlError> {
        match self {
            Self::Sqlite(path) => {
                let behind = SqliteEngine::status(path, options).await? != SchemaStatus::UpToDate;
                SqliteEngine::open(path, options.clone()).await?.close().await;
                Ok(behind)
            }
            Self::Postgres(url) => Ok(!PostgresEngine::migrate(url, options).await?.is_empty()),
        }
    }

    /// How its schema stands to this program; changes nothing.
    pub async fn status(&self, options: &OpenOptions) -> Result<SchemaStatus, SqlError> {
        match self {
            Self::Sqlite(path) => SqliteEngine::status(path, options).await,
            Self::Postgres(url) => PostgresEngine::status(url, options).await,
        }
    }

    /// Takes the database for a serving process: of a SQLite file there can be one, of a PostgreSQL as many as one likes.
    pub fn claim(&self) -> Result<Claim, SqlError> {
        let Self::Sqlite(path) = self else { return Ok(Claim(None)) };
        let mut name = path.clone().into_os_string();
        name.push("-serve");
        let error = |cause: std::io::Error| SqlError::of(&self.to_string(), sqlx::Error::Io(cause));
        let file = fs::OpenOptions::new().append(true).create(true).open(name).map_err(error)?;
        match file.try_lock() {
            Ok(()) => Ok(Claim(Some(file))),
            Err(fs::TryLockError::WouldBlock) => Err(SqlError::Owned { database: self.to_string() }),
            Err(fs::TryLockError::Error(cause)) => Err(error(cause)),
        }
    }
}

impl fmt::Display for Database {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Sqlite(path) => write!(f, "SQLite at {}", path.display()),
            Self::Postgres(url) => fmt::Display::fmt(url, f),
        }
    }
}

impl fmt::Debug for Database {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        fmt::Display::fmt(self, f)
    }
}
