//! Makes connections. A password goes from here to Redis and nowhere else.

use std::path::Path;

use redis::{
    AsyncConnectionConfig, Client, ConnectionAddr, IntoConnectionInfo, ProtocolVersion, RedisConnectionInfo,
    RedisResult, TlsCertificates, aio::MultiplexedConnection,
};
use rustls::pki_types::{CertificateDer, pem::PemObject};

use crate::{
    address::{Form, Login, RedisUrl, Server},
    options::{PATIENCE, RedisError, RedisOptions},
};

pub(crate) struct Dialer {
    pub url: RedisUrl,
    /// The authority's certificate, in PEM.
    authority: Option<Vec<u8>>,
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

impl Dialer {
    pub fn new(options: &RedisOptions) -> Result<Self, RedisError> {
        let url: RedisUrl = options.url.parse()?;
        let authority = options.ca_file.as_deref().map(authority).transpose()?;
        if authority.is_some() && !url.is_tls {
            return Err(RedisError::AuthorityWithoutTls);
        }
        if url.is_tls {
            // The client takes the process' provider, and would panic without one. If there is one already, it stays.
            let _ = rustls::crypto::aws_lc_rs::default_provider().install_default();
        }
        Ok(Self { url, authority })
    }

    /// A connection whose pushes go to `sender`, which must not block. Its caller gives its answers their time.
    pub async fn listen(
        &self,
        server: &Server,
        sender: impl redis::aio::AsyncPushSender,
    ) -> RedisResult<MultiplexedConnection> {
        let settings = self.settings().set_protocol(ProtocolVersion::RESP3);
        let config = config().set_response_timeout(None).set_push_sender(sender);
        self.dial(server, settings, config).await
    }

    /// A connection for commands.
    pub async fn command(&self, server: &Server) -> RedisResult<MultiplexedConnection> {
        self.dial(server, self.settings(), config().set_response_timeout(Some(PATIENCE))).await
    }

    /// A connection to a sentinel.
    pub async fn sentinel(&self, server: &Server, login: &Login) -> RedisResult<MultiplexedConnection> {
        self.dial(server, settings(login), config().set_response_timeout(Some(PATIENCE))).await
    }

    fn settings(&self) -> RedisConnectionInfo {
        let settings = settings(&self.url.login);
        match self.url.form {
            Form::Single { db } | Form::Sentinel { db, .. } => settings.set_db(db),
            Form::Cluster => settings,
        }
    }

    /// A Redis that takes connections and then says nothing has its time bounded here, whatever the client bounds.
    async fn dial(
        &self,
        server: &Server,
        settings: RedisConnectionInfo,
        config: AsyncConnectionConfig,
    ) -> RedisResult<MultiplexedConnection> {
        let (host, port) = (server.host.to_string(), server.port);
        let address = if self.url.is_tls {
            ConnectionAddr::TcpTls { host, port, insecure: false, tls_params: None }
        } else {
            ConnectionAddr::Tcp(host, port)
        };
        let info = address.into_connection_info()?.set_redis_settings(settings);
        let client = match self.authority.clone() {
            None => Client::open(info),
            root_cert => Client::build_with_tls(info, TlsCertificates { client_tls: None, root_cert }),
        }?;
        let made = client.get_multiplexed_async_connection_with_config(&config);
        tokio::time::timeout(2 * PATIENCE, made).await.map_err(|_| silent())?
    }
}

fn settings(login: &Login) -> RedisConnectionInfo {
    let mut settings = RedisConnectionInfo::default();
    if let Some(user) = &login.user {
        settings = settings.set_username(user);
    }
    if let Some(password) = &login.password {
        settings = settings.set_password(password);
    }
    settings
}

fn config() -> AsyncConnectionConfig {
    AsyncConnectionConfig::new().set_connection_timeout(Some(PATIENCE))
}

/// What is told of a Redis that does not answer.
pub(crate) fn silent() -> redis::RedisError {
    std::io::Error::from(std::io::ErrorKind::TimedOut).into()
}
