//! Tenants, users and projects.

use std::sync::Arc;

use antiphon_core::{Listed, Scope};
use antiphon_node::By;
use antiphon_protocol::TenantId;
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
    names::{self, PageQuery},
};
use crate::{asker::Asker, problem::Problem, server::Doors};

/// Something by its id.
#[derive(Serialize, ToSchema)]
pub(crate) struct Named {
    /// The id.
    id: String,
}

/// A page of a list.
#[derive(Serialize, ToSchema)]
pub(crate) struct NamedList {
    /// In the order of their ids.
    items: Vec<Named>,
    /// The `cursor` of the next page; null: this was the last.
    next: Option<String>,
}

fn list<T: ToString>(listed: Listed<T>) -> Json<NamedList> {
    let items: Vec<Named> = listed.items.iter().map(|id| Named { id: id.to_string() }).collect();
    let next = listed.more.then(|| items.last().map(|last| last.id.clone())).flatten();
    Json(NamedList { items, next })
}

fn made(is_new: bool, id: &str) -> Response {
    let status = if is_new { StatusCode::CREATED } else { StatusCode::OK };
    (status, Json(Named { id: id.to_owned() })).into_response()
}

fn found(what: &str, is_there: bool, id: &str) -> Result<Json<Named>, Problem> {
    if is_there { Ok(Json(Named { id: id.to_owned() })) } else { Err(Problem::no_such(what)) }
}

pub(crate) fn gone(what: &str, was_there: bool) -> Result<StatusCode, Problem> {
    if was_there { Ok(StatusCode::NO_CONTENT) } else { Err(Problem::no_such(what)) }
}

/// The tenant of the path, for a key that may keep its directory.
pub(crate) fn keeper(asker: &Asker, tenant: &str) -> Result<TenantId, Problem> {
    let tenant = names::tenant(tenant)?;
    asker.needs_key(Scope::Directory, Some(&tenant))?;
    Ok(tenant)
}

#[utoipa::path(get, path = "/api/v1/tenants", tag = "directory", params(PageQuery),
    responses((status = 200, body = NamedList)))]
/// The tenants.
pub(crate) async fn list_tenants(
    State(doors): State<Arc<Doors>>,
    asker: Asker,
    Asked(query): Asked<PageQuery>,
) -> Result<Json<NamedList>, Problem> {
    asker.needs_key(Scope::Directory, None)?;
    Ok(list(doors.node.engines().directory.list_tenants(&query.page()).await?))
}

#[utoipa::path(put, path = "/api/v1/tenants/{tenant}", tag = "directory", params(("tenant" = String, Path)),
    responses((status = 201, description = "made", body = Named), (status = 200, description = "was there", body = Named)))]
/// Makes a tenant.
pub(crate) async fn put_tenant(
    State(doors): State<Arc<Doors>>,
    Ids(tenant): Ids<String>,
    asker: Asker,
    _: Plain,
) -> Result<Response, Problem> {
    let tenant = keeper(&asker, &tenant)?;
    let is_new = doors.node.engines().directory.put_tenant(&tenant).await?;
    doors.node.tenant_changed(&tenant).await;
    Ok(made(is_new, tenant.as_str()))
}

#[utoipa::path(get, path = "/api/v1/tenants/{tenant}", tag = "directory", params(("tenant" = String, Path)),
    responses((status = 200, body = Named)))]
/// Is there such a tenant?
pub(crate) async fn get_tenant(
    State(doors): State<Arc<Doors>>,
    Ids(tenant): Ids<String>,
    asker: Asker,
    _: Plain,
) -> Result<Json<Named>, Problem> {
    let tenant = keeper(&asker, &tenant)?;
    found("tenant", doors.node.engines().directory.tenant_exists(&tenant).await?, tenant.as_str())
}

#[utoipa::path(delete, path = "/api/v1/tenants/{tenant}", tag = "directory", params(("tenant" = String, Path)),
    responses((status = 204, description = "gone, and its connections end")))]
/// Deletes a tenant with its users, projects and tokens; nobody reads its entries any more, also not if it is made again.
pub(crate) async fn delete_tenant(
    State(doors): State<Arc<Doors>>,
    Ids(tenant): Ids<String>,
    asker: Asker,
    _: Plain,
) -> Result<StatusCode, Problem> {
    let tenant = keeper(&asker, &tenant)?;
    let was_there = doors.node.engines().directory.delete_tenant(&tenant).await?;
    doors.node.tenant_changed(&tenant).await;
    gone("tenant", was_there)
}

#[utoipa::path(get, path = "/api/v1/tenants/{tenant}/users", tag = "directory",
    params(("tenant" = String, Path), PageQuery), responses((status = 200, body = NamedList)))]
/// A tenant's users.
pub(crate) async fn list_users(
    State(doors): State<Arc<Doors>>,
    Ids(tenant): Ids<String>,
    asker: Asker,
    Asked(query): Asked<PageQuery>,
) -> Result<Json<NamedList>, Problem> {
    let tenant = keeper(&asker, &tenant)?;
    let listed = doors.node.engines().directory.list_users(&tenant, &query.page()).await?;
    if listed.items.is_empty() {
        names::tenant_there(&doors, &By::Key, &tenant).await?;
    }
    Ok(list(listed))
}

