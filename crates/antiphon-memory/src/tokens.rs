//! Opaque tokens and API keys in memory, beside the directory whose users they are of.

use antiphon_core::{ApiKey, ApiKeys, NewKey, NewToken, OpaqueToken, SeamError, Tokens};
use antiphon_protocol::{TenantId, UserId};
use async_trait::async_trait;

use crate::MemoryDirectory;

#[async_trait]
impl Tokens for MemoryDirectory {
    async fn find_tokens(&self, hashes: &[[u8; 32]]) -> Result<Vec<Option<OpaqueToken>>, SeamError> {
        let mut state = self.ask();
        let mut found = Vec::with_capacity(hashes.len());
        for hash in hashes {
            let token = state.tokens.get(hash).cloned();
            found.push(token.and_then(|NewToken { tenant, user, expires_at, .. }| {
                let revocations =
                    state.there(&tenant)?.users.get(&user).filter(|one| one.exists)?.revocations;
                Some(OpaqueToken { tenant, user, expires_at, revocations })
            }));
        }
        Ok(found)
    }

    async fn add_token(&self, token: &NewToken) -> Result<(), SeamError> {
        let mut state = self.ask();
        state.make(&token.tenant).0.make_user(&token.user);
        state.tokens.insert(token.hash, token.clone());
        Ok(())
    }

    async fn revoke_tokens(&self, tenant: &TenantId, user: &UserId, now_ms: i64) -> Result<bool, SeamError> {
        let mut state = self.ask();
        let Some(held) = state.there(tenant) else { return Ok(false) };
        let Some(one) = held.users.get_mut(user).filter(|one| one.exists) else { return Ok(false) };
        one.revocations += 1;
        one.revoked_before = Some(now_ms);
        held.change(std::slice::from_ref(user));
        state.tokens.retain(|_, token| token.tenant != *tenant || token.user != *user);
        Ok(true)
    }

    async fn admit_user(
        &self,
        tenant: &TenantId,
        user: &UserId,
        issued_at: i64,
    ) -> Result<(u64, Option<i64>), SeamError> {
        const NEVER: (u64, Option<i64>) = (0, Some(i64::MAX));
        let mut state = self.ask();
        if state.tenants.get(tenant).is_some_and(|held| !held.exists) {
            return Ok(NEVER);
        }
        let known = state.tenants.get(tenant).and_then(|held| held.users.get(user));
        let is_made_by_it = |before: Option<i64>| before.is_some_and(|before| before <= issued_at);
        if known.is_some_and(|one| !one.exists && !is_made_by_it(one.revoked_before)) {
            return Ok(NEVER);
        }
        let (held, _) = state.make(tenant);
        held.make_user(user);
        let one = &held.users[user];
        Ok((one.revocations, one.revoked_before))
    }

    async fn sweep_tokens(&self, now_ms: i64) -> Result<u64, SeamError> {
        let mut state = self.ask();
        let before = state.tokens.len();
        state.tokens.retain(|_, token| token.expires_at.is_none_or(|ends| ends >= now_ms));
        Ok((before - state.tokens.len()) as u64)
    }
}

#[async_trait]
impl ApiKeys for MemoryDirectory {
    async fn find_key(&self, hash: &[u8; 32]) -> Result<Option<ApiKey>, SeamError> {
        Ok(self.ask().keys.iter().find(|key| key.hash == *hash).cloned())
    }

    async fn add_key(&self, key: &NewKey) -> Result<(), SeamError> {
        self.ask().keys.push(key.clone());
        Ok(())
    }

    async fn list_keys(&self) -> Result<Vec<ApiKey>, SeamError> {
        Ok(self.ask().keys.clone())
    }

    async fn revoke_key(&self, id: &str) -> Result<bool, SeamError> {
        let mut state = self.ask();
        let before = state.keys.len();
        state.keys.retain(|key| key.id != id);
        Ok(state.keys.len() < before)
    }
}
