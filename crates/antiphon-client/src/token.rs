//! Where the token comes from: one that is given, or a source that is asked before each connection.

use std::{error::Error as StdError, fmt, future::Future, pin::Pin, sync::Arc};

use crate::Error;

type Fetched = Result<String, Box<dyn StdError + Send + Sync>>;
type Fetch = dyn Fn() -> Pin<Box<dyn Future<Output = Fetched> + Send>> + Send + Sync;

/// The token's origin.
#[derive(Clone)]
pub(crate) enum TokenSource {
    Fixed(String),
    Fetched(Arc<Fetch>),
}

impl TokenSource {
    pub(crate) fn fetched<F, E>(fetch: impl Fn() -> F + Send + Sync + 'static) -> Self
    where
        F: Future<Output = Result<String, E>> + Send + 'static,
        E: Into<Box<dyn StdError + Send + Sync>>,
    {
        TokenSource::Fetched(Arc::new(move || {
            let token = fetch();
            Box::pin(async move { token.await.map_err(Into::into) })
        }))
    }

    /// The token to show now.
    pub(crate) async fn token(&self) -> Result<String, Error> {
        match self {
            TokenSource::Fixed(token) => Ok(token.clone()),
            TokenSource::Fetched(fetch) => fetch().await.map_err(|error| Error::Token(Arc::from(error))),
        }
    }
}

impl fmt::Debug for TokenSource {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("TokenSource")
    }
}
