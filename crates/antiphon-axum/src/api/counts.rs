//! Who is there, and how many.

use std::sync::Arc;

use antiphon_core::Scope;
use antiphon_protocol::PresentUser;
use axum::{Json, extract::State};
use serde::Serialize;
use utoipa::ToSchema;

use super::{
    asked::{Ids, Plain},
    names,
};
use crate::{asker::Asker, problem::Problem, server::Doors};

/// Those subscribed to a topic.
#[derive(Serialize, ToSchema)]
pub(crate) struct Users {
    /// On all nodes, in the order of their ids.
    users: Vec<User>,
}

/// One who is there.
#[derive(Serialize, ToSchema)]
struct User {
    /// The user.
    id: String,
    /// Its subscriptions of the topic.
    connections: u32,
}

#[utoipa::path(get, path = "/api/v1/tenants/{tenant}/topics/{topic}/presence", tag = "presence",
    params(("tenant" = String, Path), ("topic" = String, Path)), responses((status = 200, body = Users)))]
/// Who is subscribed to a topic, on all nodes.
pub(crate) async fn presence(
    State(doors): State<Arc<Doors>>,
    Ids((tenant, topic)): Ids<(String, String)>,
    asker: Asker,
    _: Plain,
) -> Result<Json<Users>, Problem> {
    let topic = names::topic(&tenant, &topic)?;
    let by = asker.acts(Scope::Publish, topic.tenant())?;
    names::tenant_there(&doors, &by, topic.tenant()).await?;
    let users = doors.node.presence(&by, &topic).await?;
    let user = |PresentUser { id, connections }: PresentUser| User { id: id.to_string(), connections };
    Ok(Json(Users { users: users.into_iter().map(user).collect() }))
}

/// Connections with an identity.
#[derive(Serialize, ToSchema)]
pub(crate) struct Connections {
    /// At the node that answers.
    node: u64,
    /// At all nodes.
    cluster: u64,
}

#[utoipa::path(get, path = "/api/v1/connections", tag = "presence", responses((status = 200, body = Connections)))]
/// How many connections have an identity.
pub(crate) async fn connections(
    State(doors): State<Arc<Doors>>,
    asker: Asker,
    _: Plain,
) -> Result<Json<Connections>, Problem> {
    asker.needs_key(Scope::Metrics, None)?;
    let (node, cluster) = doors.node.connections().await;
    Ok(Json(Connections { node, cluster }))
}
