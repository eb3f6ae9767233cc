//! What answers while there is no node yet: alive, not ready, and why. Once there is one, its router does.
//! Either way a 503 says when to come back.

use std::{convert::Infallible, sync::Arc};

use arc_swap::ArcSwap;
use axum::{
    Router,
    body::Body,
    extract::{Request, State},
    http::{HeaderValue, StatusCode, header},
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
    let mut response = match router.oneshot(request).await {
        Ok(response) => response,
        Err(never) => match never as Infallible {},
    };
    if response.status() == StatusCode::SERVICE_UNAVAILABLE {
        let soon = || HeaderValue::from_static(RETRY_AFTER_SECONDS);
        response.headers_mut().entry(header::RETRY_AFTER).or_insert_with(soon);
    }
    response
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

    #[tokio::test]
    async fn every_503_says_when_to_come_back_and_a_longer_time_is_left_as_it_is() {
        let gate = Gate::closed("the database is away");
        let router = gate.router();
        let said = async |path: &str| {
            let request = Request::get(path).body(Body::empty()).unwrap();
            let response = router.clone().oneshot(request).await.unwrap();
            response.headers().get(header::RETRY_AFTER).map(|value| value.to_str().unwrap().to_owned())
        };
        assert_eq!(said("/health/ready").await.as_deref(), Some("1"));
        let full = || async { (StatusCode::SERVICE_UNAVAILABLE, [(header::RETRY_AFTER, "9")]) };
        let away = || async { StatusCode::SERVICE_UNAVAILABLE };
        gate.open(
            Router::new()
                .route("/full", any(full))
                .route("/away", any(away))
                .route("/good", any(|| async {})),
        );
        assert_eq!(said("/full").await.as_deref(), Some("9"));
        assert_eq!(said("/away").await.as_deref(), Some("1"));
        assert_eq!(said("/good").await, None);
    }
}
