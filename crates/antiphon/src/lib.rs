//! The realtime tier for a backend that runs as more than one instance, inside an axum application.
//!
//! ```no_run
//! # async fn home() {}
//! # async fn start() -> Result<(), Box<dyn std::error::Error>> {
//! let antiphon = antiphon::Antiphon::builder().database("sqlite:./app.db").start().await?;
//! let app = axum::Router::new()
//!     .route("/", axum::routing::get(home))
//!     .merge(antiphon::router(&antiphon));
//! let listener = tokio::net::TcpListener::bind("127.0.0.1:8080").await?;
//! axum::serve(listener, app).await?;
//! # Ok(())
//! # }
//! ```
//!
//! Without more, tokens and the directory are antiphon's own (`antiphon token issue`, the HTTP API); an application
//! brings its own by [`Builder::authenticator`], [`Builder::directory`] and [`Builder::authorizer`]. A path of the
//! application's own middleware may also put an [`Identity`] into a request's extensions: then the upgrade needs no token.

mod admitting;
mod append_in;
mod builder;

pub use antiphon_axum::{HttpOptions, PeerAddress};
/// For implementing the traits here, without a dependency of one's own.
pub use async_trait::async_trait;
pub use uuid::Uuid;

pub use antiphon_core::{
    Access, Action, Appended, AuthError, Authenticator, Authorizer, Directory, Identity, Limits,
    MemberSettings, PublishHook, SeamError, Settings, TopicRule, TopicRules, UserState, Verdict,
};
pub use antiphon_protocol::{
    Content, Draft, Entry, Key, Position, ProjectId, Refusal, Signal, TenantId, Topic, TopicName, UserId,
    now_ms,
};
pub use antiphon_sql::AppendInError;
/// For transactions of one's own: [`Antiphon::append_in`] takes a connection of this version.
pub use antiphon_sql::sqlx;
pub use append_in::{AppendError, Receipt};
pub use builder::{Antiphon, Builder, StartError};

/// The guide and the README, whose code is compiled as it stands there.
#[cfg(doctest)]
mod pages {
    #[doc = include_str!("../../../docs/guide/axum.md")]
    pub enum Guide {}
    #[doc = include_str!("../../../README.md")]
    pub enum Readme {}
}

use axum::Router;

/// Everything: the socket, the HTTP API and operations.
pub fn router(antiphon: &Antiphon) -> Router {
    antiphon_axum::router(antiphon.doors())
}

/// `GET /ws` alone.
pub fn sockets_router(antiphon: &Antiphon) -> Router {
    antiphon_axum::sockets_router(antiphon.doors())
}

/// What is below `/api`.
pub fn api_router(antiphon: &Antiphon) -> Router {
    antiphon_axum::api_router(antiphon.doors())
}

/// `/health/...` and `/metrics`.
pub fn operations_router(antiphon: &Antiphon) -> Router {
    antiphon_axum::operations_router(antiphon.doors())
}
