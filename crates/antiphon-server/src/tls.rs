//! TLS of our own, for who has no proxy that does it. A certificate that is renewed is taken without a restart: both
//! files are looked at again and again, and at SIGHUP, and each new handshake has what they held last.

use std::{
    io,
    path::{Path, PathBuf},
    sync::Arc,
    time::Duration,
};

use arc_swap::ArcSwap;
use parking_lot::Mutex;
use rustls::{
    ServerConfig,
    crypto::{CryptoProvider, aws_lc_rs},
    pki_types::{
        CertificateDer, PrivateKeyDer,
        pem::{self, PemObject},
    },
    server::{ClientHello, ResolvesServerCert},
    sign::CertifiedKey,
};
use tokio::{
    signal::unix::{SignalKind, signal},
    time::sleep,
};
use tokio_rustls::TlsAcceptor;

use crate::{
    config::{Config, ConfigError},
    words,
};

/// How often the files are looked at.
const LOOK: Duration = Duration::from_secs(10);

/// The certificate of the moment, and the files that it is from.
pub struct Certificate {
    files: Files,
    key: ArcSwap<CertifiedKey>,
    /// What the files held when they were last read, good or not. No other lock is taken under it.
    seen: Mutex<Contents>,
}

struct Files {
    cert: PathBuf,
    key: PathBuf,
}

#[derive(PartialEq)]
struct Contents {
    cert: Vec<u8>,
    key: Vec<u8>,
}

impl Certificate {
    /// Reads the certificate, if one is configured.
    pub fn read(config: &Config) -> Result<Option<Arc<Self>>, ConfigError> {
        let (Some(cert), Some(key)) = (&config.tls_cert, &config.tls_key) else { return Ok(None) };
        let files = Files { cert: cert.clone(), key: key.clone() };
        let contents = files.contents()?;
        let key = ArcSwap::new(files.certified(&contents)?);
        Ok(Some(Arc::new(Self { files, key, seen: Mutex::new(contents) })))
    }

    /// What speaks TLS with it.
    pub fn acceptor(self: &Arc<Self>) -> Result<TlsAcceptor, ConfigError> {
        let mut server = ServerConfig::builder_with_provider(provider())
            .with_safe_default_protocol_versions()
            .map_err(|error| ConfigError::check(format!("`tls_cert`: {error}")))?
            .with_no_client_auth()
            .with_cert_resolver(Arc::new(Latest(self.clone())));
        server.alpn_protocols = vec![b"h2".to_vec(), b"http/1.1".to_vec()];
        Ok(TlsAcceptor::from(Arc::new(server)))
    }

    /// Looks at the files for ever. From the call on SIGHUP does not end the process.
    pub fn keep_fresh(self: Arc<Self>) -> io::Result<impl Future<Output = ()>> {
        let mut hang_up = signal(SignalKind::hangup())?;
        Ok(async move {
            let mut said = None;
            loop {
                let is_told = tokio::select! {
                    _ = hang_up.recv() => true,
                    () = sleep(LOOK) => false,
                };
                let trouble = match tokio::task::block_in_place(|| self.look()) {
                    Ok(true) => {
                        tracing::info!("the new certificate is in use: {}", self.files.cert.display());
                        None
                    }
                    Ok(false) if is_told => {
                        tracing::info!("SIGHUP: the certificate is still the same");
                        None
                    }
                    Ok(false) => None,
                    Err(error) => Some(error.to_string()),
                };
                // What is wrong with a file that stays away is said once, and to whoever asks.
                if let Some(error) = trouble.as_ref().filter(|_| is_told || said != trouble) {
                    tracing::error!("{error}; the certificate of before stays in use");
                }
                said = trouble;
            }
        })
    }

    /// Takes what the files hold now. False: what they held before, of which all has been said.
    fn look(&self) -> Result<bool, ConfigError> {
        let contents = self.files.contents()?;
        let mut seen = self.seen.lock();
        if *seen == contents {
            return Ok(false);
        }
        let certified = self.files.certified(&contents);
        // Of two files that are written one after the other, this may be the one half: the next look tells.
        *seen = contents;
        self.key.store(certified?);
        Ok(true)
    }
}

impl Files {
    fn contents(&self) -> Result<Contents, ConfigError> {
        let read = |option: &str, file: &Path| {
            std::fs::read(file).map_err(|error| fault(option, file, &words::of_file(&error)))
        };
        Ok(Contents { cert: read("tls_cert", &self.cert)?, key: read("tls_key", &self.key)? })
    }

