//! The configuration: what each option is, where its value may come from, and what is wrong with it.
//!
//! [`Config`] is the one list of options; flags, environment variables, the file's keys, `--help` and the JSON
//! Schema are all made from it (`option.rs`). `layers.rs` puts the sources over each other.

mod address;
mod error;
mod jwt;
mod layers;
mod limits;
mod log;
mod option;
mod show;
mod span;
mod topics;
mod value;

use std::path::PathBuf;

use antiphon_core::{Limits, Scope, TopicRules};
use antiphon_protocol::{TenantId, UserId};
use ipnet::IpNet;
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

pub use address::{DatabaseUrl, Hidden, HttpUrl, ListenAddress, RedisUrl};
pub use error::ConfigError;
pub use jwt::{JwtParts, JwtSection};
pub use layers::{Environment, Origin, Settings};
pub use limits::LimitsSection;
pub use log::{LogFormat, LogLevel};
pub use option::{ENV_PREFIX, Kind, OptionInfo, options, schema};
pub use show::show;
pub use span::{Lifetime, Span};
pub use topics::TopicSection;

/// Every option. Those of the first level are flags too: of `serve`, but where `x-of` says of what else.
#[derive(Debug, Clone, Serialize, Deserialize, JsonSchema)]
#[serde(default, deny_unknown_fields)]
pub struct Config {
    /// Where clients and the API are listened for; port 0 takes a free one and prints it.
    pub listen: ListenAddress,
    /// Where entries, the directory and tokens are kept: `sqlite:PATH` or `postgres://...`.
    pub database: DatabaseUrl,
    /// Where nodes hear each other: `redis://...`, `redis-sentinel://...` or `redis-cluster://...`, with `rediss` for TLS. Without it: through PostgreSQL.
    pub redis: Option<RedisUrl>,
    /// The certificate, in PEM, of the authority that Redis' own is signed by, if it is not a public one.
    #[schemars(extend("x-value" = "FILE"))]
    pub redis_ca: Option<PathBuf>,
    /// Also speak the plain form of Redis channels: one channel for each tenant.
    pub redis_plain_topics: bool,
    /// Over how long clients are asked to leave when the node ends.
    pub drain: Span,
    /// For how long the node is not ready but still accepts, before a drain.
    pub drain_delay: Span,
    /// An origin whose pages may connect, such as `https://app.example.com`.
    #[schemars(extend("x-value" = "URL"))]
    pub allowed_origin: Vec<String>,
    /// A proxy, as an address or a network, whose `X-Forwarded-For` is believed.
    #[schemars(with = "Vec<String>", extend("x-value" = "CIDR"))]
    #[serde(deserialize_with = "address::networks")]
    pub trusted_proxy: Vec<IpNet>,
    /// The certificate chain for TLS, in PEM.
    #[schemars(extend("x-value" = "FILE"))]
    pub tls_cert: Option<PathBuf>,
    /// The private key for TLS, in PEM.
    #[schemars(extend("x-value" = "FILE"))]
    pub tls_key: Option<PathBuf>,
    /// Frames a second of one connection; 0: no bound.
    #[schemars(extend("x-value" = "N"))]
    pub rate_limit: u32,
    /// Connections of this node; more are answered with 503.
    #[schemars(range(min = 1), extend("x-value" = "N"))]
    pub max_connections: usize,
    /// How long entries are kept; 0s: for ever.
    pub retention: Span,
    /// Where health and metrics are open without a key.
    pub admin_listen: Option<ListenAddress>,
    /// How lines of the log look: `json` or `pretty`.
    #[schemars(extend("x-value" = "FORMAT"))]
    pub log: LogFormat,
    /// What is logged: `error`, `warn`, `info`, `debug`, `trace` or `off`, or one of these for parts, such as `info,antiphon_redis=debug`.
    pub log_level: LogLevel,
    /// Threads that own sockets; 0: one for each core.
    #[schemars(extend("x-value" = "N"))]
    pub shards: usize,
    /// The tenant of a new token; the one tenant that a new key is for, without it all.
    #[schemars(with = "Option<String>", extend("x-value" = "ID", "x-of" = ["token issue", "key issue"]))]
    pub tenant: Option<TenantId>,
    /// The user of a new token.
    #[schemars(with = "Option<String>", extend("x-value" = "ID", "x-of" = ["token issue"]))]
    pub user: Option<UserId>,
    /// How long a new token or key is good; without it a token 1h, a key until it is revoked.
    #[schemars(extend("x-of" = ["token issue", "key issue"]))]
    pub ttl: Option<Lifetime>,
    /// What a new key may do: `publish`, `directory`, `metrics`, `admin`; without it all.
    #[schemars(with = "Vec<String>", extend("x-value" = "SCOPE", "x-of" = ["key issue"]))]
    pub scope: Vec<Scope>,
    /// The port of the demo's page on the loopback; 0 takes a free one.
    #[schemars(extend("x-value" = "PORT", "x-of" = ["demo"]))]
    pub port: u16,
    /// Who may subscribe and publish where; the first that fits decides.
    pub topics: Vec<TopicSection>,
    /// Whose JWTs are taken.
    pub jwt: JwtSection,
    /// The bounds of a node.
    pub limits: LimitsSection,
}

