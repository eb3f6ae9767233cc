//! For operators: is it alive, may it be given clients, and its figures.

use std::sync::Arc;

use antiphon_core::{BrokerState, Scope};
use axum::{
    Json, Router,
    extract::State,
    http::{StatusCode, header},
    response::{IntoResponse, Response},
    routing::get,
};
use serde::Serialize;

use crate::{asker::Asker, problem::Problem, server::Doors};

/// When it is worth asking again whether the node is ready.
const RETRY_AFTER_SECONDS: &str = "1";

#[derive(Serialize)]
struct Ready {
    ready: bool,
    draining: bool,
    database: bool,
    broker: bool,
    #[serde(skip_serializing_if = "Option::is_none")]
    reason: Option<String>,
}

pub(crate) fn router(doors: &Arc<Doors>, is_open: bool) -> Router {
    let metrics = if is_open { get(open_metrics) } else { get(metrics) };
    Router::new()
        .route("/health/live", get(|| async { Json(serde_json::json!({"live": true})) }))
        .route("/health/ready", get(ready))
        .route("/metrics", metrics)
        .method_not_allowed_fallback(|| async { Problem::method_not_allowed() })
        .with_state(doors.clone())
}

async fn ready(State(doors): State<Arc<Doors>>) -> Response {
    let health = doors.node.health();
    let is_ready = health.ready;
    let body = Ready {
        ready: health.ready,
        draining: health.draining,
        database: health.database,
        broker: health.broker == BrokerState::Up,
        reason: health.reason,
    };
    if is_ready {
        return Json(body).into_response();
    }
    let after = (header::RETRY_AFTER, RETRY_AFTER_SECONDS);
    (StatusCode::SERVICE_UNAVAILABLE, [after], Json(body)).into_response()
}

async fn metrics(State(doors): State<Arc<Doors>>, asker: Asker) -> Result<Response, Problem> {
    asker.needs_key(Scope::Metrics, None)?;
    Ok(open_metrics(State(doors)).await)
}

async fn open_metrics(State(doors): State<Arc<Doors>>) -> Response {
    let kind = "application/openmetrics-text; version=1.0.0; charset=utf-8";
    ([(header::CONTENT_TYPE, kind)], doors.node.encode_metrics()).into_response()
}
