//! Issuers of JWTs, one for each algorithm.

use antiphon_auth::{Secret, VerifyKey};
use antiphon_protocol::now_ms;
use base64::{Engine, engine::general_purpose::URL_SAFE_NO_PAD};
use jsonwebtoken::{Algorithm, EncodingKey, jwk::Jwk};
use rcgen::{KeyPair, PKCS_ECDSA_P256_SHA256, PKCS_ED25519, PKCS_RSA_SHA256};
use serde_json::{Value, json};

pub const SECRET: &str = "a secret of more than thirty-two bytes";

pub struct Signer {
    pub algorithm: Algorithm,
    pub name: &'static str,
    key: EncodingKey,
    public_pem: Option<String>,
    /// Of Ed25519, in base64url.
    raw_point: Option<String>,
}

impl Signer {
    pub fn hs256(secret: &str) -> Self {
        Self {
            algorithm: Algorithm::HS256,
            name: "HS256",
            key: EncodingKey::from_secret(secret.as_bytes()),
            public_pem: None,
            raw_point: None,
        }
    }

    pub fn rs256() -> Self {
        let pair = KeyPair::generate_for(&PKCS_RSA_SHA256).unwrap();
        let key = EncodingKey::from_rsa_pem(pair.serialize_pem().as_bytes()).unwrap();
        Self {
            algorithm: Algorithm::RS256,
            name: "RS256",
            key,
            public_pem: Some(pair.public_key_pem()),
            raw_point: None,
        }
    }

    pub fn es256() -> Self {
        let pair = KeyPair::generate_for(&PKCS_ECDSA_P256_SHA256).unwrap();
        let key = EncodingKey::from_ec_pem(pair.serialize_pem().as_bytes()).unwrap();
        Self {
            algorithm: Algorithm::ES256,
            name: "ES256",
            key,
            public_pem: Some(pair.public_key_pem()),
            raw_point: None,
        }
    }

    pub fn eddsa() -> Self {
        let pair = KeyPair::generate_for(&PKCS_ED25519).unwrap();
        let key = EncodingKey::from_ed_pem(pair.serialize_pem().as_bytes()).unwrap();
        Self {
            algorithm: Algorithm::EdDSA,
            name: "EdDSA",
            key,
            public_pem: Some(pair.public_key_pem()),
            raw_point: Some(URL_SAFE_NO_PAD.encode(pair.public_key_raw())),
        }
    }

    pub fn all() -> Vec<Self> {
        vec![Self::hs256(SECRET), Self::rs256(), Self::es256(), Self::eddsa()]
    }

    pub fn public_pem(&self) -> &str {
        self.public_pem.as_deref().unwrap()
    }

    /// What an operator would configure: a secret, or a PEM file.
    pub fn verify_key(&self) -> VerifyKey {
        match &self.public_pem {
            None => VerifyKey::secret(&Secret::new(SECRET)).unwrap(),
            Some(pem) => VerifyKey::pem(pem).unwrap(),
        }
    }

    pub fn jwk(&self, kid: &str) -> Value {
        let mut jwk = match &self.raw_point {
            Some(x) => json!({"kty": "OKP", "crv": "Ed25519", "x": x}),
            None => serde_json::to_value(Jwk::from_encoding_key(&self.key, self.algorithm).unwrap()).unwrap(),
        };
        jwk["kid"] = json!(kid);
        jwk
    }

    pub fn sign(&self, claims: &Value) -> String {
        self.sign_with(&json!({"alg": self.name, "typ": "JWT"}), claims)
    }

    pub fn sign_with(&self, header: &Value, claims: &Value) -> String {
        let message = unsigned(header, claims);
        let signature = jsonwebtoken::crypto::sign(message.as_bytes(), &self.key, self.algorithm).unwrap();
        format!("{message}.{signature}")
    }
}

pub fn unsigned(header: &Value, claims: &Value) -> String {
    let part = |value: &Value| URL_SAFE_NO_PAD.encode(value.to_string());
    format!("{}.{}", part(header), part(claims))
}

/// Seconds from now, as issuers write times.
pub fn seconds(from_now: i64) -> i64 {
    now_ms() / 1000 + from_now
}

pub fn claims() -> Value {
    json!({"sub": "ann", "tenant": "acme", "exp": seconds(60)})
}
