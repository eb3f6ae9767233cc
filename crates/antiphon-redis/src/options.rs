//! Where Redis is, and how it is spoken to. A password never leaves this file.

use std::{path::PathBuf, time::Duration};

use redis::{
    Client, ConnectionInfo, IntoConnectionInfo, ProtocolVersion, TlsCertificates, aio::MultiplexedConnection,
};
use url::Url;

/// How long a connection may take to be made, and a command to be answered.
pub(crate) const PATIENCE: Duration = Duration::from_secs(2);

/// Where Redis is.
#[derive(Clone)]
pub struct RedisOptions {
    /// `redis://` or `rediss://`, with user, password and database as usual.
    pub url: String,
    /// The certificate (PEM) of the authority that Redis' own was signed by, if it is not a public one.
    pub ca_file: Option<PathBuf>,
    /// Posts that may wait to be sent.
    pub queue: usize,
}

impl RedisOptions {
    /// With the defaults.
    pub fn new(url: impl Into<String>) -> Self {
        Self { url: url.into(), ca_file: None, queue: 16 * 1024 }
    }
}

impl std::fmt::Debug for RedisOptions {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("RedisOptions").field("address", &address(&self.url)).finish_non_exhaustive()
    }
}

/// Why Redis can't be spoken to, as far as that is known before the first try.
#[derive(Debug, thiserror::Error)]
pub enum RedisError {
    /// The URL is wrong.
    #[error("the Redis URL is not valid: use redis://[user:password@]host[:port][/db] or rediss://...")]
    Url,
    /// The authority's certificate can't be read.
    #[error("the Redis authority's certificate {path}: {cause}")]
    Certificate {
        /// The file.
        path: String,
        /// What is wrong.
        cause: String,
    },
}

/// Scheme, host and port: what may be shown.
pub(crate) fn address(url: &str) -> String {
    match Url::parse(url) {
        Ok(url) => {
            let port = url.port().unwrap_or(6379);
            format!("{}://{}:{port}", url.scheme(), url.host_str().unwrap_or("localhost"))
        }
        Err(_) => "(not a URL)".to_owned(),
    }
}

/// Makes connections.
pub(crate) struct Dialer {
    listening: Client,
    publishing: Client,
    pub address: String,
}

impl Dialer {
    pub fn new(options: &RedisOptions) -> Result<Self, RedisError> {
        let scheme = Url::parse(&options.url).map_err(|_| RedisError::Url)?.scheme().to_owned();
        if !matches!(scheme.as_str(), "redis" | "rediss") {
            return Err(RedisError::Url);
        }
        let info: ConnectionInfo =
            options.url.as_str().into_connection_info().map_err(|_| RedisError::Url)?;
        let settings = info.redis_settings().clone().set_protocol(ProtocolVersion::RESP3);
        let root_cert = match &options.ca_file {
            None => None,
            Some(path) => Some(std::fs::read(path).map_err(|error| RedisError::Certificate {
                path: path.display().to_string(),
                cause: error.to_string(),
            })?),
        };
        let client = |info: ConnectionInfo| {
            let made = match root_cert.clone() {
                None => Client::open(info),
                Some(cert) => {
                    Client::build_with_tls(info, TlsCertificates { client_tls: None, root_cert: Some(cert) })
                }
            };
            made.map_err(|_| RedisError::Url)
        };
        Ok(Self {
            listening: client(info.clone().set_redis_settings(settings))?,
            publishing: client(info)?,
            address: address(&options.url),
        })
    }

    /// A connection whose pushes go to `sender`, which must not block.
    pub async fn listen(
        &self,
        sender: impl redis::aio::AsyncPushSender,
    ) -> redis::RedisResult<MultiplexedConnection> {
        let config = config().set_push_sender(sender);
        self.listening.get_multiplexed_async_connection_with_config(&config).await
    }

    /// A connection for publishing.
    pub async fn publish(&self) -> redis::RedisResult<MultiplexedConnection> {
        self.publishing.get_multiplexed_async_connection_with_config(&config()).await
    }
}

fn config() -> redis::AsyncConnectionConfig {
    redis::AsyncConnectionConfig::new()
        .set_connection_timeout(Some(PATIENCE))
        .set_response_timeout(Some(PATIENCE))
}

/// Full jitter: a random wait below a bound that doubles from a quarter of a second to ten.
pub(crate) fn backoff(attempt: u32) -> Duration {
    let bound_ms = 250u64.saturating_mul(1 << attempt.min(6)).min(10_000);
    Duration::from_millis(rand::random_range(50..=bound_ms))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_password_is_never_shown() {
        let options = RedisOptions::new("rediss://user:hunter2@redis.example:6380/3");
        assert_eq!(address(&options.url), "rediss://redis.example:6380");
        assert!(!format!("{options:?}").contains("hunter2"));
        for bad in ["http://user:hunter2@x", "hunter2", "redis://user:hunter2@:x"] {
            let error = Dialer::new(&RedisOptions::new(bad)).map(|_| ()).unwrap_err().to_string();
            assert!(!error.contains("hunter2"), "{error}");
        }
    }
}
