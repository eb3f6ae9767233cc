//! Credentials that are made of 256 random bits: opaque tokens of users and API keys. How they are made, recognised, hashed
//! and compared is said once, here; only their SHA-256 is kept.

use std::time::Duration;

use antiphon_protocol::{TenantId, UserId, now_ms};
use base64::{Engine, engine::general_purpose::URL_SAFE_NO_PAD};
use rand::{TryRng, rngs::SysRng};
use sha2::{Digest, Sha256};
use subtle::ConstantTimeEq;

use crate::{ApiKey, ApiKeys, NewToken, Scope, SeamError, Tokens};

/// How an opaque token begins.
pub const TOKEN_PREFIX: &str = "ant_";
/// How an API key begins.
pub const KEY_PREFIX: &str = "antkey_";

const RANDOM_BYTES: usize = 32;
/// 32 bytes in base64url without padding.
const RANDOM_CHARS: usize = 43;

/// A new credential: the prefix and 256 random bits.
pub fn make_credential(prefix: &str) -> Result<String, SeamError> {
    let bytes = random_bytes::<RANDOM_BYTES>()?;
    Ok(format!("{prefix}{}", URL_SAFE_NO_PAD.encode(bytes)))
}

/// Random bytes of the operating system.
pub fn random_bytes<const N: usize>() -> Result<[u8; N], SeamError> {
    let mut bytes = [0; N];
    SysRng.try_fill_bytes(&mut bytes).map_err(|error| SeamError::unavailable("randomness", error))?;
    Ok(bytes)
}

/// Has the text the form of such a credential? What has not costs no query.
pub fn is_credential(prefix: &str, text: &str) -> bool {
    text.strip_prefix(prefix).is_some_and(|rest| {
        rest.len() == RANDOM_CHARS
            && rest.bytes().all(|b| b.is_ascii_alphanumeric() || b == b'-' || b == b'_')
    })
}

/// What is kept of a credential.
pub fn hash_credential(credential: &str) -> [u8; 32] {
    Sha256::digest(credential.as_bytes()).into()
}

/// The time (ms) after which something made now has ended.
pub fn end_after(ttl: Duration) -> i64 {
    now_ms().saturating_add(i64::try_from(ttl.as_millis()).unwrap_or(i64::MAX))
}

/// Makes a token for a user (tenant and user too where missing): the token, and when it ends (ms).
pub async fn issue_token(
    tokens: &dyn Tokens,
    tenant: &TenantId,
    user: &UserId,
    ttl: Option<Duration>,
) -> Result<(String, Option<i64>), SeamError> {
    let token = make_credential(TOKEN_PREFIX)?;
    let expires_at = ttl.map(end_after);
    let new =
        NewToken { tenant: tenant.clone(), user: user.clone(), hash: hash_credential(&token), expires_at };
    tokens.add_token(&new).await?;
    Ok((token, expires_at))
}

/// The row of an API key that is valid now.
pub async fn find_key(keys: &dyn ApiKeys, shown: &str) -> Result<Option<ApiKey>, SeamError> {
    if !is_credential(KEY_PREFIX, shown) {
        return Ok(None);
    }
    let hash = hash_credential(shown);
    let found = keys.find_key(&hash).await?;
    Ok(found.filter(|row| row.hash.ct_eq(&hash).into() && row.expires_at.is_none_or(|end| end > now_ms())))
}

impl ApiKey {
    /// May it do that, to that tenant? What concerns no single tenant is not for a key of one.
    pub fn permits(&self, scope: Scope, tenant: Option<&TenantId>) -> bool {
        let scoped = self.scopes.iter().any(|has| *has == scope || *has == Scope::Admin);
        scoped && self.tenant.as_ref().is_none_or(|own| Some(own) == tenant)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_credential_is_recognised_by_its_form_alone() {
        let made = make_credential("ant_").unwrap();
        assert_eq!(made.len(), 4 + RANDOM_CHARS);
        assert!(is_credential("ant_", &made));
        assert!(!is_credential("antkey_", &made));
        for bad in ["ant_", "ant_short", &format!("{made}x"), &made.replacen("ant_", "ant_=", 1)] {
            assert!(!is_credential("ant_", bad), "{bad}");
        }
    }

    #[test]
    fn a_key_does_what_its_scopes_say_for_its_tenant_alone() {
        let (acme, globex) = (TenantId::parse("acme").unwrap(), TenantId::parse("globex").unwrap());
        let key = |scopes: &[Scope], tenant: Option<&TenantId>| ApiKey {
            id: "k".into(),
            hash: [0; 32],
            scopes: scopes.to_vec(),
            tenant: tenant.cloned(),
            expires_at: None,
            created_at: 0,
        };
        let publish = key(&[Scope::Publish], Some(&acme));
        assert!(publish.permits(Scope::Publish, Some(&acme)));
        assert!(!publish.permits(Scope::Publish, Some(&globex)));
        assert!(!publish.permits(Scope::Publish, None));
        assert!(!publish.permits(Scope::Directory, Some(&acme)));
        assert!(key(&[Scope::Metrics], None).permits(Scope::Metrics, None));
        assert!(key(&[Scope::Admin], None).permits(Scope::Directory, Some(&acme)));
        assert!(!key(&[Scope::Admin], Some(&acme)).permits(Scope::Directory, Some(&globex)));
    }
}
