//! Opaque tokens of users: issued, revoked; and connections that are ended.

use std::{sync::Arc, time::Duration};

use antiphon_core::{Tokens, issue_token};
use antiphon_protocol::{Refusal, now_ms};
use axum::{
    Json,
    extract::State,
    http::StatusCode,
    response::{IntoResponse, Response},
};
use serde::Serialize;
use utoipa::ToSchema;

use super::{
    asked::{Ids, Plain},
    body::Body,
    directory::{gone, keeper},
    fields::{Fields, FromFields},
    names,
};
use crate::{asker::Asker, problem::Problem, server::Doors};

/// Ten years.
const TTL_SECONDS_MAX: u64 = 10 * 365 * 24 * 3600;

/// How long a token is to live.
#[derive(ToSchema)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub(crate) struct NewTokenBody {
    /// Seconds; an hour if left out.
    #[schema(minimum = 1, maximum = 315_360_000)]
    ttl_seconds: Option<u64>,
}

impl FromFields for NewTokenBody {
    fn from_fields(fields: &mut Fields) -> Result<Self, Refusal> {
        let wrong = || {
            Refusal::invalid(format_args!("`ttlSeconds` must be a whole number from 1 to {TTL_SECONDS_MAX}"))
        };
        let Some(raw) = fields.value("ttlSeconds") else { return Ok(Self { ttl_seconds: None }) };
        let ttl_seconds: Option<u64> =
            raw.get().parse().ok().filter(|ttl| (1..=TTL_SECONDS_MAX).contains(ttl));
        ttl_seconds.map(|ttl| Self { ttl_seconds: Some(ttl) }).ok_or_else(wrong)
    }
}

/// A token: it is shown this once.
#[derive(Serialize, ToSchema)]
#[serde(rename_all = "camelCase")]
pub(crate) struct TokenBody {
    token: String,
    /// Milliseconds since the Unix epoch.
    #[schema(value_type = i64)]
    expires_at: Option<i64>,
}

fn tokens(doors: &Doors) -> Result<&Arc<dyn Tokens>, Problem> {
    let missing = || Problem::not_found("this application issues its own tokens");
    doors.node.engines().tokens.as_ref().ok_or_else(missing)
}

#[utoipa::path(post, path = "/api/v1/tenants/{tenant}/users/{user}/tokens", tag = "tokens",
    params(("tenant" = String, Path), ("user" = String, Path)), request_body = NewTokenBody,
    responses((status = 201, body = TokenBody)))]
/// Issues a token; makes tenant and user where missing.
pub(crate) async fn issue(
    State(doors): State<Arc<Doors>>,
    Ids((tenant, user)): Ids<(String, String)>,
    asker: Asker,
    Body(NewTokenBody { ttl_seconds }): Body<NewTokenBody>,
) -> Result<Response, Problem> {
    let (tenant, user) = (keeper(&asker, &tenant)?, names::user(&user)?);
    let ttl = ttl_seconds.unwrap_or(3600);
    let ttl = Duration::from_secs(ttl);
    let (token, expires_at) = issue_token(tokens(&doors)?.as_ref(), &tenant, &user, Some(ttl)).await?;
    doors.node.tenant_changed(&tenant).await;
    Ok((StatusCode::CREATED, Json(TokenBody { token, expires_at })).into_response())
}

#[utoipa::path(delete, path = "/api/v1/tenants/{tenant}/users/{user}/tokens", tag = "tokens",
    params(("tenant" = String, Path), ("user" = String, Path)),
    responses((status = 204, description = "revoked, and the user's connections end with TOKEN_REVOKED")))]
/// Revokes all tokens of a user; one that is issued after the answer is good at once.
pub(crate) async fn revoke(
    State(doors): State<Arc<Doors>>,
    Ids((tenant, user)): Ids<(String, String)>,
    asker: Asker,
    _: Plain,
) -> Result<StatusCode, Problem> {
    let (tenant, user) = (keeper(&asker, &tenant)?, names::user(&user)?);
    let by_the_second = doors.options.tokens_by_the_second;
    let now = now_ms();
    // A JWT says to the second when it was issued: the line is drawn at the next second, and the answer waits for it.
    let before = if by_the_second { (now / 1000 + 1) * 1000 } else { now };
    let was_there = tokens(&doors)?.revoke_tokens(&tenant, &user, before).await?;
    doors.node.tenant_changed(&tenant).await;
    if by_the_second && was_there {
        let left = u64::try_from(before - now_ms()).unwrap_or(0);
        tokio::time::sleep(Duration::from_millis(left)).await;
    }
    gone("user", was_there)
}

#[utoipa::path(delete, path = "/api/v1/tenants/{tenant}/users/{user}/connections", tag = "tokens",
    params(("tenant" = String, Path), ("user" = String, Path)),
    responses((status = 204, description = "its connections end with 1012; it may come back")))]
/// Ends all connections of a user.
pub(crate) async fn disconnect(
    State(doors): State<Arc<Doors>>,
    Ids((tenant, user)): Ids<(String, String)>,
    asker: Asker,
    _: Plain,
) -> Result<StatusCode, Problem> {
    let (tenant, user) = (keeper(&asker, &tenant)?, names::user(&user)?);
    let was_there = doors.node.engines().directory.disconnect_user(&tenant, &user).await?;
    doors.node.tenant_changed(&tenant).await;
    gone("user", was_there)
}
