//! TLS of our own, for who has no proxy that does it.

use std::{path::Path, sync::Arc};

use rustls::{
    ServerConfig,
    crypto::aws_lc_rs,
    pki_types::{CertificateDer, PrivateKeyDer, pem::PemObject},
};
use tokio_rustls::TlsAcceptor;

use crate::config::{Config, ConfigError};

/// The acceptor, if a certificate is configured.
pub fn acceptor(config: &Config) -> Result<Option<TlsAcceptor>, ConfigError> {
    let (Some(cert), Some(key)) = (&config.tls_cert, &config.tls_key) else { return Ok(None) };
    let chain = CertificateDer::pem_file_iter(cert)
        .and_then(Iterator::collect::<Result<Vec<_>, _>>)
        .map_err(|error| fault("tls_cert", cert, &error))?;
    if chain.is_empty() {
        return Err(fault("tls_cert", cert, &"there is no certificate in it"));
    }
    let key_der = PrivateKeyDer::from_pem_file(key).map_err(|error| fault("tls_key", key, &error))?;
    let mut server = ServerConfig::builder_with_provider(Arc::new(aws_lc_rs::default_provider()))
        .with_safe_default_protocol_versions()
        .and_then(|builder| builder.with_no_client_auth().with_single_cert(chain, key_der))
        .map_err(|error| fault("tls_cert", cert, &error))?;
    server.alpn_protocols = vec![b"h2".to_vec(), b"http/1.1".to_vec()];
    Ok(Some(TlsAcceptor::from(Arc::new(server))))
}

fn fault(option: &str, file: &Path, why: &dyn std::fmt::Display) -> ConfigError {
    ConfigError::check(format!("`{option}`: {}: {why}", file.display()))
}
