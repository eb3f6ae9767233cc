//! Who acts: a user with a checked token, or the application with a key.

use std::sync::Arc;

use antiphon_core::Identity;
use antiphon_hub::Login;
use antiphon_protocol::TenantId;

/// A user with a checked token. While it lives, the user's memberships are held here.
#[derive(Debug)]
pub struct Caller {
    /// Who the token says it is.
    pub identity: Identity,
    /// Its place in the audience.
    pub login: Login,
    /// The user's count of disconnects when the token was checked.
    pub disconnects: u64,
}

impl Caller {
    /// The tenant.
    pub fn tenant(&self) -> &TenantId {
        &self.identity.tenant
    }

    /// True if the token counts no more: revoked, or its user deleted.
    pub fn is_revoked(&self) -> bool {
        let state = self.login.member().state();
        !state.exists || state.revocations > self.identity.revocations
    }
}

/// Who acts.
#[derive(Debug, Clone)]
pub enum By {
    /// A user.
    User(Arc<Caller>),
    /// The application, by an API key or from within.
    Key,
}
