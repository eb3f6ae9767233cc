//! A certificate for `localhost` that only its own client trusts.

use std::{
    path::{Path, PathBuf},
    sync::Arc,
};

pub struct Certificate {
    cert: PathBuf,
    key: PathBuf,
    client: Arc<rustls::ClientConfig>,
    _folder: tempfile::TempDir,
}

impl Certificate {
    pub fn new() -> Self {
        let folder = super::folder();
        let (cert, key) = (folder.path().join("cert.pem"), folder.path().join("key.pem"));
        let client = write(&cert, &key);
        Self { cert, key, client, _folder: folder }
    }

    /// Another certificate in the same files; the client trusts this one alone.
    pub fn renew(&mut self) {
        self.client = write(&self.cert, &self.key);
    }

    pub fn flags(&self) -> [&str; 4] {
        ["--tls-cert", self.cert.to_str().unwrap(), "--tls-key", self.key.to_str().unwrap()]
    }

    pub fn client(&self) -> Arc<rustls::ClientConfig> {
        self.client.clone()
    }
}

fn write(cert: &Path, key: &Path) -> Arc<rustls::ClientConfig> {
    let signed = rcgen::generate_simple_self_signed(vec!["localhost".into()]).unwrap();
    std::fs::write(cert, signed.cert.pem()).unwrap();
    std::fs::write(key, signed.signing_key.serialize_pem()).unwrap();
    let mut roots = rustls::RootCertStore::empty();
    roots.add(signed.cert.der().clone()).unwrap();
    let provider = Arc::new(rustls::crypto::aws_lc_rs::default_provider());
    let client = rustls::ClientConfig::builder_with_provider(provider)
        .with_safe_default_protocol_versions()
        .unwrap()
        .with_root_certificates(roots)
        .with_no_client_auth();
    Arc::new(client)
}
