//! The only place that names every engine: from a configuration to a node with its reactor and its routers.

use std::sync::Arc;

use antiphon_auth::{Authenticators, JwtAuthenticator, OpaqueAuthenticator};
use antiphon_axum::{Doors, HttpOptions};
use antiphon_core::{Broker, Limits, PlainChannel, PublishHook, Tasks, Tokens};
use antiphon_memory::MemoryBus;
use antiphon_node::{Bells, Engines, Node};
use antiphon_protocol::ClusterSecret;
use antiphon_redis::{RedisBroker, RedisOptions};
use antiphon_sql::{Claim, Database, SqlError};
use antiphon_webhook::{Endpoint, HttpPublishHook};
use axum::Router;

use crate::{
    config::{Config, JwtParts},
    database,
    failure::Failure,
    words,
};

/// A database that is open and ours to serve.
pub struct Opened {
    database: Database,
    engines: antiphon_sql::Engines,
    claim: Claim,
}

/// Why it is not.
pub enum OpenError {
    /// It is not there for now: worth the same again.
    NotThere(String),
    /// It never will be like that.
    Final(Failure),
}

/// Opens the database of the configuration for serving.
pub async fn open(config: &Config, limits: &Limits) -> Result<Opened, OpenError> {
    let named = database::named(config).map_err(OpenError::Final)?;
    let of = |error: SqlError| match error {
        // A file does not come by waiting.
        SqlError::Unavailable { .. } if !named.is_sqlite() => OpenError::NotThere(words::of_database(&error)),
        error => OpenError::Final(error.into()),
    };
    let claim = named.claim().map_err(of)?;
    let engines = named.open(database::patience(limits)).await.map_err(of)?;
    Ok(Opened { database: named, engines, claim })
}

/// A node that runs, and what drives its sockets.
pub struct Running {
    /// The node with its shards.
    pub doors: Arc<Doors>,
    /// What its clients and backends are answered by.
    pub public: Router,
    /// Health and metrics without a key.
    pub operations: Router,
    tasks: Tasks,
    _claim: Claim,
}

/// Starts a node on an open database.
pub fn start(
    config: &Config,
    limits: Limits,
    opened: Opened,
    jwt: Option<JwtParts>,
) -> Result<Running, Failure> {
    let Opened { database, engines, claim } = opened;
    let tasks = Tasks::new(tokio::runtime::Handle::current());
    let (broker, plain) = broker(config, &database, &engines.secret, &tasks)?;
    let tokens_by_the_second = jwt.is_some();
    let node_engines = Engines {
        store: engines.store,
        tail: engines.tail,
        broker,
        plain,
        directory: engines.directory,
        presence: engines.presence,
        authenticator: Arc::new(authenticators(&engines.tokens, jwt)),
        authorizer: Arc::new(config.topic_rules()),
        hook: hook(config, &limits)?,
        tokens: Some(engines.tokens),
        keys: Some(engines.keys),
    };
    let node = Node::start(node_engines, engines.secret, limits, tasks.clone());
    let doors = Doors::open(node, http_options(config, tokens_by_the_second));
    let doors = doors.map_err(|error| Failure::Running(format!("the shards can't start: {error}")))?;
    let (public, operations) = (
        antiphon_axum::router(&doors).fallback(antiphon_axum::not_found),
        antiphon_axum::admin_router(&doors).fallback(antiphon_axum::not_found),
    );
    Ok(Running { doors, public, operations, tasks, _claim: claim })
}

fn http_options(config: &Config, tokens_by_the_second: bool) -> HttpOptions {
    HttpOptions {
        allowed_origins: config.origins(),
        trusted_proxies: config.trusted_proxy.clone(),
        shards: config.shards,
        tokens_by_the_second,
    }
}

impl Running {
    /// Ends the node after its connections have ended: no lease, no task stays.
    pub async fn end(self) {
        let node = self.doors.node();
        node.release_lease().await;
        let patience = node.limits().engine_timeout;
        if !self.tasks.end(patience).await {
            tracing::warn!("some tasks were still at work");
        }
    }
}

type Brokers = (Arc<dyn Broker>, Option<Arc<dyn PlainChannel>>);

fn broker(
    config: &Config,
    database: &Database,
    secret: &ClusterSecret,
    tasks: &Tasks,
) -> Result<Brokers, Failure> {
    let Some(redis) = &config.redis else {
        // PostgreSQL has a bell of its own; whoever owns a SQLite file is alone.
        let alone = || Arc::new(MemoryBus::new().broker()) as Arc<dyn Broker>;
        return Ok((database.broker(secret, tasks).unwrap_or_else(alone), None));
    };
    let mut options = RedisOptions::new(redis.secret());
    options.ca_file = config.redis_ca.clone();
    let broker =
        RedisBroker::start(&options, tasks).map_err(|error| Failure::Usage(format!("`redis`: {error}")))?;
    let plain = config.redis_plain_topics.then(|| broker.clone() as Arc<dyn PlainChannel>);
    // While Redis is away PostgreSQL rings.
    let broker: Arc<dyn Broker> = match database.broker(secret, tasks) {
        Some(spare) => Bells::start(broker, spare, secret, tasks),
        None => broker,
    };
    Ok((broker, plain))
}

/// Through what the other nodes are heard.
pub fn other_nodes(config: &Config) -> String {
    match &config.redis {
        Some(redis) => {
            format!("through Redis at {redis}, and through PostgreSQL's LISTEN/NOTIFY while it is away")
        }
        None if config.database.is_sqlite() => "none: a SQLite file has one node".to_owned(),
        None => "through PostgreSQL's LISTEN/NOTIFY".to_owned(),
    }
}

/// Who is asked about each message of a user.
fn hook(config: &Config, limits: &Limits) -> Result<Option<Arc<dyn PublishHook>>, Failure> {
    let (Some(url), Some(secret)) = (&config.publish_hook, &config.publish_hook_secret) else {
        return Ok(None);
    };
    let endpoint = Endpoint::new(url.0.clone(), secret.secret().clone(), limits.publish_hook_timeout);
    let endpoint = endpoint.map_err(|error| Failure::Usage(format!("`publish_hook`: {error}")))?;
    Ok(Some(Arc::new(HttpPublishHook::new(endpoint))))
}

fn authenticators(tokens: &Arc<dyn Tokens>, jwt: Option<JwtParts>) -> Authenticators {
    let opaque = Authenticators::new().with_opaque(OpaqueAuthenticator::new(tokens.clone()));
    match jwt {
        None => opaque,
        Some(JwtParts { rules, keys, jwks }) => {
            opaque.with_jwt(JwtAuthenticator::new(tokens.clone(), rules, keys, jwks))
        }
    }
}
