//! The page: a few files, what it shows, and what it can do to the nodes. For pages and programs of this machine alone.

use std::{net::SocketAddr, sync::Arc};

use axum::{
    Json, Router,
    extract::{Path, Request, State},
    http::{HeaderMap, HeaderValue, StatusCode, header},
    middleware::{self, Next},
    response::{IntoResponse, Response},
    routing::{get, post},
};

use super::stage::Stage;

const FILES: [(&str, &str, &str); 6] = [
    ("/", "text/html; charset=utf-8", include_str!("../../demo/index.html")),
    ("/demo.css", "text/css; charset=utf-8", include_str!("../../demo/demo.css")),
    ("/demo.js", "text/javascript; charset=utf-8", include_str!("../../demo/demo.js")),
    ("/page.js", "text/javascript; charset=utf-8", include_str!("../../demo/page.js")),
    ("/pane.js", "text/javascript; charset=utf-8", include_str!("../../demo/pane.js")),
    ("/icon.svg", "image/svg+xml", include_str!("../../demo/icon.svg")),
];

/// Modules of the npm package, as `npm run build` has left them in clients/js/dist.
macro_rules! modules {
    ($($name:literal)*) => {
        &[$((concat!("/antiphon/", $name), include_str!(concat!("../../../../clients/js/dist/", $name)))),*]
    };
}

/// The JavaScript client that the page speaks with.
const CLIENT: &[(&str, &str)] = modules! {
    "address.js"
    "ask.js"
    "backoff.js"
    "client.js"
    "driver.js"
    "error.js"
    "frame.js"
    "index.js"
    "interest.js"
    "leaving.js"
    "ledger.js"
    "line.js"
    "options.js"
    "outbox.js"
    "question.js"
    "state.js"
    "stream.js"
    "subscription.js"
    "timer.js"
    "token.js"
};

/// The page's routes.
pub fn router(stage: &Arc<Stage>, page: SocketAddr) -> Router {
    let policy = HeaderValue::from_str(&policy(stage)).expect("addresses are plain text");
    let mut router = Router::new()
        .route("/demo/state", get(state))
        .route("/demo/nodes/{id}/kill", post(kill))
        .route("/demo/nodes/{id}/start", post(start))
        .with_state(stage.clone());
    let modules = CLIENT.iter().map(|(path, text)| (*path, "text/javascript; charset=utf-8", *text));
    for (path, kind, text) in FILES.into_iter().chain(modules) {
        router = router.route(path, get(move || async move { ([(header::CONTENT_TYPE, kind)], text) }));
    }
    router.layer(middleware::from_fn(move |request: Request, next: Next| {
        let policy = policy.clone();
        async move {
            if !is_ours(request.headers(), page.port()) {
                return StatusCode::FORBIDDEN.into_response();
            }
            let mut response = next.run(request).await;
            let headers = response.headers_mut();
            headers.insert(header::CONTENT_SECURITY_POLICY, policy);
            headers.insert(header::X_CONTENT_TYPE_OPTIONS, HeaderValue::from_static("nosniff"));
            headers.insert(header::CACHE_CONTROL, HeaderValue::from_static("no-store"));
            response
        }
    }))
}

fn policy(stage: &Stage) -> String {
    let nodes: Vec<String> = stage.addresses().map(|node| format!("http://{node} ws://{node}")).collect();
    format!(
        "default-src 'none'; script-src 'self'; style-src 'self'; img-src 'self'; connect-src 'self' {}; base-uri 'none'; form-action 'none'; frame-ancestors 'none'",
        nodes.join(" ")
    )
}

/// The tokens of the demo are on the page: only this machine's own names for it are answered, and only its own page.
fn is_ours(headers: &HeaderMap, port: u16) -> bool {
    let own = ["127.0.0.1", "localhost"].map(|host| format!("{host}:{port}"));
    let text = |name| headers.get(name).and_then(|value: &HeaderValue| value.to_str().ok());
    let is_host = text(header::HOST).is_some_and(|host| own.iter().any(|own| own == host));
    let is_origin = text(header::ORIGIN).is_none_or(|origin| {
        origin.strip_prefix("http://").is_some_and(|host| own.iter().any(|own| own == host))
    });
    is_host && is_origin
}

async fn state(State(stage): State<Arc<Stage>>) -> Response {
    Json(stage.state().await).into_response()
}

async fn kill(State(stage): State<Arc<Stage>>, Path(id): Path<usize>) -> StatusCode {
    if stage.kill(id).await { StatusCode::NO_CONTENT } else { StatusCode::NOT_FOUND }
}

async fn start(State(stage): State<Arc<Stage>>, Path(id): Path<usize>) -> Response {
    match stage.start(id).await {
        Ok(true) => StatusCode::NO_CONTENT.into_response(),
        Ok(false) => StatusCode::NOT_FOUND.into_response(),
        Err(failure) => (StatusCode::INTERNAL_SERVER_ERROR, failure.to_string()).into_response(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_module_that_another_one_imports_is_there() {
        for (path, text) in CLIENT {
            for import in text.split(" from './").skip(1).filter_map(|rest| rest.split('\'').next()) {
                let there = CLIENT.iter().any(|(path, _)| path.strip_prefix("/antiphon/") == Some(import));
                assert!(there, "{path} imports {import}");
            }
        }
    }
}
