//! Who asks over HTTP: the application by an API key, or a user by its token.

use std::sync::Arc;

use antiphon_core::{ApiKey, AuthError, KEY_PREFIX, Scope, find_key};
use antiphon_node::{By, Caller};
use antiphon_protocol::{TenantId, UserId};
use axum::{
    extract::FromRequestParts,
    http::{HeaderMap, header, request::Parts},
};

use crate::{peer, problem::Problem, server::Doors};

/// Whoever asks.
pub(crate) enum Asker {
    Key(ApiKey),
    User(Arc<Caller>),
}

/// The Bearer token of a request; a second or another kind of Authorization is refused.
pub(crate) fn bearer(headers: &HeaderMap) -> Result<Option<&str>, Problem> {
    let mut given = headers.get_all(header::AUTHORIZATION).iter();
    let Some(first) = given.next() else { return Ok(None) };
    let text = first.to_str().map_err(|_| Problem::unauthorized())?;
    let token =
        text.get(..7).filter(|scheme| scheme.eq_ignore_ascii_case("bearer ")).map(|_| text[7..].trim());
    match (token, given.next()) {
        (Some(token), None) if !token.is_empty() => Ok(Some(token)),
        _ => Err(Problem::unauthorized()),
    }
}

/// Who asks is known before a byte of the body is read.
impl FromRequestParts<Arc<Doors>> for Asker {
    type Rejection = Problem;

    async fn from_request_parts(parts: &mut Parts, doors: &Arc<Doors>) -> Result<Self, Problem> {
        let seen = |reason| refused(reason, doors, parts);
        Self::of(doors, &parts.headers, seen).await
    }
}

/// Tells the operator who showed what is not valid; never what was shown.
fn refused(reason: &'static str, doors: &Doors, parts: &Parts) -> Problem {
    let claimed = |name| peer::claimed(&parts.headers, name);
    let address = peer::believed(&parts.extensions, &parts.headers, &doors.options.trusted_proxies);
    tracing::warn!(
        reason,
        method = parts.method.as_str(),
        path = parts.uri.path().get(..peer::CLAIM_CHARS).unwrap_or(parts.uri.path()),
        agent = claimed("user-agent").as_deref(),
        forwarded_for = claimed("x-forwarded-for").as_deref(),
        address = address.map(tracing::field::display),
        "a request shows no valid key or token"
    );
    Problem::unauthorized()
}

impl Asker {
    /// Who shows what this request shows.
    async fn of(
        doors: &Doors,
        headers: &HeaderMap,
        refused: impl Fn(&'static str) -> Problem,
    ) -> Result<Self, Problem> {
        let shown = bearer(headers).map_err(|_| refused("not of the form of a token"))?;
        // Who shows nothing has made no attempt: that is not worth a line.
        let token = shown.ok_or_else(Problem::unauthorized)?;
        if token.starts_with(KEY_PREFIX) {
            let Some(keys) = &doors.node.engines().keys else { return Err(refused("no keys are kept here")) };
            let found = find_key(keys.as_ref(), token).await?;
            return found.map(Self::Key).ok_or_else(|| refused("unknown, expired or revoked key"));
        }
        match doors.node.authenticate(token).await {
            Ok(caller) => {
                doors.paces.step(&caller, &doors.node)?;
                Ok(Self::User(caller))
            }
            Err(AuthError::Invalid(reason)) => Err(refused(reason)),
            Err(AuthError::Seam(error)) => Err(error.into()),
        }
    }

    /// A key with this scope for this tenant; users may not.
    pub fn needs_key(&self, scope: Scope, tenant: Option<&TenantId>) -> Result<(), Problem> {
        match self {
            Self::Key(key) if key.permits(scope, tenant) => Ok(()),
            _ => Err(Problem::forbidden()),
        }
    }

    /// A key with this scope for this tenant, or a user of it.
    pub fn acts(&self, scope: Scope, tenant: &TenantId) -> Result<By, Problem> {
        match self {
            Self::Key(key) if key.permits(scope, Some(tenant)) => Ok(By::Key),
            Self::User(caller) if caller.tenant() == tenant => Ok(By::User(caller.clone())),
            _ => Err(Problem::forbidden()),
        }
    }

    /// A key with this scope for this tenant, or this very user of it.
    pub fn is_or_needs_key(&self, scope: Scope, tenant: &TenantId, user: &UserId) -> Result<(), Problem> {
        match self {
            Self::User(caller) if caller.tenant() == tenant && caller.identity.user == *user => Ok(()),
            _ => self.needs_key(scope, Some(tenant)),
        }
    }
}
