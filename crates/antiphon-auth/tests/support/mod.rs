//! What the tests share: a directory in memory, signers of every algorithm, and an issuer's key server.
#![allow(dead_code, clippy::unwrap_used)]

pub mod issuer;
pub mod signer;

use std::{
    collections::HashMap,
    sync::{
        Arc, Mutex,
        atomic::{AtomicUsize, Ordering},
    },
};

use antiphon_core::{ApiKey, ApiKeys, NewKey, NewToken, OpaqueToken, SeamError, Tokens};
use antiphon_protocol::{TenantId, UserId};
use async_trait::async_trait;

#[derive(Default)]
pub struct MemoryTokens {
    rows: Mutex<HashMap<[u8; 32], NewToken>>,
    keys: Mutex<Vec<ApiKey>>,
    revoked_before: Mutex<HashMap<(TenantId, UserId), i64>>,
    pub admitted: Mutex<Vec<(TenantId, UserId)>>,
    pub queries: AtomicUsize,
    pub away: std::sync::atomic::AtomicBool,
}

impl MemoryTokens {
    pub fn new() -> Arc<Self> {
        Arc::default()
    }

    /// Everything that it keeps, as text.
    pub fn dump(&self) -> String {
        format!("{:?} {:?}", self.rows.lock().unwrap(), self.keys.lock().unwrap())
    }

    fn check(&self) -> Result<(), SeamError> {
        self.queries.fetch_add(1, Ordering::SeqCst);
        if self.away.load(Ordering::SeqCst) {
            return Err(SeamError::unavailable("the database", "it is away"));
        }
        Ok(())
    }
}

#[async_trait]
impl Tokens for MemoryTokens {
    async fn find_tokens(&self, hashes: &[[u8; 32]]) -> Result<Vec<Option<OpaqueToken>>, SeamError> {
        self.check()?;
        let rows = self.rows.lock().unwrap();
        Ok(hashes
            .iter()
            .map(|hash| {
                rows.get(hash).map(|row| OpaqueToken {
                    tenant: row.tenant.clone(),
                    user: row.user.clone(),
                    expires_at: row.expires_at,
                    revocations: 3,
                })
            })
            .collect())
    }

    async fn add_token(&self, token: &NewToken) -> Result<(), SeamError> {
        self.check()?;
        self.rows.lock().unwrap().insert(token.hash, token.clone());
        Ok(())
    }

    async fn revoke_tokens(&self, tenant: &TenantId, user: &UserId, now_ms: i64) -> Result<bool, SeamError> {
        self.check()?;
        self.rows.lock().unwrap().retain(|_, row| row.tenant != *tenant || row.user != *user);
        self.revoked_before.lock().unwrap().insert((tenant.clone(), user.clone()), now_ms);
        Ok(true)
    }

    async fn admit_user(
        &self,
        tenant: &TenantId,
        user: &UserId,
        _issued_at: i64,
    ) -> Result<(u64, Option<i64>), SeamError> {
        self.check()?;
        let who = (tenant.clone(), user.clone());
        let revoked_before = self.revoked_before.lock().unwrap().get(&who).copied();
        self.admitted.lock().unwrap().push(who);
        Ok((3, revoked_before))
    }

    async fn sweep_tokens(&self, _now_ms: i64) -> Result<u64, SeamError> {
        Ok(0)
    }
}

#[async_trait]
impl ApiKeys for MemoryTokens {
    async fn find_key(&self, hash: &[u8; 32]) -> Result<Option<ApiKey>, SeamError> {
        self.check()?;
        Ok(self.keys.lock().unwrap().iter().find(|key| key.hash == *hash).cloned())
    }

    async fn add_key(&self, key: &NewKey) -> Result<(), SeamError> {
        self.keys.lock().unwrap().push(key.clone());
        Ok(())
    }

    async fn list_keys(&self) -> Result<Vec<ApiKey>, SeamError> {
        Ok(self.keys.lock().unwrap().clone())
    }

    async fn revoke_key(&self, id: &str) -> Result<bool, SeamError> {
        let mut keys = self.keys.lock().unwrap();
        let before = keys.len();
        keys.retain(|key| key.id != id);
        Ok(keys.len() < before)
    }
}

pub fn tenant(id: &str) -> TenantId {
    TenantId::parse(id).unwrap()
}

pub fn user(id: &str) -> UserId {
    UserId::parse(id).unwrap()
}