    fn certified(&self, contents: &Contents) -> Result<Arc<CertifiedKey>, ConfigError> {
        let chain = chain(&contents.cert).map_err(|why| fault("tls_cert", &self.cert, &why))?;
        let key = PrivateKeyDer::from_pem_slice(&contents.key)
            .map_err(|error| fault("tls_key", &self.key, &no_pem(&error, "private key")))?;
        let certified = CertifiedKey::from_der(chain, key, &provider()).map_err(|error| match error {
            rustls::Error::InconsistentKeys(_) => {
                let why = format!("it is not the key of the certificate in {}", self.cert.display());
                fault("tls_key", &self.key, &why)
            }
            error => fault("tls_cert", &self.cert, &error.to_string()),
        })?;
        Ok(Arc::new(certified))
    }
}

/// Whether a file holds certificates in PEM.
pub fn check_certificates(option: &str, file: &Path) -> Result<(), ConfigError> {
    let pem = std::fs::read(file).map_err(|error| fault(option, file, &words::of_file(&error)))?;
    chain(&pem).map(drop).map_err(|why| fault(option, file, &why))
}

fn chain(pem: &[u8]) -> Result<Vec<CertificateDer<'static>>, String> {
    let chain: Result<Vec<_>, _> = CertificateDer::pem_slice_iter(pem).collect();
    match chain {
        Ok(chain) if !chain.is_empty() => Ok(chain),
        Ok(_) => Err(no_pem(&pem::Error::NoItemsFound, "certificate")),
        Err(error) => Err(no_pem(&error, "certificate")),
    }
}

fn no_pem(error: &pem::Error, what: &str) -> String {
    match error {
        pem::Error::NoItemsFound => format!("there is no {what} in PEM in it"),
        // The other errors have pieces of the file in their words.
        _ => "the PEM in it is broken".to_owned(),
    }
}

fn provider() -> Arc<CryptoProvider> {
    Arc::new(aws_lc_rs::default_provider())
}

fn fault(option: &str, file: &Path, why: &str) -> ConfigError {
    ConfigError::check(format!("`{option}`: {}: {why}", file.display()))
}

/// Gives each handshake the certificate of the moment.
struct Latest(Arc<Certificate>);

impl std::fmt::Debug for Latest {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_tuple("Latest").field(&self.0.files.cert).finish()
    }
}

impl ResolvesServerCert for Latest {
    fn resolve(&self, _: ClientHello<'_>) -> Option<Arc<CertifiedKey>> {
        Some(self.0.key.load_full())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    struct Folder(tempfile::TempDir);

    impl Folder {
        fn write(&self, signed: &rcgen::CertifiedKey<rcgen::KeyPair>) {
            std::fs::write(self.0.path().join("cert.pem"), signed.cert.pem()).unwrap();
            self.write_key(&signed.signing_key.serialize_pem());
        }

        fn write_key(&self, pem: &str) {
            std::fs::write(self.0.path().join("key.pem"), pem).unwrap();
        }

        fn read(&self) -> Result<Arc<Certificate>, ConfigError> {
            let file = |name: &str| Some(self.0.path().join(name));
            let config = Config { tls_cert: file("cert.pem"), tls_key: file("key.pem"), ..Config::default() };
            Certificate::read(&config).map(Option::unwrap)
        }
    }

    fn signed() -> rcgen::CertifiedKey<rcgen::KeyPair> {
        rcgen::generate_simple_self_signed(vec!["localhost".into()]).unwrap()
    }

    #[test]
    fn a_renewed_certificate_is_taken_and_one_half_of_it_is_not() {
        let (folder, old, new) = (Folder(tempfile::tempdir().unwrap()), signed(), signed());
        folder.write(&old);
        let certificate = folder.read().unwrap();
        let is_old = || certificate.key.load().cert[0] == *old.cert.der();
        assert!(!certificate.look().unwrap());
        folder.write_key(&new.signing_key.serialize_pem());
        assert!(certificate.look().unwrap_err().to_string().contains("not the key of the certificate"));
        // It was said once.
        assert!(!certificate.look().unwrap() && is_old());
        folder.write(&new);
        assert!(certificate.look().unwrap() && !is_old());
    }

    #[test]
    fn a_file_that_can_not_be_a_certificate_is_named_and_never_repeated() {
        let folder = Folder(tempfile::tempdir().unwrap());
        folder.write(&signed());
        for (pem, words) in [
            ("canary", "key.pem: there is no private key in PEM in it"),
            (
                "-----BEGIN PRIVATE KEY-----\ncanary!\n-----END PRIVATE KEY-----\n",
                "key.pem: the PEM in it is broken",
            ),
            ("-----BEGIN PRIVATE KEY-----\ncanary", "key.pem: "),
        ] {
            folder.write_key(pem);
            let error = folder.read().err().unwrap().to_string();
            assert!(error.contains(words) && !error.contains("canary"), "{error}");
        }
        std::fs::remove_file(folder.0.path().join("cert.pem")).unwrap();
        let error = folder.read().err().unwrap().to_string();
        assert!(error.starts_with("`tls_cert`: ") && error.ends_with("there is no such file"), "{error}");
    }
}
