//! What a path and a query say; what can't be read is a problem document like any other.

use std::collections::BTreeMap;

use antiphon_protocol::Refusal;
use axum::{
    extract::{FromRequestParts, Path},
    http::request::Parts,
};
use serde::de::DeserializeOwned;

use super::fields::shown;
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

/// What is read from a query; each name stands there once, and no other does.
pub(crate) trait FromQuery: Sized {
    const NAMES: &'static [&'static str];

    fn from_query(values: BTreeMap<String, String>) -> Result<Self, Problem>;
}

/// The query.
pub(crate) struct Asked<T>(pub T);

impl<S: Send + Sync, T: FromQuery> FromRequestParts<S> for Asked<T> {
    type Rejection = Problem;

    async fn from_request_parts(parts: &mut Parts, _: &S) -> Result<Self, Problem> {
        let query = parts.uri.query().unwrap_or_default();
        check_escapes(query)?;
        let mut values = BTreeMap::new();
        for (name, value) in url::form_urlencoded::parse(query.as_bytes()) {
            if !T::NAMES.contains(&&*name) {
                let known: Vec<String> = T::NAMES.iter().map(|name| format!("`{name}`")).collect();
                let (name, known) = (shown(&name), known.join(", "));
                return Err(Problem::invalid(format!(
                    "the query: `{name}` is not known here; there are {known}"
                )));
            }
            if values.insert(name.clone().into_owned(), value.into_owned()).is_some() {
                return Err(Problem::invalid(format!("the query: `{name}` stands there twice")));
            }
        }
        T::from_query(values).map(Self)
    }
}

/// Decoders leave alone what is no escape: `%zz` would name what `%25zz` names.
fn check_escapes(text: &str) -> Result<(), Refusal> {
    let is_bad =
        |rest: &str| !matches!(rest.as_bytes(), [a, b, ..] if a.is_ascii_hexdigit() && b.is_ascii_hexdigit());
    if text.split('%').skip(1).any(is_bad) {
        return Err(Refusal::invalid("in a path or query a `%` must be followed by two hexadecimal digits"));
    }
    Ok(())
}
