//! The application's own routes beside antiphon's.

use std::{sync::Arc, time::Duration};

use antiphon::{Antiphon, AppendError, ProjectId, TenantId, UserId};
use axum::{
    Json, Router,
    extract::{Path, State},
    http::StatusCode,
    response::{IntoResponse, Response},
    routing::{delete, post},
};
use serde::Deserialize;

use crate::{Membership, NoOrder, Orders, TokenTable};

/// What its routes share.
pub struct App {
    antiphon: Antiphon,
    tokens: TokenTable,
    membership: Membership,
    orders: Orders,
}

impl App {
    /// Of these parts.
    pub fn new(antiphon: Antiphon, tokens: TokenTable, membership: Membership, orders: Orders) -> Arc<Self> {
        Arc::new(Self { antiphon, tokens, membership, orders })
    }

    /// Moves the clients away over this time.
    pub async fn drain(&self, window: Duration) {
        self.antiphon.drain(window).await;
    }
}

/// Its own routes and antiphon's.
pub fn routes(app: Arc<App>) -> Router {
    let own = Router::new()
        .route("/login", post(log_in))
        .route("/companies/{company}/orders", post(order))
        .route("/companies/{company}/projects/{project}/members/{user}", delete(leave))
        .with_state(app.clone());
    own.merge(antiphon::router(&app.antiphon))
}

#[derive(Deserialize)]
struct Login {
    company: String,
    user: String,
    project: Option<String>,
}

/// A name that is not one.
struct BadName(String);

impl IntoResponse for BadName {
    fn into_response(self) -> Response {
        (StatusCode::BAD_REQUEST, self.0).into_response()
    }
}

fn named<T, E: ToString>(parsed: Result<T, E>) -> Result<T, BadName> {
    parsed.map_err(|error| BadName(error.to_string()))
}

/// A toy of a login: whoever says a name is that one.
async fn log_in(State(app): State<Arc<App>>, Json(login): Json<Login>) -> Result<String, BadName> {
    let (tenant, user) = (named(TenantId::parse(&login.company))?, named(UserId::parse(&login.user))?);
    app.membership.hire(&tenant, &user);
    if let Some(project) = login.project {
        app.membership.join(&tenant, &named(ProjectId::parse(&project))?, &user);
    }
    app.antiphon.tenant_changed(&tenant).await;
    let token = format!("session-of-{tenant}-{user}");
    app.tokens.insert(&token, tenant, user);
    Ok(token)
}

/// An order comes in, and everybody at the company sees it.
async fn order(State(app): State<Arc<App>>, Path(company): Path<String>) -> Result<Response, BadName> {
    let tenant = named(TenantId::parse(&company))?;
    Ok(match app.orders.take(&app.antiphon, &tenant).await {
        Ok(position) => position.to_string().into_response(),
        Err(NoOrder::Entry(AppendError::Refused(refusal))) if refusal.retry_after_ms.is_none() => {
            (StatusCode::NOT_FOUND, "there is no such company").into_response()
        }
        Err(error) => {
            // What is inside of it is for the operator alone.
            eprintln!("no order: {error:?}");
            StatusCode::SERVICE_UNAVAILABLE.into_response()
        }
    })
}

/// Somebody leaves a project: from the answer on nothing of it reaches them.
async fn leave(
    State(app): State<Arc<App>>,
    Path((company, project, user)): Path<(String, String, String)>,
) -> Result<StatusCode, BadName> {
    let tenant = named(TenantId::parse(&company))?;
    app.membership.leave(&tenant, &named(ProjectId::parse(&project))?, &named(UserId::parse(&user))?);
    app.antiphon.tenant_changed(&tenant).await;
    Ok(StatusCode::NO_CONTENT)
}
