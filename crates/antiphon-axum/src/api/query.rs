//! What stands behind a path: each name once, and no other than those that are known there.

use std::collections::BTreeMap;

use antiphon_protocol::Refusal;
use axum::http::Uri;

use super::fields::not_known;
use crate::problem::Problem;

/// What is read from a query.
pub(crate) trait FromQuery: Sized + Send {
    const NAMES: &'static [&'static str];

    fn from_query(values: BTreeMap<String, String>) -> Result<Self, Problem>;
}

/// Of a path that takes no query.
pub(crate) struct NoQuery;

impl FromQuery for NoQuery {
    const NAMES: &'static [&'static str] = &[];

    fn from_query(_: BTreeMap<String, String>) -> Result<Self, Problem> {
        Ok(Self)
    }
}

/// Reads the query.
pub(crate) fn read<T: FromQuery>(uri: &Uri) -> Result<T, Problem> {
    let query = uri.query().unwrap_or_default();
    check_escapes(query)?;
    let mut values = BTreeMap::new();
    for (name, value) in url::form_urlencoded::parse(query.as_bytes()) {
        if !T::NAMES.contains(&&*name) {
            return Err(Problem::invalid(format!("the query: {}", not_known(&name, T::NAMES))));
        }
        if values.insert(name.clone().into_owned(), value.into_owned()).is_some() {
            return Err(Problem::invalid(format!("the query: `{name}` stands there twice")));
        }
    }
    T::from_query(values)
}

/// Decoders leave alone what is no escape: `%zz` would name what `%25zz` names.
pub(crate) fn check_escapes(text: &str) -> Result<(), Refusal> {
    let is_bad =
        |rest: &str| !matches!(rest.as_bytes(), [a, b, ..] if a.is_ascii_hexdigit() && b.is_ascii_hexdigit());
    if text.split('%').skip(1).any(is_bad) {
        return Err(Refusal::invalid("in a path or query a `%` must be followed by two hexadecimal digits"));
    }
    Ok(())
}
