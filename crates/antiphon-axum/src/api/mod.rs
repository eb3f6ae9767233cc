//! The HTTP API: paths and bodies become one operation of the node, or one change of the directory.

mod body;
mod counts;
mod directory;
mod entries;
mod members;
mod names;
mod tokens;

use std::{sync::Arc, time::Duration};

use axum::{
    Json, Router,
    extract::DefaultBodyLimit,
    http::StatusCode,
    response::IntoResponse,
    routing::{any, get},
};
use tower_http::{catch_panic::CatchPanicLayer, timeout::TimeoutLayer};
use utoipa::{
    Modify, OpenApi,
    openapi::security::{HttpAuthScheme, HttpBuilder, SecurityScheme},
};
use utoipa_axum::{router::OpenApiRouter, routes};

use crate::{cross_origin, page, problem::Problem, server::Doors};

/// How long a request may take in all.
const REQUEST_TIMEOUT: Duration = Duration::from_secs(30);

#[derive(OpenApi)]
#[openapi(
    info(
        title = "antiphon",
        description = "Publish, read, and keep the directory of tenants, users, projects and members.\n\nAuthorization is `Bearer` with an API key, or with a user's token for what a user may do. Errors are problem documents (RFC 9457)."
    ),
    modifiers(&Bearer),
    security(("bearer" = []))
)]
struct Document;

struct Bearer;

impl Modify for Bearer {
    fn modify(&self, document: &mut utoipa::openapi::OpenApi) {
        let scheme = HttpBuilder::new().scheme(HttpAuthScheme::Bearer).build();
        let components = document.components.get_or_insert_with(Default::default);
        components.add_security_scheme("bearer", SecurityScheme::Http(scheme));
    }
}

pub(crate) fn router(doors: &Arc<Doors>) -> Router {
    let (router, document) = OpenApiRouter::with_openapi(Document::openapi())
        .routes(routes!(entries::publish, entries::list))
        .routes(routes!(entries::read))
        .routes(routes!(entries::publish_batch))
        .routes(routes!(entries::signal))
        .routes(routes!(counts::presence))
        .routes(routes!(counts::connections))
        .routes(routes!(directory::list_tenants))
        .routes(routes!(directory::put_tenant, directory::get_tenant, directory::delete_tenant))
        .routes(routes!(directory::list_users))
        .routes(routes!(directory::put_user, directory::get_user, directory::delete_user))
        .routes(routes!(directory::list_projects))
        .routes(routes!(directory::put_project, directory::get_project, directory::delete_project))
        .routes(routes!(members::list, members::put_many))
        .routes(routes!(members::put, members::get, members::delete))
        .routes(routes!(members::get_settings, members::put_settings))
        .routes(routes!(tokens::issue, tokens::revoke))
        .routes(routes!(tokens::disconnect))
        .split_for_parts();
    let document: Arc<serde_json::Value> =
        Arc::new(serde_json::to_value(&document).expect("the document is plain data"));
    let not_found = || async { Problem::not_found().into_response() };
    router
        .method_not_allowed_fallback(|| async {
            Problem::new(StatusCode::METHOD_NOT_ALLOWED, "METHOD_NOT_ALLOWED", "this path has no such method")
        })
        .route("/api/openapi.json", get(move || async move { Json(document.as_ref().clone()) }))
        .route("/api", get(page::page))
        .route("/api/page.js", get(page::script))
        .route("/api/page.css", get(page::style))
        .route("/api/{*rest}", any(not_found))
        .layer(DefaultBodyLimit::max(doors.node.limits().body_bytes))
        .layer(TimeoutLayer::with_status_code(StatusCode::SERVICE_UNAVAILABLE, REQUEST_TIMEOUT))
        .layer(CatchPanicLayer::custom(|_| {
            Problem::new(StatusCode::INTERNAL_SERVER_ERROR, "INTERNAL", "something broke here")
                .into_response()
        }))
        .layer(cross_origin::layer(&doors.options.allowed_origins))
        .with_state(doors.clone())
}
