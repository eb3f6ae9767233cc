//! JWTs: proved by a configured key, then checked by their claims, then known to the directory.
//! Of the header only `alg` and `kid` are read, and these only choose among keys that were configured.

use std::sync::Arc;

use antiphon_core::{AuthError, Authenticator, Identity, SeamError, Tokens};
use antiphon_protocol::now_ms;
use async_trait::async_trait;
use base64::{Engine, engine::general_purpose::URL_SAFE_NO_PAD};
use futures_util::{StreamExt, stream};
use jsonwebtoken::Algorithm;
use serde::Deserialize;

use crate::{Jwks, JwtRules, MAX_TOKEN_BYTES, VerifyKey, claims::Subject, jwks::Lookup};

/// Questions to the directory that one batch may have open at once.
const ADMISSIONS_AT_ONCE: usize = 16;
/// Keys that are tried for a token without a `kid`.
const KEYS_TRIED_MAX: usize = 8;

/// Knows the bearers of JWTs.
pub struct JwtAuthenticator {
    tokens: Arc<dyn Tokens>,
    rules: JwtRules,
    keys: Vec<VerifyKey>,
    jwks: Option<Jwks>,
}

#[derive(Deserialize)]
struct Header {
    alg: String,
    kid: Option<String>,
    crit: Option<serde_json::Value>,
}

impl JwtAuthenticator {
    /// With keys of the configuration, and maybe a JWKS.
    pub fn new(tokens: Arc<dyn Tokens>, rules: JwtRules, keys: Vec<VerifyKey>, jwks: Option<Jwks>) -> Self {
        Self { tokens, rules, keys, jwks }
    }

    async fn identify(&self, token: &str) -> Result<Identity, AuthError> {
        let subject = self.prove(token).await?;
        let Subject { tenant, user, expires_at, issued_at } = subject;
        let (revocations, revoked_before) = self.tokens.admit_user(&tenant, &user, issued_at).await?;
        if revoked_before.is_some_and(|before| issued_at < before) {
            return Err(AuthError::Invalid("revoked"));
        }
        Ok(Identity { tenant, user, expires_at, revocations })
    }

    async fn prove(&self, token: &str) -> Result<Subject, AuthError> {
        if token.len() > MAX_TOKEN_BYTES {
            return Err(AuthError::Invalid("too long"));
        }
        let parts: Vec<&str> = token.splitn(4, '.').collect();
        let [header, payload, signature] = parts[..] else {
            return Err(AuthError::Invalid("not of the form of a JWT"));
        };
        let message = &token[..header.len() + 1 + payload.len()];
        let header: Header = serde_json::from_slice(&decode(header)?)
            .map_err(|_| AuthError::Invalid("a header that can't be read"))?;
        // Extensions that must be understood are not.
        if header.crit.is_some() {
            return Err(AuthError::Invalid("critical extensions"));
        }
        let algorithm = match header.alg.as_str() {
            "HS256" => Algorithm::HS256,
            "RS256" => Algorithm::RS256,
            "ES256" => Algorithm::ES256,
            "EdDSA" => Algorithm::EdDSA,
            _ => return Err(AuthError::Invalid("an algorithm that is not taken")),
        };
        let fits = |key: &VerifyKey| key.fits(algorithm, header.kid.as_deref());
        if !verified_by(self.keys.iter().filter(|key| fits(key)), message, signature)? {
            let Some(jwks) = &self.jwks else { return Err(UNPROVED) };
            match jwks.lookup(fits).await {
                Lookup::Keys(keys) if verified_by(&keys, message, signature)? => {}
                Lookup::Unavailable => {
                    return Err(SeamError::unavailable("JWKS", "the keys could not be fetched").into());
                }
                Lookup::Keys(_) | Lookup::None => return Err(UNPROVED),
            }
        }
        self.rules.check(&decode(payload)?, now_ms())
    }
}

const UNPROVED: AuthError = AuthError::Invalid("not signed by a known key");

fn decode(part: &str) -> Result<Vec<u8>, AuthError> {
    URL_SAFE_NO_PAD.decode(part).map_err(|_| AuthError::Invalid("not base64url"))
}

fn verified_by<'a>(
    keys: impl IntoIterator<Item = &'a VerifyKey>,
    message: &str,
    signature: &str,
) -> Result<bool, AuthError> {
    for key in keys.into_iter().take(KEYS_TRIED_MAX) {
        if key.verify(message, signature)? {
            return Ok(true);
        }
    }
    Ok(false)
}

#[async_trait]
impl Authenticator for JwtAuthenticator {
    async fn authenticate(&self, tokens: &[&str]) -> Vec<Result<Identity, AuthError>> {
        let tokens: Vec<String> = tokens.iter().map(|token| (*token).to_owned()).collect();
        stream::iter(tokens)
            .map(|token| async move { self.identify(&token).await })
            .buffered(ADMISSIONS_AT_ONCE)
            .collect()
            .await
    }
}
