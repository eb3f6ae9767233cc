//! The `[jwt]` section: whose JWTs are taken. Without a key in it none are.

use std::{
    fmt::Display,
    path::{Path, PathBuf},
};

use antiphon_auth::{Jwks, JwksSource, JwtRules, Secret, VerifyKey};
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use super::{ConfigError, Hidden, HttpUrl, Span};
use crate::words;

const KEY_FILE_BYTES_MAX: u64 = 1024 * 1024;

/// Whose JWTs are taken.
#[derive(Debug, Clone, Serialize, Deserialize, JsonSchema)]
#[serde(default, deny_unknown_fields)]
pub struct JwtSection {
    /// The shared secret for HS256, at least 32 bytes.
    pub secret: Option<Hidden>,
    /// A file with the shared secret for HS256.
    #[schemars(extend("x-value" = "FILE"))]
    pub secret_file: Option<PathBuf>,
    /// PEM files with public keys: RSA for RS256, P-256 for ES256, Ed25519 for EdDSA.
    #[schemars(extend("x-value" = "FILE"))]
    pub public_key: Vec<PathBuf>,
    /// A file with a JWK or a JWK set.
    #[schemars(extend("x-value" = "FILE"))]
    pub jwks_file: Option<PathBuf>,
    /// Where the issuer publishes its JWK set; fetched at the first JWT, every five minutes, and (at most every ten seconds) for an unknown `kid`.
    pub jwks_url: Option<HttpUrl>,
    /// The claim that names the tenant: its name, or a JSON pointer such as `/app_metadata/tenant`.
    #[schemars(extend("x-value" = "CLAIM"))]
    pub tenant_claim: String,
    /// If given, `iss` must be one of these.
    #[schemars(extend("x-value" = "TEXT"))]
    pub issuer: Vec<String>,
    /// If given, `aud` must name one of these.
    #[schemars(extend("x-value" = "TEXT"))]
    pub audience: Vec<String>,
    /// Refuse a JWT without `exp`.
    pub require_exp: bool,
    /// By how much the issuer's clock and ours may differ.
    pub leeway: Span,
}

impl Default for JwtSection {
    fn default() -> Self {
        let rules = JwtRules::default();
        Self {
            secret: None,
            secret_file: None,
            public_key: Vec::new(),
            jwks_file: None,
            jwks_url: None,
            tenant_claim: rules.tenant_claim,
            issuer: rules.issuers,
            audience: rules.audiences,
            require_exp: rules.require_exp,
            leeway: Span(rules.leeway),
        }
    }
}

/// All that an authenticator of JWTs needs but the directory.
pub struct JwtParts {
    /// What is asked of claims.
    pub rules: JwtRules,
    /// Configured keys.
    pub keys: Vec<VerifyKey>,
    /// Fetched keys.
    pub jwks: Option<Jwks>,
}

impl JwtSection {
    /// Reads the key files; none where no key is configured.
    pub fn parts(&self) -> Result<Option<JwtParts>, ConfigError> {
        let mut keys = Vec::new();
        let bad = |option: &str, error: &dyn Display| ConfigError::check(format!("`jwt.{option}`: {error}"));
        let bad_file = |option: &str, file: &Path, error: &dyn Display| {
            bad(option, &format_args!("{}: {error}", file.display()))
        };
        if self.secret.is_some() && self.secret_file.is_some() {
            return Err(ConfigError::check("`jwt.secret` and `jwt.secret_file` are both set"));
        }
        if let Some(secret) = &self.secret {
            let key = VerifyKey::secret(&Secret::new(secret.secret()));
            keys.push(key.map_err(|error| bad("secret", &error))?);
        }
        if let Some(file) = &self.secret_file {
            let text = read("secret_file", file)?;
            let key = VerifyKey::secret(&Secret::new(text.trim_end_matches(['\r', '\n'])));
            keys.push(key.map_err(|error| bad_file("secret_file", file, &error))?);
        }
        for file in &self.public_key {
            let key = VerifyKey::pem(&read("public_key", file)?);
            keys.push(key.map_err(|error| bad_file("public_key", file, &error))?);
        }
        if let Some(file) = &self.jwks_file {
            let found = VerifyKey::jwk_file(&read("jwks_file", file)?);
            keys.extend(found.map_err(|error| bad_file("jwks_file", file, &error))?);
        }
        let jwks = self.jwks_url.as_ref().map(|url| Jwks::new(JwksSource::new(url.0.clone())));
        let jwks = jwks.transpose().map_err(|error| bad("jwks_url", &error))?;
        if keys.is_empty() && jwks.is_none() {
            return Ok(None);
        }
        let rules = JwtRules {
            tenant_claim: self.tenant_claim.clone(),
            issuers: self.issuer.clone(),
            audiences: self.audience.clone(),
            require_exp: self.require_exp,
            leeway: self.leeway.0,
        };
        Ok(Some(JwtParts { rules, keys, jwks }))
    }
}

fn read(option: &str, file: &Path) -> Result<String, ConfigError> {
    let fail = |why: &str| ConfigError::check(format!("`jwt.{option}`: {}: {why}", file.display()));
    let size = std::fs::metadata(file).map_err(|error| fail(&words::of_file(&error)))?.len();
    if size > KEY_FILE_BYTES_MAX {
        return Err(fail("it is too large"));
    }
    std::fs::read_to_string(file).map_err(|error| fail(&words::of_file(&error)))
}
