//! API keys: made, listed, revoked.

use std::{sync::Arc, time::Duration};

use antiphon_core::{
    ApiKey, ApiKeys, KEY_PREFIX, Scope, SeamError, end_after, hash_credential, make_credential, random_bytes,
};
use antiphon_protocol::{TenantId, now_ms};

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
        let id = random_bytes::<6>()?.iter().fold("k".to_owned(), |id, byte| format!("{id}{byte:02x}"));
        let row = ApiKey {
            id,
            hash: hash_credential(&key),
            scopes: Scope::ALL.into_iter().filter(|scope| scopes.contains(scope)).collect(),
            tenant,
            expires_at: ttl.map(end_after),
            created_at: now_ms(),
        };
        self.keys.add_key(&row).await?;
        Ok((key, row))
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
