//! A key that proves JWTs. Each is for one algorithm, chosen when it is configured and never by a token:
//! a public key can't be taken for a secret.

use std::sync::Once;

use antiphon_core::AuthError;
use jsonwebtoken::{
    Algorithm, DecodingKey,
    jwk::{AlgorithmParameters, EllipticCurve, Jwk, KeyAlgorithm, KeyOperations, PublicKeyUse},
};
use serde::Deserialize;

use crate::Secret;

const SECRET_BYTES_MIN: usize = 32;
/// An uncompressed point of P-256.
const P256_POINT_BYTES: usize = 65;
const KEYS_MAX: usize = 64;

/// Why a configured key can't be used.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum KeyError {
    /// It is too short to resist guessing.
    #[error("a secret for HS256 must have at least 32 bytes, this one has {0}")]
    Short(usize),
    /// A PEM file was named as a secret.
    #[error("this is a PEM file, not a secret: name it as a PEM file")]
    PemAsSecret,
    /// It is private, and has no business here.
    #[error("this is a private key: give the public one")]
    Private,
    /// It is no public key for RS256, ES256 or EdDSA.
    #[error("this is no PEM file with a public key for RS256 (RSA), ES256 (P-256) or EdDSA (Ed25519)")]
    Pem,
    /// It is no JWK or JWKS.
    #[error("this is no JWK and no JWK set")]
    Jwk,
    /// It has no key that can be used.
    #[error("there is no key for HS256, RS256, ES256 or EdDSA in it")]
    Empty,
}

/// A key for one algorithm.
#[derive(Clone)]
pub struct VerifyKey {
    kid: Option<String>,
    algorithm: Algorithm,
    key: DecodingKey,
}

impl VerifyKey {
    /// A shared secret, for HS256.
    pub fn secret(secret: &Secret) -> Result<Self, KeyError> {
        let text = secret.expose();
        if text.contains("-----BEGIN ") {
            return Err(KeyError::PemAsSecret);
        }
        Self::hmac(text.as_bytes(), DecodingKey::from_secret(text.as_bytes()))
    }

    /// A public key in PEM: RSA for RS256, P-256 for ES256, Ed25519 for EdDSA.
    pub fn pem(pem: &str) -> Result<Self, KeyError> {
        if pem.contains("PRIVATE KEY-----") {
            return Err(KeyError::Private);
        }
        let pem = pem.as_bytes();
        let (algorithm, key) = if let Ok(key) = DecodingKey::from_rsa_pem(pem) {
            (Algorithm::RS256, key)
        } else if let Ok(key) = DecodingKey::from_ec_pem(pem) {
            if key.try_get_as_bytes().map_or(0, <[u8]>::len) != P256_POINT_BYTES {
                return Err(KeyError::Pem);
            }
            (Algorithm::ES256, key)
        } else {
            (Algorithm::EdDSA, DecodingKey::from_ed_pem(pem).map_err(|_| KeyError::Pem)?)
        };
        Ok(Self { kid: None, algorithm, key })
    }

    /// The usable keys of a JWK set or of one JWK from the operator's own file; others in it are passed over.
    pub fn jwk_file(json: &str) -> Result<Vec<Self>, KeyError> {
        Self::from_jwks(json.as_bytes(), true)
    }

    /// The usable public keys of a JWK set that was fetched: secrets have no business there.
    pub(crate) fn from_fetched(json: &[u8]) -> Result<Vec<Self>, KeyError> {
        Self::from_jwks(json, false)
    }

    /// The same key, for tokens with this `kid` alone.
    #[must_use]
    pub fn with_kid(mut self, kid: impl Into<String>) -> Self {
        self.kid = Some(kid.into());
        self
    }

    fn from_jwks(json: &[u8], secrets: bool) -> Result<Vec<Self>, KeyError> {
        #[derive(Deserialize)]
        struct Set {
            keys: Vec<serde_json::Value>,
        }
        let json: serde_json::Value = serde_json::from_slice(json).map_err(|_| KeyError::Jwk)?;
        let listed = if json.get("keys").is_some() {
            serde_json::from_value::<Set>(json).map_err(|_| KeyError::Jwk)?.keys
        } else if json.get("kty").is_some() {
            vec![json]
        } else {
            return Err(KeyError::Jwk);
        };
        let mut usable = Vec::new();
        for key in listed.into_iter().take(KEYS_MAX) {
            let Ok(jwk) = serde_json::from_value::<Jwk>(key) else { continue };
            let symmetric = matches!(jwk.algorithm, AlgorithmParameters::OctetKey(_));
            if !symmetric || secrets {
                usable.extend(Self::from_jwk(&jwk)?);
            }
        }
        if usable.is_empty() { Err(KeyError::Empty) } else { Ok(usable) }
    }

