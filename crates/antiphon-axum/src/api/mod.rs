//! The HTTP API: paths and bodies become one operation of the node, or one change of the directory.

mod asked;
mod body;
mod counts;
mod directory;
mod entries;
mod fields;
mod members;
mod names;
mod query;
mod tokens;

use std::{sync::Arc, time::Duration};

use antiphon_protocol::ProblemCode;
use axum::{
    Json, Router,
    extract::{DefaultBodyLimit, Request},
    http::{HeaderValue, StatusCode, header},
    middleware::{Next, from_fn},
    response::{IntoResponse, Response},
    routing::{any, get},
};
use tower_http::{catch_panic::CatchPanicLayer, set_header::SetResponseHeaderLayer};
use utoipa::{
    Modify, OpenApi,
    openapi::security::{HttpAuthScheme, HttpBuilder, SecurityScheme},
};
use utoipa_axum::{router::OpenApiRouter, routes};

use crate::{
    cross_origin, page,
    problem::{Problem, not_found},
    server::Doors,
};

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
    router
        .route("/api/openapi.json", get(move || async move { Json(document.as_ref().clone()) }))
        .route("/api", get(page::page))
        // The page's links are relative to the path without the stroke.
        .route("/api/", get(|| async { (StatusCode::PERMANENT_REDIRECT, [(header::LOCATION, "../api")]) }))
        .route("/api/page.js", get(page::script))
        .route("/api/page.css", get(page::style))
        .route("/api/{*rest}", any(not_found))
        .method_not_allowed_fallback(|| async { Problem::method_not_allowed() })
        .layer(DefaultBodyLimit::max(doors.node.limits().body_bytes))
        .layer(from_fn(in_time))
        .layer(CatchPanicLayer::custom(|_| {
            Problem::new(ProblemCode::Internal, "something broke here").into_response()
        }))
        // Answers hold tokens and what only this bearer may read.
        .layer(SetResponseHeaderLayer::if_not_present(
            header::CACHE_CONTROL,
            HeaderValue::from_static("no-store"),
        ))
        .layer(SetResponseHeaderLayer::if_not_present(
            header::X_CONTENT_TYPE_OPTIONS,
            HeaderValue::from_static("nosniff"),
        ))
        .layer(cross_origin::layer(&doors.options.allowed_origins))
        .with_state(doors.clone())
}

/// However slowly the body comes or an engine answers.
async fn in_time(request: Request, next: Next) -> Response {
    let answer = tokio::time::timeout(REQUEST_TIMEOUT, next.run(request)).await;
    answer.unwrap_or_else(|_| Problem::unavailable(1000).into_response())
}
