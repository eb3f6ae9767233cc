//! Opaque tokens: 256 random bits of which only the SHA-256 is kept. They end to the second by the wall clock.

use std::sync::Arc;

use antiphon_core::{
    AuthError, Authenticator, Identity, SeamError, TOKEN_PREFIX, Tokens, hash_credential, is_credential,
};
use antiphon_protocol::now_ms;
use async_trait::async_trait;

/// Knows the bearers of opaque tokens.
pub struct OpaqueAuthenticator {
    tokens: Arc<dyn Tokens>,
}

impl OpaqueAuthenticator {
    /// Over this engine's tokens.
    pub fn new(tokens: Arc<dyn Tokens>) -> Self {
        Self { tokens }
    }
}

#[async_trait]
impl Authenticator for OpaqueAuthenticator {
    async fn authenticate(&self, tokens: &[&str]) -> Vec<Result<Identity, AuthError>> {
        // What has not even the form costs no query.
        let known: Vec<bool> = tokens.iter().map(|token| is_credential(TOKEN_PREFIX, token)).collect();
        let hashes: Vec<[u8; 32]> = tokens
            .iter()
            .zip(&known)
            .filter(|(_, known)| **known)
            .map(|(token, _)| hash_credential(token))
            .collect();
        let found = if hashes.is_empty() { Ok(Vec::new()) } else { self.tokens.find_tokens(&hashes).await };
        let mut found = match found {
            Ok(found) => found.into_iter(),
            Err(error) => {
                let cause = error.to_string();
                return known
                    .into_iter()
                    .map(|known| {
                        Err(if known { SeamError::unavailable("tokens", &cause).into() } else { MALFORMED })
                    })
                    .collect();
            }
        };
        let now = now_ms();
        known
            .into_iter()
            .map(|known| {
                if !known {
                    return Err(MALFORMED);
                }
                let row = found.next().flatten().ok_or(AuthError::Invalid("unknown or revoked"))?;
                if row.expires_at.is_some_and(|end| end <= now) {
                    return Err(AuthError::Invalid("expired"));
                }
                Ok(Identity {
                    tenant: row.tenant,
                    user: row.user,
                    expires_at: row.expires_at,
                    revocations: row.revocations,
                })
            })
            .collect()
    }
}

const MALFORMED: AuthError = AuthError::Invalid("not of the form of a token");
