//! The doors from outside: the upgrade to a WebSocket and the hand-over of its socket, the HTTP API, health and
//! metrics. Nothing is decided here that a session or a node could decide; nothing inner leaves.

mod api;
mod asker;
#[cfg(feature = "conformance")]
mod conformance;
mod cross_origin;
mod operations;
mod origin;
mod paces;
mod page;
mod peer;
mod problem;
mod pump;
mod server;
mod upgrade;

pub use peer::PeerAddress;
pub use problem::not_found;
pub use server::{Doors, HttpOptions};
pub use upgrade::{HalfOpen, InUse};

use std::sync::Arc;

use axum::Router;

/// Everything: the socket, the API and operations. It has no fallback, so that it merges with an application's own routes.
pub fn router(doors: &Arc<Doors>) -> Router {
    sockets_router(doors).merge(api_router(doors)).merge(operations_router(doors))
}

/// `GET /ws`.
pub fn sockets_router(doors: &Arc<Doors>) -> Router {
    let router = Router::new().route("/ws", axum::routing::any(upgrade::upgrade));
    #[cfg(feature = "conformance")]
    let router = router.route("/conformance/echo", axum::routing::any(conformance::echo));
    router.with_state(doors.clone())
}

/// What is below `/api`.
pub fn api_router(doors: &Arc<Doors>) -> Router {
    api::router(doors)
}

/// `/health/live`, `/health/ready` and `/metrics` (with a key).
pub fn operations_router(doors: &Arc<Doors>) -> Router {
    operations::router(doors, false)
}

/// The same with metrics open, for a listener of its own.
pub fn admin_router(doors: &Arc<Doors>) -> Router {
    operations::router(doors, true)
}