    fn from_jwk(jwk: &Jwk) -> Result<Option<Self>, KeyError> {
        let common = &jwk.common;
        if !matches!(common.public_key_use, None | Some(PublicKeyUse::Signature)) {
            return Ok(None);
        }
        if common.key_operations.as_ref().is_some_and(|ops| !ops.contains(&KeyOperations::Verify)) {
            return Ok(None);
        }
        let algorithm = match &jwk.algorithm {
            AlgorithmParameters::OctetKey(_) => Algorithm::HS256,
            AlgorithmParameters::RSA(_) => Algorithm::RS256,
            AlgorithmParameters::EllipticCurve(ec) if ec.curve == EllipticCurve::P256 => Algorithm::ES256,
            AlgorithmParameters::OctetKeyPair(pair) if pair.curve == EllipticCurve::Ed25519 => {
                Algorithm::EdDSA
            }
            _ => return Ok(None),
        };
        if common.key_algorithm.is_some_and(|said| said != KeyAlgorithm::from(algorithm)) {
            return Ok(None);
        }
        let Ok(key) = DecodingKey::from_jwk(jwk) else { return Ok(None) };
        let key = match algorithm {
            Algorithm::HS256 => {
                let bytes = key.try_get_as_bytes().map_err(|_| KeyError::Jwk)?.to_vec();
                Self::hmac(&bytes, key)?
            }
            algorithm => Self { kid: None, algorithm, key },
        };
        Ok(Some(Self { kid: common.key_id.clone(), ..key }))
    }

    fn hmac(bytes: &[u8], key: DecodingKey) -> Result<Self, KeyError> {
        if bytes.len() < SECRET_BYTES_MIN {
            return Err(KeyError::Short(bytes.len()));
        }
        Ok(Self { kid: None, algorithm: Algorithm::HS256, key })
    }

    /// Might this key have signed a token with that header? A key without a `kid` is for tokens with any.
    pub(crate) fn fits(&self, algorithm: Algorithm, kid: Option<&str>) -> bool {
        let named = match (&self.kid, kid) {
            (Some(own), Some(said)) => own == said,
            _ => true,
        };
        named && self.algorithm == algorithm
    }

    /// Did this key sign the message?
    pub(crate) fn verify(&self, message: &str, signature: &str) -> Result<bool, AuthError> {
        install_provider();
        jsonwebtoken::crypto::verify(signature, message.as_bytes(), &self.key, self.algorithm)
            .map_err(|_| AuthError::Invalid("a signature that can't be read"))
    }
}

impl std::fmt::Debug for VerifyKey {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "VerifyKey({:?}, {:?})", self.algorithm, self.kid)
    }
}

/// An application that embeds us may have enabled both back ends of jsonwebtoken, or have chosen one before:
/// without a choice it would panic at first use.
fn install_provider() {
    static INSTALL: Once = Once::new();
    INSTALL.call_once(|| {
        let _ = jsonwebtoken::crypto::aws_lc::DEFAULT_PROVIDER.install_default();
    });
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_short_secret_a_private_key_and_a_pem_file_as_secret_are_refused_with_words() {
        let secret = |text: &str| VerifyKey::secret(&Secret::new(text)).err();
        assert_eq!(secret("short"), Some(KeyError::Short(5)));
        assert_eq!(secret(&"x".repeat(32)), None);
        let public = "-----BEGIN PUBLIC KEY-----\nMCowBQYDK2VwAyEA\n-----END PUBLIC KEY-----\n";
        assert_eq!(secret(public), Some(KeyError::PemAsSecret));
        assert_eq!(VerifyKey::pem("-----BEGIN PRIVATE KEY-----").err(), Some(KeyError::Private));
        assert_eq!(VerifyKey::pem("nothing").err(), Some(KeyError::Pem));
    }

    #[test]
    fn a_fetched_set_never_gives_a_shared_secret() {
        let json = r#"{"keys":[{"kty":"oct","kid":"s","k":"AAECAwQFBgcICQoLDA0ODxAREhMUFRYXGBkaGxwdHh8"}]}"#;
        assert_eq!(VerifyKey::jwk_file(json).unwrap().len(), 1);
        assert_eq!(VerifyKey::from_fetched(json.as_bytes()).err(), Some(KeyError::Empty));
    }

    #[test]
    fn keys_of_unknown_kinds_are_passed_over() {
        let json = r#"{"keys":[{"kty":"EC","crv":"secp256k1","x":"AA","y":"AA"},{"kty":"nonsense"},7,
            {"kty":"OKP","crv":"Ed25519","use":"enc","x":"11qYAYKxCrfVS_7TyWQHOg7hcvPapiMlrwIaaPcHURo"},
            {"kty":"OKP","crv":"Ed25519","x":"11qYAYKxCrfVS_7TyWQHOg7hcvPapiMlrwIaaPcHURo"}]}"#;
        assert_eq!(VerifyKey::jwk_file(json).unwrap().len(), 1);
    }
}
