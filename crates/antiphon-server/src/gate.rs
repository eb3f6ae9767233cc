//! What answers while there is no node yet: alive, not ready, and why. Once there is one, its router does.

use std::{convert::Infallible, sync::Arc};

use arc_swap::ArcSwap;
use axum::{
    Router,
    body::Body,
    extract::{Request, State},
    http::{StatusCode, header},
    response::{IntoResponse, Response},
    routing::any,
};
use tower::ServiceExt;

/// How long who finds no node should wait before trying again.
const RETRY_AFTER_SECONDS: &str = "1";

/// A router that may be exchanged while connections are open.
#[derive(Clone)]
pub struct Gate(Arc<ArcSwap<Router>>);

impl Gate {
    /// One that says that the node is not ready, for this reason.
    pub fn closed(reason: &str) -> Self {
        Self(Arc::new(ArcSwap::from_pointee(waiting(reason))))
    }

    /// From now on this router answers.
    pub fn open(&self, router: Router) {
        self.0.store(Arc::new(router));
    }

    /// The router whose answers are those of the router of the moment.
    pub fn router(&self) -> Router {
        Router::new().fallback(any(pass)).with_state(self.clone())
    }
}

async fn pass(State(gate): State<Gate>, request: Request<Body>) -> Response {
    let router = Router::clone(&gate.0.load());
    match router.oneshot(request).await {
        Ok(response) => response,
        Err(never) => match never as Infallible {},
    }
}

fn waiting(reason: &str) -> Router {
    let reason: Arc<str> = reason.into();
    Router::new().fallback(any(async move |request: Request| {
        if request.uri().path() == "/health/live" {
            return StatusCode::OK.into_response();
        }
        let problem = serde_json::json!({
            "type": "about:blank",
            "title": "Service Unavailable",
            "status": 503,
            "code": "UNAVAILABLE",
            "ready": false,
            "detail": &*reason,
        });
        let headers =
            [(header::RETRY_AFTER, RETRY_AFTER_SECONDS), (header::CONTENT_TYPE, "application/problem+json")];
        (StatusCode::SERVICE_UNAVAILABLE, headers, problem.to_string()).into_response()
    }))
}

#[cfg(test)]
mod tests {
    use super::*;

    async fn status(router: &Router, path: &str) -> StatusCode {
        let request = Request::get(path).body(Body::empty()).unwrap();
        router.clone().oneshot(request).await.unwrap().status()
    }

    #[tokio::test]
    async fn a_node_that_is_not_there_is_alive_but_not_ready_until_it_is() {
        let gate = Gate::closed("the database is away");
        let router = gate.router();
        assert_eq!(status(&router, "/health/live").await, 200);
        assert_eq!(status(&router, "/health/ready").await, 503);
        assert_eq!(status(&router, "/ws").await, 503);
        gate.open(Router::new().route("/health/ready", any(|| async { "ready" })));
        assert_eq!(status(&router, "/health/ready").await, 200);
        assert_eq!(status(&router, "/ws").await, 404);
    }
}