#[utoipa::path(put, path = "/api/v1/tenants/{tenant}/users/{user}", tag = "directory",
    params(("tenant" = String, Path), ("user" = String, Path)),
    responses((status = 201, description = "made", body = Named), (status = 200, description = "was there", body = Named)))]
/// Makes a user.
pub(crate) async fn put_user(
    State(doors): State<Arc<Doors>>,
    Ids((tenant, user)): Ids<(String, String)>,
    asker: Asker,
    _: Plain,
) -> Result<Response, Problem> {
    let (tenant, user) = (keeper(&asker, &tenant)?, names::user(&user)?);
    let is_new = doors.node.engines().directory.put_user(&tenant, &user).await?;
    doors.node.tenant_changed(&tenant).await;
    Ok(made(is_new, user.as_str()))
}

#[utoipa::path(get, path = "/api/v1/tenants/{tenant}/users/{user}", tag = "directory",
    params(("tenant" = String, Path), ("user" = String, Path)), responses((status = 200, body = Named)))]
/// Is there such a user?
pub(crate) async fn get_user(
    State(doors): State<Arc<Doors>>,
    Ids((tenant, user)): Ids<(String, String)>,
    asker: Asker,
    _: Plain,
) -> Result<Json<Named>, Problem> {
    let (tenant, user) = (keeper(&asker, &tenant)?, names::user(&user)?);
    let (_, states) =
        doors.node.engines().directory.user_states(&tenant, std::slice::from_ref(&user)).await?;
    found("user", states.first().is_some_and(|state| state.exists), user.as_str())
}

#[utoipa::path(delete, path = "/api/v1/tenants/{tenant}/users/{user}", tag = "directory",
    params(("tenant" = String, Path), ("user" = String, Path)),
    responses((status = 204, description = "gone, and its connections end with TOKEN_REVOKED")))]
/// Deletes a user, its memberships and its tokens.
pub(crate) async fn delete_user(
    State(doors): State<Arc<Doors>>,
    Ids((tenant, user)): Ids<(String, String)>,
    asker: Asker,
    _: Plain,
) -> Result<StatusCode, Problem> {
    let (tenant, user) = (keeper(&asker, &tenant)?, names::user(&user)?);
    let was_there = doors.node.engines().directory.delete_user(&tenant, &user).await?;
    doors.node.tenant_changed(&tenant).await;
    gone("user", was_there)
}

#[utoipa::path(get, path = "/api/v1/tenants/{tenant}/projects", tag = "directory",
    params(("tenant" = String, Path), PageQuery), responses((status = 200, body = NamedList)))]
/// A tenant's projects.
pub(crate) async fn list_projects(
    State(doors): State<Arc<Doors>>,
    Ids(tenant): Ids<String>,
    asker: Asker,
    Asked(query): Asked<PageQuery>,
) -> Result<Json<NamedList>, Problem> {
    let tenant = keeper(&asker, &tenant)?;
    let listed = doors.node.engines().directory.list_projects(&tenant, &query.page()).await?;
    if listed.items.is_empty() {
        names::tenant_there(&doors, &By::Key, &tenant).await?;
    }
    Ok(list(listed))
}

#[utoipa::path(put, path = "/api/v1/tenants/{tenant}/projects/{project}", tag = "directory",
    params(("tenant" = String, Path), ("project" = String, Path)),
    responses((status = 201, description = "made", body = Named), (status = 200, description = "was there", body = Named)))]
/// Makes a project.
pub(crate) async fn put_project(
    State(doors): State<Arc<Doors>>,
    Ids((tenant, project)): Ids<(String, String)>,
    asker: Asker,
    _: Plain,
) -> Result<Response, Problem> {
    let (tenant, project) = (keeper(&asker, &tenant)?, names::project(&project)?);
    let is_new = doors.node.engines().directory.put_project(&tenant, &project).await?;
    doors.node.tenant_changed(&tenant).await;
    Ok(made(is_new, project.as_str()))
}

#[utoipa::path(get, path = "/api/v1/tenants/{tenant}/projects/{project}", tag = "directory",
    params(("tenant" = String, Path), ("project" = String, Path)), responses((status = 200, body = Named)))]
/// Is there such a project?
pub(crate) async fn get_project(
    State(doors): State<Arc<Doors>>,
    Ids((tenant, project)): Ids<(String, String)>,
    asker: Asker,
    _: Plain,
) -> Result<Json<Named>, Problem> {
    let (tenant, project) = (keeper(&asker, &tenant)?, names::project(&project)?);
    found(
        "project",
        doors.node.engines().directory.project_exists(&tenant, &project).await?,
        project.as_str(),
    )
}

#[utoipa::path(delete, path = "/api/v1/tenants/{tenant}/projects/{project}", tag = "directory",
    params(("tenant" = String, Path), ("project" = String, Path)), responses((status = 204, description = "gone")))]
/// Deletes a project and its memberships.
pub(crate) async fn delete_project(
    State(doors): State<Arc<Doors>>,
    Ids((tenant, project)): Ids<(String, String)>,
    asker: Asker,
    _: Plain,
) -> Result<StatusCode, Problem> {
    let (tenant, project) = (keeper(&asker, &tenant)?, names::project(&project)?);
    let was_there = doors.node.engines().directory.delete_project(&tenant, &project).await?;
    doors.node.tenant_changed(&tenant).await;
    gone("project", was_there)
}
