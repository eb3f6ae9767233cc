//! The configuration: what each option is, where its value may come from, and what is wrong with it.
//!
//! [`Config`] is the one list of options; flags, environment variables, the file's keys, `--help` and the JSON
//! Schema are all made from it (`option.rs`). `layers.rs` puts the sources over each other.

mod address;
mod error;
mod fence;
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

pub use address::{DatabaseUrl, Hidden, HookSecret, HttpUrl, ListenAddress, RedisUrl};
pub use error::ConfigError;
pub use fence::Fence;
pub use jwt::{JwtParts, JwtSection};
pub use layers::{API_KEY_VARIABLE, Environment, Origin, Settings};
pub use limits::LimitsSection;
pub use log::{LogFormat, LogLevel};
pub use option::{ENV_PREFIX, Kind, OptionInfo, options, schema};
pub use show::show;
pub use span::{Lifetime, Span};
pub use topics::TopicSection;

/// An entry's text of 64 KiB has up to six times that as JSON, and one alone has to have room.
const RETENTION_BYTES_MIN: u64 = 512 * 1024;

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
    /// What a node does with its clients once it could verify nothing for `limits.fence`: `close` or `hold`.
    #[schemars(extend("x-value" = "ACTION"))]
    pub fence: Fence,
    /// An origin whose pages may connect, such as `https://app.example.com`.
    #[schemars(extend("x-value" = "URL"))]
    #[serde(deserialize_with = "address::origins")]
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
    /// Entries that a topic keeps at most, the newest; 0: no bound.
    #[schemars(extend("x-value" = "N"))]
    pub retention_count: u64,
    /// Bytes of contents that a topic keeps at most, the newest; 0: no bound.
    #[schemars(extend("x-value" = "BYTES"))]
    pub retention_bytes: u64,
    /// Where health and metrics are open without a key.
    pub admin_listen: Option<ListenAddress>,
    /// How lines of the log look: `json` or `pretty`.
    #[schemars(extend("x-value" = "FORMAT"))]
    pub log: LogFormat,
    /// What is logged: `error`, `warn`, `info`, `debug`, `trace` or `off`, or one of these for parts, such as `info,antiphon_redis=debug`.
    pub log_level: LogLevel,
    /// Where each message of a user is posted before it is published; the answer decides: `https://...`.
    pub publish_hook: Option<HttpUrl>,
    /// What these posts are signed with: `whsec_` and the base64 of 24 to 64 random bytes.
    // A command line is no place for a secret: everyone on the machine can read it.
    #[schemars(extend("x-no-flag" = true))]
    pub publish_hook_secret: Option<HookSecret>,
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
            fence: Fence::Close,
            allowed_origin: Vec::new(),
            trusted_proxy: Vec::new(),
            tls_cert: None,
            tls_key: None,
            rate_limit: limits.rate_per_second,
            max_connections: limits.connections,
            retention: Span(limits.retention.unwrap_or_default()),
            retention_count: limits.retention_count.unwrap_or_default(),
            retention_bytes: limits.retention_bytes.unwrap_or_default(),
            admin_listen: None,
            log: LogFormat::Pretty,
            log_level: "info".parse().expect("it is a level"),
            publish_hook: None,
            publish_hook_secret: None,
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
            fence_action: self.fence.into(),
            retention: (!self.retention.0.is_zero()).then_some(self.retention.0),
            retention_count: Some(self.retention_count).filter(|most| *most > 0),
            retention_bytes: Some(self.retention_bytes).filter(|most| *most > 0),
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
        match (&self.publish_hook, &self.publish_hook_secret) {
            (Some(_), None) => {
                return refuse(
                    "`publish_hook` needs a secret to sign with: set ANTIPHON_PUBLISH_HOOK_SECRET (or \
                     ANTIPHON_PUBLISH_HOOK_SECRET_FILE, or the file's key `publish_hook_secret`) to `whsec_` and the \
                     base64 of 24 to 64 random bytes, as `echo whsec_$(openssl rand -base64 32)` makes one",
                );
            }
            // A hook that somebody believes in and that is never asked.
            (None, Some(_)) => return refuse("`publish_hook_secret` needs `publish_hook`"),
            _ => {}
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
        if (1..RETENTION_BYTES_MIN).contains(&self.retention_bytes) {
            return refuse(&format!("`retention_bytes` must be 0 or at least {RETENTION_BYTES_MIN}"));
        }
        if self.limits.fence.0 < 3 * self.limits.tick.0 {
            return refuse("`limits.fence` must be at least three times `limits.tick`");
        }
        for (index, rule) in self.topics.iter().enumerate() {
            if let Some(fault) = rule.fault() {
                let (number, shown) = (index + 1, rule.r#match.replace(char::is_control, "?"));
                return refuse(&format!("`[[topics]]`: rule {number} (`{shown}`): {fault}"));
            }
        }
        Ok(())
    }
}
