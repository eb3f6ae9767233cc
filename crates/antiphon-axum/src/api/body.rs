//! A request's body as JSON: bounded, not nested too deep, nothing in it that is not known.

use antiphon_protocol::{Refusal, check_nesting};
use axum::{
    extract::{FromRequest, Request},
    http::StatusCode,
};
use bytes::Bytes;

use super::{
    fields::{self, FromFields},
    query::{self, NoQuery},
};
use crate::problem::Problem;

/// A body that is one object; an empty one has no fields: PUTs without settings need none.
pub(crate) struct Body<T>(pub T);

/// A body that is an array of objects.
pub(crate) struct Bodies<T>(pub Vec<T>);

impl<S: Send + Sync, T: FromFields> FromRequest<S> for Body<T> {
    type Rejection = Problem;

    async fn from_request(request: Request, state: &S) -> Result<Self, Problem> {
        let NoQuery = query::read(request.uri())?;
        Body::beside_query(request, state).await.map(Self)
    }
}

impl<T: FromFields> Body<T> {
    /// Of a request whose query is another's to read.
    pub async fn beside_query<S: Send + Sync>(request: Request, state: &S) -> Result<T, Problem> {
        let bytes = received(request, state).await?;
        let text = text(&bytes)?;
        let text = if text.trim().is_empty() { "{}" } else { text };
        fields::object(text).map_err(of_body)
    }
}

impl<S: Send + Sync, T: FromFields> FromRequest<S> for Bodies<T> {
    type Rejection = Problem;

    async fn from_request(request: Request, state: &S) -> Result<Self, Problem> {
        let NoQuery = query::read(request.uri())?;
        let bytes = received(request, state).await?;
        fields::array(text(&bytes)?).map(Self).map_err(of_body)
    }
}

async fn received<S: Send + Sync>(request: Request, state: &S) -> Result<Bytes, Problem> {
    Bytes::from_request(request, state).await.map_err(|rejection| {
        if rejection.status() == StatusCode::PAYLOAD_TOO_LARGE {
            Refusal::too_large("the body is over the limit").into()
        } else {
            Problem::invalid("the body could not be read")
        }
    })
}

fn text(bytes: &Bytes) -> Result<&str, Problem> {
    let text = std::str::from_utf8(bytes).map_err(|_| Problem::invalid("the body is not UTF-8"))?;
    // Around what an entry says are the entry and, where there are several, their array.
    if check_nesting(text, 2) {
        Ok(text)
    } else {
        Err(Problem::invalid("the JSON is nested too deep: a `body` may be 32 deep"))
    }
}

fn of_body(refusal: Refusal) -> Problem {
    Refusal { text: format!("the body: {}", refusal.text), ..refusal }.into()
}
