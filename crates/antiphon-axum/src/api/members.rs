//! Members of projects and their settings.

use std::{collections::HashSet, sync::Arc};

use antiphon_core::{MemberSettings, Scope, Settings};
use antiphon_protocol::{Refusal, UserId};
use axum::{
    Json,
    extract::State,
    http::StatusCode,
    response::{IntoResponse, Response},
};
use serde::Serialize;
use utoipa::ToSchema;

use super::{
    asked::{Asked, Ids, Plain},
    body::{Bodies, Body},
    directory::{gone, keeper},
    fields::{Fields, FromFields},
    names::{self, PageQuery},
};
use crate::{asker::Asker, problem::Problem, server::Doors};

/// The most members of one bulk request.
const MEMBERS_MAX: usize = 10_000;

/// What a member wants; what is left out stays as it is.
#[derive(ToSchema)]
#[serde(deny_unknown_fields)]
pub(crate) struct Wishes {
    /// Entries on the socket, in history and recovery.
    deliver: Option<bool>,
    /// Push notifications.
    push: Option<bool>,
}

impl FromFields for Wishes {
    fn from_fields(fields: &mut Fields) -> Result<Self, Refusal> {
        Ok(Self { deliver: fields.boolean("deliver")?, push: fields.boolean("push")? })
    }
}

/// One of many members.
#[derive(ToSchema)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub(crate) struct NewMember {
    /// The user; made where missing.
    #[schema(value_type = String)]
    user_id: UserId,
    /// Entries on the socket.
    deliver: Option<bool>,
    /// Push notifications.
    push: Option<bool>,
}

impl FromFields for NewMember {
    fn from_fields(fields: &mut Fields) -> Result<Self, Refusal> {
        let user_id = fields.name("userId", UserId::parse)?;
        let user_id = user_id.ok_or_else(|| Refusal::invalid("`userId` is missing"))?;
        let Wishes { deliver, push } = Wishes::from_fields(fields)?;
        Ok(Self { user_id, deliver, push })
    }
}

/// A member.
#[derive(Serialize, ToSchema)]
#[serde(rename_all = "camelCase")]
pub(crate) struct Member {
    user_id: String,
    deliver: bool,
    push: bool,
}

/// A page of members.
#[derive(Serialize, ToSchema)]
pub(crate) struct Members {
    items: Vec<Member>,
    next: Option<String>,
}

/// How many members a bulk request made.
#[derive(Serialize, ToSchema)]
pub(crate) struct Made {
    /// New ones.
    made: u64,
}

/// A member's settings.
#[derive(Serialize, ToSchema)]
pub(crate) struct SettingsBody {
    deliver: bool,
    push: bool,
}

fn member(user: &UserId, Settings { deliver, push }: Settings) -> Member {
    Member { user_id: user.to_string(), deliver, push }
}

#[utoipa::path(get, path = "/api/v1/tenants/{tenant}/projects/{project}/members", tag = "members",
    params(("tenant" = String, Path), ("project" = String, Path), PageQuery), responses((status = 200, body = Members)))]
/// A project's members.
pub(crate) async fn list(
    State(doors): State<Arc<Doors>>,
    Ids((tenant, project)): Ids<(String, String)>,
    asker: Asker,
    Asked(query): Asked<PageQuery>,
) -> Result<Json<Members>, Problem> {
    let (tenant, project) = (keeper(&asker, &tenant)?, names::project(&project)?);
    let directory = &doors.node.engines().directory;
    let listed = directory.list_members(&tenant, &project, &query.page()).await?;
    if listed.items.is_empty() && !directory.project_exists(&tenant, &project).await? {
        return Err(Problem::no_such("project"));
    }
    let items: Vec<Member> = listed.items.iter().map(|(user, settings)| member(user, *settings)).collect();
    let next = listed.more.then(|| items.last().map(|last| last.user_id.clone())).flatten();
    Ok(Json(Members { items, next }))
}

#[utoipa::path(put, path = "/api/v1/tenants/{tenant}/projects/{project}/members", tag = "members",
    params(("tenant" = String, Path), ("project" = String, Path)), request_body = Vec<NewMember>,
    responses((status = 200, body = Made)))]
/// Makes many members or changes their settings.
pub(crate) async fn put_many(
    State(doors): State<Arc<Doors>>,
    Ids((tenant, project)): Ids<(String, String)>,
    asker: Asker,
    Bodies(members): Bodies<NewMember>,
) -> Result<Json<Made>, Problem> {
    let (tenant, project) = (keeper(&asker, &tenant)?, names::project(&project)?);
    if members.len() > MEMBERS_MAX {
        return Err(Problem::invalid(format!("at most {MEMBERS_MAX} members at once")));
    }
    let named: HashSet<&UserId> = members.iter().map(|member| &member.user_id).collect();
    if named.len() < members.len() {
        return Err(Problem::invalid("a user may stand in the array only once"));
    }
    let members: Vec<MemberSettings> = members
        .into_iter()
        .map(|NewMember { user_id, deliver, push }| MemberSettings { user: user_id, deliver, push })
        .collect();
    let made = doors.node.engines().directory.put_members(&tenant, &project, &members).await?;
    doors.node.tenant_changed(&tenant).await;
    Ok(Json(Made { made }))
}

#[utoipa::path(put, path = "/api/v1/tenants/{tenant}/projects/{project}/members/{user}", tag = "members",
    params(("tenant" = String, Path), ("project" = String, Path), ("user" = String, Path)), request_body = Wishes,
    responses((status = 201, description = "made", body = Member), (status = 200, description = "was there", body = Member)))]
