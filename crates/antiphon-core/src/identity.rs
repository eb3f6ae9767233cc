//! Who somebody is: identities from tokens, and API keys with their scopes.

use antiphon_protocol::{TenantId, UserId};
use async_trait::async_trait;
use serde::{Deserialize, Serialize};

use crate::SeamError;

/// Who a token says its bearer is.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Identity {
    /// The tenant.
    pub tenant: TenantId,
    /// The user.
    pub user: UserId,
    /// When the token ends, in milliseconds since the Unix epoch; none: never.
    pub expires_at: Option<i64>,
    /// The user's count of revocations when the token was checked.
    pub revocations: u64,
}

/// Why a token was not accepted.
#[derive(Debug, thiserror::Error)]
pub enum AuthError {
    /// Unknown, expired, revoked or malformed: which one, nobody outside is told.
    #[error("the token is not valid: {0}")]
    Invalid(&'static str),
    /// It could not be checked.
    #[error(transparent)]
    Seam(#[from] SeamError),
}

/// From tokens to identities.
///
/// # Promises
/// Nothing of a token is believed before it is proved; no URL is built from one; the answer is as of now (no cache that a revocation would have to reach).
#[async_trait]
pub trait Authenticator: Send + Sync {
    /// Checks tokens that were shown at about the same time; the answers are in the same order.
    async fn authenticate(&self, tokens: &[&str]) -> Vec<Result<Identity, AuthError>>;
}

/// An opaque token's row.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct OpaqueToken {
    /// The tenant.
    pub tenant: TenantId,
    /// The user.
    pub user: UserId,
    /// When it ends (ms); none: never.
    pub expires_at: Option<i64>,
    /// The user's count of revocations now.
    pub revocations: u64,
}

/// A token to be kept: only its SHA-256.
#[derive(Debug, Clone)]
pub struct NewToken {
    /// The tenant; made where missing.
    pub tenant: TenantId,
    /// The user; made where missing.
    pub user: UserId,
    /// SHA-256 of the token.
    pub hash: [u8; 32],
    /// When it ends (ms); none: never.
    pub expires_at: Option<i64>,
}

/// Opaque tokens, as SHA-256 only.
///
/// # Promises
/// `find` never returns a revoked token or one of a deleted user; expired ones may be returned (the caller compares the time).
/// `revoke_tokens` counts up the user's revocations and raises the tenant's revision in one transaction.
#[async_trait]
pub trait Tokens: Send + Sync {
    /// Looks tokens up by their hashes, in one query, in the order asked for.
    async fn find_tokens(&self, hashes: &[[u8; 32]]) -> Result<Vec<Option<OpaqueToken>>, SeamError>;
    /// Keeps a token.
    async fn add_token(&self, token: &NewToken) -> Result<(), SeamError>;
    /// Revokes all of a user's tokens, also JWTs issued before `now_ms`; false if there is no such user.
    async fn revoke_tokens(&self, tenant: &TenantId, user: &UserId, now_ms: i64) -> Result<bool, SeamError>;
    /// For a token that was issued elsewhere, at this time (ms; 0: unknown): makes tenant and user where they never were, and a
    /// deleted user again if the token is of after its deletion; a deleted tenant stays deleted. Tells the user's revocations and
    /// before which time (ms) tokens of it are revoked.
    async fn admit_user(
        &self,
        tenant: &TenantId,
        user: &UserId,
        issued_at: i64,
    ) -> Result<(u64, Option<i64>), SeamError>;
    /// Removes tokens that ended before this time (ms).
    async fn sweep_tokens(&self, now_ms: i64) -> Result<u64, SeamError>;
}

/// What a key may do.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Scope {
    /// Publish entries and signals, read them and presence.
    Publish,
    /// Tenants, users, projects, members, settings, tokens.
    Directory,
    /// Metrics and counts.
    Metrics,
    /// All of these.
    Admin,
}

impl Scope {
    /// Each of them.
    pub const ALL: [Scope; 4] = [Scope::Publish, Scope::Directory, Scope::Metrics, Scope::Admin];

    /// As it is written.
    pub fn as_str(self) -> &'static str {
        match self {
            Scope::Publish => "publish",
            Scope::Directory => "directory",
            Scope::Metrics => "metrics",
            Scope::Admin => "admin",
        }
    }

    /// From how it is written.
    pub fn parse(text: &str) -> Option<Self> {
        Self::ALL.into_iter().find(|scope| scope.as_str() == text)
    }
}

/// An API key's row.
#[derive(Debug, Clone)]
pub struct ApiKey {
    /// Names it in lists and for revoking.
    pub id: String,
    /// SHA-256 of the key.
    pub hash: [u8; 32],
    /// What it may do.
    pub scopes: Vec<Scope>,
    /// The one tenant it is for; none: all.
    pub tenant: Option<TenantId>,
    /// When it ends (ms).
    pub expires_at: Option<i64>,
    /// When it was made (ms).
    pub created_at: i64,
}

/// A key to be kept.
pub type NewKey = ApiKey;

/// API keys, as SHA-256 only.
#[async_trait]
pub trait ApiKeys: Send + Sync {
    /// Looks a key up; expired ones may be returned.
    async fn find_key(&self, hash: &[u8; 32]) -> Result<Option<ApiKey>, SeamError>;
    /// Keeps a key.
    async fn add_key(&self, key: &NewKey) -> Result<(), SeamError>;
    /// All keys, in the order of their making.
    async fn list_keys(&self) -> Result<Vec<ApiKey>, SeamError>;
    /// Removes a key; false if there is none.
    async fn revoke_key(&self, id: &str) -> Result<bool, SeamError>;
}
