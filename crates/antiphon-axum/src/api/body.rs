//! A request's body as JSON: bounded, not nested too deep, nothing in it that is not known.

use antiphon_protocol::check_nesting;
use axum::{
    extract::{FromRequest, Request},
    http::StatusCode,
};
use bytes::Bytes;
use serde::de::DeserializeOwned;

use crate::problem::Problem;

/// A body that was read.
pub(crate) struct Body<T>(pub T);

impl<S: Send + Sync, T: DeserializeOwned> FromRequest<S> for Body<T> {
    type Rejection = Problem;

    async fn from_request(request: Request, state: &S) -> Result<Self, Problem> {
        let bytes = Bytes::from_request(request, state).await.map_err(|rejection| {
            if rejection.status() == StatusCode::PAYLOAD_TOO_LARGE {
                Problem::new(StatusCode::PAYLOAD_TOO_LARGE, "TOO_LARGE", "the body is over the limit")
            } else {
                Problem::invalid("the body could not be read")
            }
        })?;
        let text = std::str::from_utf8(&bytes).map_err(|_| Problem::invalid("the body is not UTF-8"))?;
        if !check_nesting(text) {
            return Err(Problem::invalid("the JSON is nested more than 32 deep"));
        }
        // An empty body is an empty object: PUTs without settings need none.
        let text = if text.trim().is_empty() { "{}" } else { text };
        serde_json::from_str(text)
            .map(Self)
            .map_err(|error| Problem::invalid(format!("the body: {}", told(&error))))
    }
}

/// What is wrong, without the text that stands there: it may be a secret in the wrong place, and answers are logged.
fn told(error: &serde_json::Error) -> String {
    let text = error.to_string();
    match text.split_once('"').and_then(|(before, rest)| Some((before, rest.rsplit_once('"')?.1))) {
        Some((before, after)) => format!("{}{after}", before.trim_end()),
        None => text,
    }
}