/// Makes a member, with or without settings.
pub(crate) async fn put(
    State(doors): State<Arc<Doors>>,
    Ids((tenant, project, user)): Ids<(String, String, String)>,
    asker: Asker,
    Body(Wishes { deliver, push }): Body<Wishes>,
) -> Result<Response, Problem> {
    let tenant = keeper(&asker, &tenant)?;
    let (project, user) = (names::project(&project)?, names::user(&user)?);
    let directory = &doors.node.engines().directory;
    let new = MemberSettings { user: user.clone(), deliver, push };
    let made = directory.put_members(&tenant, &project, &[new]).await?;
    doors.node.tenant_changed(&tenant).await;
    let settings = directory.member(&tenant, &project, &user).await?.unwrap_or_default();
    let status = if made > 0 { StatusCode::CREATED } else { StatusCode::OK };
    Ok((status, Json(member(&user, settings))).into_response())
}

#[utoipa::path(get, path = "/api/v1/tenants/{tenant}/projects/{project}/members/{user}", tag = "members",
    params(("tenant" = String, Path), ("project" = String, Path), ("user" = String, Path)),
    responses((status = 200, body = Member)))]
/// A member.
pub(crate) async fn get(
    State(doors): State<Arc<Doors>>,
    Ids((tenant, project, user)): Ids<(String, String, String)>,
    asker: Asker,
    _: Plain,
) -> Result<Json<Member>, Problem> {
    let tenant = keeper(&asker, &tenant)?;
    let (project, user) = (names::project(&project)?, names::user(&user)?);
    let settings = doors.node.engines().directory.member(&tenant, &project, &user).await?;
    settings.map(|settings| Json(member(&user, settings))).ok_or_else(|| Problem::no_such("member"))
}

#[utoipa::path(delete, path = "/api/v1/tenants/{tenant}/projects/{project}/members/{user}", tag = "members",
    params(("tenant" = String, Path), ("project" = String, Path), ("user" = String, Path)),
    responses((status = 204, description = "gone: nothing that is sent from now on reaches it")))]
/// Ends a membership.
pub(crate) async fn delete(
    State(doors): State<Arc<Doors>>,
    Ids((tenant, project, user)): Ids<(String, String, String)>,
    asker: Asker,
    _: Plain,
) -> Result<StatusCode, Problem> {
    let tenant = keeper(&asker, &tenant)?;
    let (project, user) = (names::project(&project)?, names::user(&user)?);
    let was = doors.node.engines().directory.delete_member(&tenant, &project, &user).await?;
    doors.node.tenant_changed(&tenant).await;
    gone("member", was)
}

#[utoipa::path(get, path = "/api/v1/tenants/{tenant}/projects/{project}/members/{user}/settings", tag = "members",
    params(("tenant" = String, Path), ("project" = String, Path), ("user" = String, Path)),
    responses((status = 200, body = SettingsBody)))]
/// A member's settings; a user may read its own.
pub(crate) async fn get_settings(
    State(doors): State<Arc<Doors>>,
    Ids((tenant, project, user)): Ids<(String, String, String)>,
    asker: Asker,
    _: Plain,
) -> Result<Json<SettingsBody>, Problem> {
    let tenant = names::tenant(&tenant)?;
    let (project, user) = (names::project(&project)?, names::user(&user)?);
    asker.is_or_needs_key(Scope::Directory, &tenant, &user)?;
    let settings = doors.node.engines().directory.member(&tenant, &project, &user).await?;
    let Settings { deliver, push } = settings.ok_or_else(|| Problem::no_such("member"))?;
    Ok(Json(SettingsBody { deliver, push }))
}

#[utoipa::path(put, path = "/api/v1/tenants/{tenant}/projects/{project}/members/{user}/settings", tag = "members",
    params(("tenant" = String, Path), ("project" = String, Path), ("user" = String, Path)), request_body = Wishes,
    responses((status = 201, description = "made the member", body = SettingsBody),
        (status = 200, description = "was there", body = SettingsBody)))]
/// Changes a member's settings; a user may change its own. A key makes the member where it is none.
pub(crate) async fn put_settings(
    State(doors): State<Arc<Doors>>,
    Ids((tenant, project, user)): Ids<(String, String, String)>,
    asker: Asker,
    Body(Wishes { deliver, push }): Body<Wishes>,
) -> Result<Response, Problem> {
    let tenant = names::tenant(&tenant)?;
    let (project, user) = (names::project(&project)?, names::user(&user)?);
    asker.is_or_needs_key(Scope::Directory, &tenant, &user)?;
    let directory = &doors.node.engines().directory;
    let wanted = MemberSettings { user: user.clone(), deliver, push };
    if matches!(asker, Asker::User(_)) {
        // A user does not make itself a member.
        let changed = directory.change_settings(&tenant, &project, &wanted).await?;
        let Settings { deliver, push } = changed.ok_or_else(|| Problem::no_such("member"))?;
        doors.node.tenant_changed(&tenant).await;
        return Ok(Json(SettingsBody { deliver, push }).into_response());
    }
    // A key makes missing parents, as in every PUT.
    let made = directory.put_members(&tenant, &project, &[wanted]).await?;
    doors.node.tenant_changed(&tenant).await;
    let Settings { deliver, push } = directory.member(&tenant, &project, &user).await?.unwrap_or_default();
    let status = if made > 0 { StatusCode::CREATED } else { StatusCode::OK };
    Ok((status, Json(SettingsBody { deliver, push })).into_response())
}
