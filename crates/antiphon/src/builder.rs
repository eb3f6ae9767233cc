//! From a few lines of an application to a node that runs in it.

use std::{sync::Arc, time::Duration};

use antiphon_axum::{Doors, HttpOptions};
use antiphon_core::{
    Appended, Authenticator, Authorizer, Broker, Directory, Limits, PlainChannel, PublishHook, Tasks,
    TopicRules,
};
use antiphon_memory::MemoryBus;
use antiphon_node::{By, Engines, Node};
use antiphon_protocol::{ClusterSecret, Draft, Refusal, Signal, TenantId};
use antiphon_sql::{Claim, Database, OpenOptions};

use crate::admitting::Admitting;

/// Why it did not start.
#[derive(Debug, thiserror::Error)]
pub enum StartError {
    /// The database.
    #[error(transparent)]
    Database(#[from] antiphon_sql::SqlError),
    /// Redis.
    #[cfg(feature = "redis")]
    #[error(transparent)]
    Redis(#[from] antiphon_redis::RedisError),
    /// The threads of the shards.
    #[error("the shards can't start: {0}")]
    Shards(std::io::Error),
    /// Nothing says who a token belongs to.
    #[error("an authenticator is needed: enable the feature `jwt` for antiphon's own tokens, or bring one")]
    NoAuthenticator,
    /// SQLite belongs to one process.
    #[error("SQLite belongs to one process: with Redis use PostgreSQL")]
    SqliteWithRedis,
}

/// A node that runs in this application.
pub struct Antiphon {
    doors: Arc<Doors>,
    pub(crate) log: Log,
    tasks: Tasks,
    _claim: Claim,
}

/// Where the log is.
pub(crate) enum Log {
    Sqlite,
    Postgres {
        /// The tenants are kept there too, and not by the application.
        keeps_directory: bool,
    },
}

/// Says what it is to be.
pub struct Builder {
    database: String,
    migrate: bool,
    redis: Option<String>,
    plain_topics: bool,
    authenticator: Option<Arc<dyn Authenticator>>,
    authorizer: Arc<dyn Authorizer>,
    publish_hook: Option<Arc<dyn PublishHook>>,
    directory: Option<Arc<dyn Directory>>,
    limits: Limits,
    http: HttpOptions,
}

impl Antiphon {
    /// On SQLite in `./antiphon.db`, with antiphon's own tokens, until said otherwise.
    pub fn builder() -> Builder {
        Builder {
            database: "sqlite:./antiphon.db".into(),
            migrate: false,
            redis: None,
            plain_topics: false,
            authenticator: None,
            authorizer: Arc::new(TopicRules::default()),
            publish_hook: None,
            directory: None,
            limits: Limits::default(),
            http: HttpOptions::default(),
        }
    }

    pub(crate) fn doors(&self) -> &Arc<Doors> {
        &self.doors
    }

    /// The directory: antiphon's own unless another was brought.
    pub fn directory(&self) -> &Arc<dyn Directory> {
        &self.doors.node().engines().directory
    }

    /// Publishes as the application; resolves after the commit.
    pub async fn publish(&self, draft: Draft) -> Result<Appended, Refusal> {
        let appended = self.doors.node().publish(&By::Key, vec![draft]).await?;
        appended.into_iter().next().ok_or_else(|| Refusal::unavailable(1000))
    }

    /// Sends a signal as the application.
    pub async fn signal(&self, signal: Signal) -> Result<(), Refusal> {
        self.doors.node().signal(&By::Key, signal).await
    }

    /// To be called after each change of what an own [`Directory`] says of a tenant: when it resolves, the change holds here,
    /// and the other nodes have been told.
    pub async fn tenant_changed(&self, tenant: &TenantId) {
        self.doors.node().tenant_changed(tenant).await;
    }

    /// Moves the clients away over this time and ends the node's tasks; it is of no more use then. To be awaited where the
    /// application is told to end, while it still listens: see `docs/guide/axum.md`.
    pub async fn drain(&self, window: Duration) {
        self.doors.node().begin_drain();
        let reactor = self.doors.reactor().clone();
        let (done, wait) = tokio::sync::oneshot::channel();
        // A thread of its own: the wait is a blocking one, and any kind of runtime may be underneath.
        std::thread::spawn(move || {
            reactor.drain(window);
            // Nobody waits any more if the caller is gone.
            let _ = done.send(());
        });
        drop(wait.await);
        self.doors.node().release_lease().await;
        self.tasks.end(Duration::from_secs(5)).await;
    }
}

impl Builder {
    /// Where entries are kept: `sqlite:PATH` or `postgres://...`.
    pub fn database(mut self, url: impl Into<String>) -> Self {
        self.database = url.into();
        self
    }

    /// Brings the schema of a PostgreSQL up to date at the start (SQLite is always).
    pub fn migrate(mut self) -> Self {
        self.migrate = true;
        self
    }

    /// Where the nodes hear each other: `redis://...`, `redis-sentinel://...` or `redis-cluster://...`, with `rediss` for TLS.
    pub fn redis(mut self, url: impl Into<String>) -> Self {
        self.redis = Some(url.into());
        self
    }

    /// Also speak the plain form of Redis channels.
    pub fn plain_topics(mut self) -> Self {
        self.plain_topics = true;
        self
    }

    /// Whose tokens are taken, instead of antiphon's own.
    pub fn authenticator(mut self, authenticator: impl Authenticator + 'static) -> Self {
        self.authenticator = Some(Arc::new(authenticator));
        self
    }

    /// Who may, instead of the built-in rules.
    pub fn authorizer(mut self, authorizer: impl Authorizer + 'static) -> Self {
        self.authorizer = Arc::new(authorizer);
        self
    }

    /// Is asked about each message of a user before it is published.
    pub fn publish_hook(mut self, hook: impl PublishHook + 'static) -> Self {
        self.publish_hook = Some(Arc::new(hook));
        self
    }

    /// Who belongs where, instead of antiphon's own directory.
    pub fn directory(mut self, directory: impl Directory + 'static) -> Self {
        self.directory = Some(Arc::new(directory));
        self
    }

    /// The bounds.
    pub fn limits(mut self, limits: Limits) -> Self {
        self.limits = limits;
        self
    }

    /// Origins, proxies, shards.
    pub fn http(mut self, http: HttpOptions) -> Self {
        self.http = http;
        self
    }

    /// Opens the database and starts the node on this runtime.
    pub async fn start(self) -> Result<Antiphon, StartError> {
        let database = Database::parse_url(&self.database)?;
        if database.is_sqlite() && self.redis.is_some() {
            return Err(StartError::SqliteWithRedis);
        }
        let claim = database.claim()?;
        let keeps_directory = self.directory.is_none();
        let log = if database.is_sqlite() { Log::Sqlite } else { Log::Postgres { keeps_directory } };
        let options = OpenOptions { keeps_directory, ..OpenOptions::default() };
        if self.migrate {
            database.migrate(&options).await?;
        }
        let sql = database.open(options).await?;
        let tasks = Tasks::new(tokio::runtime::Handle::current());
        let (broker, plain) = brokers(&self, &database, &sql.secret, &tasks)?;
        #[cfg(feature = "jwt")]
        let own: Option<Arc<dyn Authenticator>> =
            Some(Arc::new(antiphon_auth::OpaqueAuthenticator::new(sql.tokens.clone())));
        #[cfg(not(feature = "jwt"))]
        let own: Option<Arc<dyn Authenticator>> = None;
        let brings_tokens = self.authenticator.is_some();
        let brought = match (self.authenticator, &self.directory) {
            // Its users are made in the directory here when they are first seen.
            (Some(inner), None) => {
                Some(Arc::new(Admitting { inner, users: sql.tokens.clone() }) as Arc<dyn Authenticator>)
            }
            (brought, _) => brought,
        };
        let engines = Engines {
            store: sql.store,
            tail: sql.tail,
            broker,
            plain,
            directory: self.directory.unwrap_or(sql.directory),
            presence: sql.presence,
            authenticator: brought.or(own).ok_or(StartError::NoAuthenticator)?,
            authorizer: self.authorizer,
            hook: self.publish_hook,
            tokens: (!brings_tokens).then_some(sql.tokens),
            keys: Some(sql.keys),
        };
        let node = Node::start(engines, sql.secret, self.limits, tasks.clone());
        let doors = Doors::open(node, self.http).map_err(StartError::Shards)?;
        Ok(Antiphon { doors, log, tasks, _claim: claim })
    }
}

type Brokers = (Arc<dyn Broker>, Option<Arc<dyn PlainChannel>>);

fn brokers(
    builder: &Builder,
    database: &Database,
    secret: &ClusterSecret,
    tasks: &Tasks,
) -> Result<Brokers, StartError> {
    #[cfg(feature = "redis")]
    if let Some(url) = &builder.redis {
        let options = antiphon_redis::RedisOptions::new(url.clone());
        let broker = antiphon_redis::RedisBroker::start(&options, tasks)?;
        let plain = builder.plain_topics.then(|| broker.clone() as Arc<dyn PlainChannel>);
        // While Redis is away PostgreSQL rings.
        let broker: Arc<dyn Broker> = match database.broker(secret, tasks) {
            Some(spare) => antiphon_node::Bells::start(broker, spare, secret, tasks),
            None => broker,
        };
        return Ok((broker, plain));
    }
    #[cfg(not(feature = "redis"))]
    let _ = builder;
    // PostgreSQL has a bell of its own; whoever owns a SQLite file is alone.
    let alone = || Arc::new(MemoryBus::new().broker()) as Arc<dyn Broker>;
    Ok((database.broker(secret, tasks).unwrap_or_else(alone), None))
}
