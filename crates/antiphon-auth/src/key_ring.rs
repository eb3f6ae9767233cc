//! API keys: made, found by their SHA-256, checked for their end, their scopes and their tenant.

use std::{sync::Arc, time::Duration};

use antiphon_core::{ApiKey, ApiKeys, Scope, SeamError};
use antiphon_protocol::{TenantId, now_ms};

use crate::{
    opaque::end_after,
    secret::{hash, is_credential, make_credential, random, same_hash},
};

/// How an API key begins.
pub const KEY_PREFIX: &str = "antkey_";

/// The API keys of an engine.
#[derive(Clone)]
pub struct KeyRing {
    keys: Arc<dyn ApiKeys>,
}

impl KeyRing {
    /// Over this engine's keys.
    pub fn new(keys: Arc<dyn ApiKeys>) -> Self {
        Self { keys }
    }

    /// Makes a key: the key itself, which nobody can read again, and what is kept of it. Without scopes: all.
    pub async fn issue(
        &self,
        scopes: &[Scope],
        tenant: Option<TenantId>,
        ttl: Option<Duration>,
    ) -> Result<(String, ApiKey), SeamError> {
        let key = make_credential(KEY_PREFIX)?;
        let scopes = if scopes.is_empty() { &Scope::ALL } else { scopes };
        let id = random::<6>()?.iter().fold("k".to_owned(), |id, byte| format!("{id}{byte:02x}"));
        let row = ApiKey {
            id,
            hash: hash(&key),
            scopes: Scope::ALL.into_iter().filter(|scope| scopes.contains(scope)).collect(),
            tenant,
            expires_at: ttl.map(end_after),
            created_at: now_ms(),
        };
        self.keys.add_key(&row).await?;
        Ok((key, row))
    }

    /// The row of a key that is valid now.
    pub async fn find(&self, key: &str) -> Result<Option<ApiKey>, SeamError> {
        if !is_credential(KEY_PREFIX, key) {
            return Ok(None);
        }
        let hash = hash(key);
        let found = self.keys.find_key(&hash).await?;
        Ok(found.filter(|row| same_hash(&row.hash, &hash) && row.expires_at.is_none_or(|end| end > now_ms())))
    }

    /// All keys, in the order of their making.
    pub async fn list(&self) -> Result<Vec<ApiKey>, SeamError> {
        self.keys.list_keys().await
    }

    /// Removes a key by its id; false if there is none.
    pub async fn revoke(&self, id: &str) -> Result<bool, SeamError> {
        self.keys.revoke_key(id).await
    }
}

/// May this key do that, to that tenant? What concerns no single tenant is not for a key of one.
pub fn permits(key: &ApiKey, scope: Scope, tenant: Option<&TenantId>) -> bool {
    let scoped = key.scopes.iter().any(|has| *has == scope || *has == Scope::Admin);
    scoped && key.tenant.as_ref().is_none_or(|own| Some(own) == tenant)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn key(scopes: &[Scope], tenant: Option<&str>) -> ApiKey {
        ApiKey {
            id: "k".into(),
            hash: [0; 32],
            scopes: scopes.to_vec(),
            tenant: tenant.map(|id| TenantId::parse(id).unwrap()),
            expires_at: None,
            created_at: 0,
        }
    }

    #[test]
    fn a_key_does_what_its_scopes_say_for_its_tenant_alone() {
        let (acme, globex) = (TenantId::parse("acme").unwrap(), TenantId::parse("globex").unwrap());
        let publish = key(&[Scope::Publish], Some("acme"));
        assert!(permits(&publish, Scope::Publish, Some(&acme)));
        assert!(!permits(&publish, Scope::Publish, Some(&globex)));
        assert!(!permits(&publish, Scope::Publish, None));
        assert!(!permits(&publish, Scope::Directory, Some(&acme)));
        assert!(permits(&key(&[Scope::Metrics], None), Scope::Metrics, None));
        assert!(permits(&key(&[Scope::Admin], None), Scope::Directory, Some(&acme)));
        assert!(!permits(&key(&[Scope::Admin], Some("acme")), Scope::Directory, Some(&globex)));
    }
}