impl Default for Config {
    fn default() -> Self {
        let limits = Limits::default();
        Self {
            listen: "127.0.0.1:8080".parse().expect("it is an address"),
            database: DatabaseUrl::Sqlite("./antiphon.db".into()),
            redis: None,
            redis_ca: None,
            redis_plain_topics: false,
            drain: Span(std::time::Duration::from_secs(10)),
            drain_delay: Span::default(),
            allowed_origin: Vec::new(),
            trusted_proxy: Vec::new(),
            tls_cert: None,
            tls_key: None,
            rate_limit: limits.rate_per_second,
            max_connections: limits.connections,
            retention: Span(limits.retention.unwrap_or_default()),
            admin_listen: None,
            log: LogFormat::Pretty,
            log_level: "info".parse().expect("it is a level"),
            shards: 0,
            tenant: None,
            user: None,
            ttl: None,
            scope: Vec::new(),
            port: 8080,
            topics: Vec::new(),
            jwt: JwtSection::default(),
            limits: LimitsSection::default(),
        }
    }
}

impl Config {
    /// The node's bounds.
    pub fn limits(&self) -> Limits {
        Limits {
            rate_per_second: self.rate_limit,
            connections: self.max_connections,
            retention: (!self.retention.0.is_zero()).then_some(self.retention.0),
            ..self.limits.applied()
        }
    }

    /// The topic rules before the built-in ones.
    pub fn topic_rules(&self) -> TopicRules {
        TopicRules(self.topics.iter().map(TopicSection::rule).collect())
    }

    /// The origins whose pages may connect.
    pub fn origins(&self) -> Vec<url::Origin> {
        let parsed = self.allowed_origin.iter().filter_map(|origin| url::Url::parse(origin).ok());
        parsed.map(|url| url.origin()).collect()
    }

    /// What no single option can be blamed for.
    pub fn check(&self) -> Result<(), ConfigError> {
        let refuse = |text: &str| Err(ConfigError::check(text));
        if self.database.is_sqlite() && self.redis.is_some() {
            return refuse(
                "`redis` needs PostgreSQL: a SQLite database belongs to one node, so there is no other to hear; \
                 set `database` to postgres://... or leave `redis` out",
            );
        }
        if self.redis_plain_topics && self.redis.is_none() {
            return refuse("`redis_plain_topics` needs `redis`");
        }
        if self.redis_ca.is_some() && !self.redis.as_ref().is_some_and(RedisUrl::is_tls) {
            return refuse("`redis_ca` needs `redis` to begin with `rediss`");
        }
        if self.tls_cert.is_some() != self.tls_key.is_some() {
            return refuse("`tls_cert` and `tls_key` go together");
        }
        if let Some(zero) = self.limits.zero() {
            return refuse(&format!("`limits.{zero}` must be more than 0"));
        }
        if self.limits.lease_ttl.0 < 2 * self.limits.lease_renewal.0 {
            return refuse("`limits.lease_ttl` must be at least twice `limits.lease_renewal`");
        }
        for (index, rule) in self.topics.iter().enumerate() {
            if let Some(fault) = rule.fault() {
                let (number, shown) = (index + 1, rule.r#match.replace(char::is_control, "?"));
                return refuse(&format!("`[[topics]]`: rule {number} (`{shown}`): {fault}"));
            }
        }
        self.allowed_origin.iter().try_for_each(|origin| check_origin(origin))
    }
}

/// An origin is compared whole, so one with a path or a star would silently never fit.
fn check_origin(origin: &str) -> Result<(), ConfigError> {
    let parsed = url::Url::parse(origin).ok();
    let is_origin = parsed.is_some_and(|url| {
        matches!(url.scheme(), "http" | "https")
            && !origin.contains('*')
            && url.origin().ascii_serialization() == origin.trim_end_matches('/').to_ascii_lowercase()
    });
    if is_origin {
        return Ok(());
    }
    let shown = origin.replace(char::is_control, "?");
    Err(ConfigError::check(format!(
        "`allowed_origin`: `{shown}` is no origin; expected scheme, host and port alone, such as `https://app.example.com`"
    )))
}
