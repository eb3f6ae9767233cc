//! What can go wrong, by what the caller can do about it.

use std::sync::Arc;

use antiphon_protocol::{Refusal, TerminateReason};

/// Why something did not happen.
#[derive(Debug, Clone, thiserror::Error)]
#[non_exhaustive]
pub enum Error {
    /// The server refused it. With `retry_after_ms` the same again is worth it; the client has tried until its
    /// deadline.
    #[error("refused: {0}")]
    Refused(Refusal),
    /// The server ended the connection for its identity; the client will not come back by itself.
    #[error("the server ended this identity: {}", reason.map_or("no reason given", TerminateReason::as_str))]
    Terminated {
        /// Why.
        reason: Option<TerminateReason>,
    },
    /// No answer in time. Whether it was done is not known; a publish with the same key is safe.
    #[error("no answer in time")]
    Timeout,
    /// There is no connection right now, and this can't wait for one.
    #[error("not connected")]
    Disconnected,
    /// As many publishes wait for their answers as may: wait for what is under way.
    #[error("{publishes} publishes of {bytes} bytes wait for their answers already")]
    QueueFull {
        /// How many wait.
        publishes: usize,
        /// Their bytes together.
        bytes: usize,
    },
    /// The client was closed.
    #[error("the client is closed")]
    Closed,
    /// This client has the topic already.
    #[error("this client is subscribed to {0} already")]
    AlreadySubscribed(String),
    /// An address that is not a WebSocket's.
    #[error("{url}: {why}")]
    Address {
        /// The address.
        url: String,
        /// What is wrong with it.
        why: &'static str,
    },
    /// The server answered the upgrade with another status: 401 a wrong token, 403 a foreign Origin, 503 full.
    #[error("the server answered the upgrade with status {0}")]
    Upgrade(u16),
    /// The socket failed.
    #[error("the connection failed: {0}")]
    Socket(#[source] Arc<tokio_websockets::Error>),
    /// The position store could not be read: to begin at the head instead would pass over what was missed.
    #[error("the kept position can't be read: {0}")]
    Positions(#[source] Arc<dyn std::error::Error + Send + Sync>),
    /// The token source failed.
    #[error("no token: {0}")]
    Token(#[source] Arc<dyn std::error::Error + Send + Sync>),
}

impl From<tokio_websockets::Error> for Error {
    fn from(error: tokio_websockets::Error) -> Self {
        match error {
            tokio_websockets::Error::Upgrade(tokio_websockets::upgrade::Error::DidNotSwitchProtocols(
                status,
            )) => Error::Upgrade(status),
            other => Error::Socket(Arc::new(other)),
        }
    }
}
