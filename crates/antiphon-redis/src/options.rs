//! Where Redis is, and how it is spoken to. A password never leaves this file.

use std::{
    path::{Path, PathBuf},
    time::Duration,
};

use redis::{
    AsyncConnectionConfig, Client, ConnectionInfo, IntoConnectionInfo, ProtocolVersion, TlsCertificates,
    aio::MultiplexedConnection,
};
use rustls::pki_types::{CertificateDer, pem::PemObject};
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
    /// Bytes that these may have together.
    pub queue_bytes: usize,
}

impl RedisOptions {
    /// With the defaults.
    pub fn new(url: impl Into<String>) -> Self {
        Self { url: url.into(), ca_file: None, queue: 16 * 1024, queue_bytes: 64 * 1024 * 1024 }
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
    /// An authority for a connection that is not encrypted.
    #[error("there is an authority's certificate for Redis, but its URL is not rediss://")]
    AuthorityWithoutTls,
}

/// The PEM file's bytes, if there is a certificate in it.
fn authority(path: &Path) -> Result<Vec<u8>, RedisError> {
    let error = |cause: String| RedisError::Certificate { path: path.display().to_string(), cause };
    let pem = std::fs::read(path).map_err(|cause| error(cause.to_string()))?;
    let mut roots = rustls::RootCertStore::empty();
    for certificate in CertificateDer::pem_slice_iter(&pem) {
        let certificate = certificate.map_err(|cause| error(cause.to_string()))?;
        roots.add(certificate).map_err(|cause| error(cause.to_string()))?;
    }
    if roots.is_empty() {
        return Err(error("there is none in it".to_owned()));
    }
    Ok(pem)
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
        match Url::parse(&options.url).map_err(|_| RedisError::Url)?.scheme() {
            "redis" => {}
            // The client takes the process' provider, and would panic without one. If there is one already, it stays.
            "rediss" => drop(rustls::crypto::aws_lc_rs::default_provider().install_default()),
            _ => return Err(RedisError::Url),
        }
        let info: ConnectionInfo =
            options.url.as_str().into_connection_info().map_err(|_| RedisError::Url)?;
        let settings = info.redis_settings().clone().set_protocol(ProtocolVersion::RESP3);
        let is_tls = matches!(info.addr(), redis::ConnectionAddr::TcpTls { .. });
        let root_cert = options.ca_file.as_deref().map(authority).transpose()?;
        if root_cert.is_some() && !is_tls {
            return Err(RedisError::AuthorityWithoutTls);
        }
        let client = |info: ConnectionInfo| {
            let made = match root_cert.clone() {
                None => Client::open(info),
                root_cert => Client::build_with_tls(info, TlsCertificates { client_tls: None, root_cert }),
            };
            made.map_err(|_| RedisError::Url)
        };
        Ok(Self {
            listening: client(info.clone().set_redis_settings(settings))?,
            publishing: client(info)?,
            address: address(&options.url),
        })
    }

    /// A connection whose pushes go to `sender`, which must not block. Its caller gives its answers their time.
    pub async fn listen(
        &self,
        sender: impl redis::aio::AsyncPushSender,
    ) -> redis::RedisResult<MultiplexedConnection> {
        dial(&self.listening, config().set_response_timeout(None).set_push_sender(sender)).await
    }

    /// A connection for publishing.
    pub async fn publish(&self) -> redis::RedisResult<MultiplexedConnection> {
        dial(&self.publishing, config().set_response_timeout(Some(PATIENCE))).await
    }
}

fn config() -> AsyncConnectionConfig {
    AsyncConnectionConfig::new().set_connection_timeout(Some(PATIENCE))
}

/// A Redis that takes connections and then says nothing has its time bounded here, whatever the client bounds.
async fn dial(client: &Client, config: AsyncConnectionConfig) -> redis::RedisResult<MultiplexedConnection> {
    let made = client.get_multiplexed_async_connection_with_config(&config);
    let silent = |_| redis::RedisError::from(std::io::Error::from(std::io::ErrorKind::TimedOut));
    tokio::time::timeout(2 * PATIENCE, made).await.map_err(silent)?
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
