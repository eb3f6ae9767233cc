//! The application's own token table, and what antiphon asks of it.

use std::{collections::HashMap, sync::Arc};

use antiphon::{AuthError, Authenticator, Identity, TenantId, UserId, async_trait};
use parking_lot::Mutex;

/// Sessions of this application's users. A real one would be a table of its database.
#[derive(Clone, Default)]
pub struct TokenTable(Arc<Mutex<HashMap<String, (TenantId, UserId)>>>);

impl TokenTable {
    /// Somebody has logged in.
    pub fn insert(&self, token: &str, tenant: TenantId, user: UserId) {
        self.0.lock().insert(token.to_owned(), (tenant, user));
    }
}

#[async_trait]
impl Authenticator for TokenTable {
    async fn authenticate(&self, tokens: &[&str]) -> Vec<Result<Identity, AuthError>> {
        let table = self.0.lock();
        let check = |token: &&str| {
            let (tenant, user) = table.get(*token).cloned().ok_or(AuthError::Invalid("unknown"))?;
            Ok(Identity { tenant, user, expires_at: None, revocations: 0 })
        };
        tokens.iter().map(check).collect()
    }
}
