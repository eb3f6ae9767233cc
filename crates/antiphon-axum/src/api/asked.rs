//! What a request without a body of its own says: the names in its path, and a query. What can't be read is a problem
//! document like any other.

use antiphon_protocol::Refusal;
use axum::{
    extract::{FromRequest, FromRequestParts, Path, Request},
    http::request::Parts,
};
use serde::de::DeserializeOwned;

use super::{
    body::Body,
    fields::{Fields, FromFields},
    query::{self, FromQuery, check_escapes},
};
use crate::problem::Problem;

/// The percent-decoded parts of a path.
pub(crate) struct Ids<T>(pub T);

impl<S: Send + Sync, T: DeserializeOwned + Send> FromRequestParts<S> for Ids<T> {
    type Rejection = Problem;

    async fn from_request_parts(parts: &mut Parts, state: &S) -> Result<Self, Problem> {
        check_escapes(parts.uri.path())?;
        let path = Path::from_request_parts(parts, state).await;
        path.map(|Path(ids)| Self(ids)).map_err(|_| Problem::invalid("the path's escapes are not UTF-8"))
    }
}

/// The query of a request without a body.
pub(crate) struct Asked<T>(pub T);

/// Neither query nor body.
pub(crate) struct Plain;

impl<S: Send + Sync, T: FromQuery> FromRequest<S> for Asked<T> {
    type Rejection = Problem;

    async fn from_request(request: Request, state: &S) -> Result<Self, Problem> {
        let asked = query::read(request.uri())?;
        let NoFields = Body::beside_query(request, state).await?;
        Ok(Self(asked))
    }
}

impl<S: Send + Sync> FromRequest<S> for Plain {
    type Rejection = Problem;

    async fn from_request(request: Request, state: &S) -> Result<Self, Problem> {
        let Body(NoFields) = Body::from_request(request, state).await?;
        Ok(Self)
    }
}

/// Of a body that has nothing to say: none, or `{}`, which many clients can't leave out.
struct NoFields;

impl FromFields for NoFields {
    fn from_fields(_: &mut Fields) -> Result<Self, Refusal> {
        Ok(Self)
    }
}
