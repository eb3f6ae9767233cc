//! Keys from a JWKS URL of the configuration: fetched with a deadline and a bound, kept, and fetched again
//! when they are old or a token names a `kid` that is not among them. The URL is never made from a token.

use std::{
    sync::Arc,
    time::{Duration, Instant},
};

use parking_lot::Mutex;
use url::Url;

use crate::{KeyError, VerifyKey};

/// Where keys are fetched, and how patiently.
#[derive(Debug, Clone)]
pub struct JwksSource {
    /// The address; `http` or `https`.
    pub url: Url,
    /// Until when the answer has to be there as a whole.
    pub timeout: Duration,
    /// The most bytes it may have.
    pub max_bytes: usize,
    /// At most one fetch in this time, whatever tokens come.
    pub min_interval: Duration,
    /// After this time the keys are fetched again.
    pub max_age: Duration,
}

impl JwksSource {
    /// With the usual patience.
    pub fn new(url: Url) -> Self {
        Self {
            url,
            timeout: Duration::from_secs(3),
            max_bytes: 256 * 1024,
            min_interval: Duration::from_secs(10),
            max_age: Duration::from_secs(300),
        }
    }
}

/// Why keys could not be fetched. Without the URL, in which there might be a password.
#[derive(Debug, thiserror::Error)]
pub enum JwksError {
    /// The client could not be made, or the URL is not one it can fetch.
    #[error("the JWKS URL must be http or https")]
    Url,
    /// No answer in time, or none at all.
    #[error("the JWKS could not be fetched: {0}")]
    Fetch(&'static str),
    /// An answer other than 200.
    #[error("the JWKS was answered with status {0}")]
    Status(u16),
    /// More bytes than are taken.
    #[error("the JWKS is larger than {0} bytes")]
    TooLarge(usize),
    /// Not a set with keys for us.
    #[error("the JWKS can't be used: {0}")]
    Keys(#[from] KeyError),
}

/// A cached JWKS.
pub struct Jwks {
    source: JwksSource,
    client: reqwest::Client,
    /// Guards the keys and what is known of the last fetch; no other lock is taken under it.
    state: Mutex<State>,
    /// Held across a fetch, so that there is one at a time.
    fetching: tokio::sync::Mutex<()>,
}

struct State {
    keys: Arc<[VerifyKey]>,
    fetched: Option<Instant>,
    tried: Option<Instant>,
    failed: bool,
}

/// What the cache can say of a token's key now.
pub(crate) enum Lookup {
    /// These might have signed it.
    Keys(Vec<VerifyKey>),
    /// None of the issuer's keys did.
    None,
    /// The issuer could not be asked.
    Unavailable,
}

impl Jwks {
    /// Not fetched yet: that happens at the first token, or by [`Jwks::refresh`].
    pub fn new(source: JwksSource) -> Result<Self, JwksError> {
        if !matches!(source.url.scheme(), "http" | "https") {
            return Err(JwksError::Url);
        }
        let client = reqwest::Client::builder()
            .timeout(source.timeout)
            // The address is meant as it stands: neither another that it points to, nor a proxy of the environment.
            .redirect(reqwest::redirect::Policy::none())
            .no_proxy()
            .build()
            .map_err(|_| JwksError::Url)?;
        let state = Mutex::new(State { keys: Arc::new([]), fetched: None, tried: None, failed: false });
        Ok(Self { source, client, state, fetching: tokio::sync::Mutex::new(()) })
    }

    /// Fetches the keys now, unless that was tried a moment ago.
    pub async fn refresh(&self) -> Result<(), JwksError> {
        let _one = self.fetching.lock().await;
        self.refresh_locked().await
    }

    pub(crate) async fn lookup(&self, fits: impl Fn(&VerifyKey) -> bool) -> Lookup {
        if self.is_old()
            && let Ok(_one) = self.fetching.try_lock()
        {
            self.log(self.refresh_locked().await);
        }
        if let Some(keys) = self.fitting(&fits) {
            return Lookup::Keys(keys);
        }
        // Unknown to us: perhaps the issuer has a new key. Whoever waited here for another's fetch looks first.
        let _one = self.fetching.lock().await;
        if self.fitting(&fits).is_none() {
            self.log(self.refresh_locked().await);
        }
        match self.fitting(&fits) {
            Some(keys) => Lookup::Keys(keys),
            None if self.state.lock().failed => Lookup::Unavailable,
            None => Lookup::None,
        }
    }

    fn fitting(&self, fits: impl Fn(&VerifyKey) -> bool) -> Option<Vec<VerifyKey>> {
        let keys = self.state.lock().keys.clone();
        let fitting: Vec<_> = keys.iter().filter(|key| fits(key)).cloned().collect();
        (!fitting.is_empty()).then_some(fitting)
    }

    fn is_old(&self) -> bool {
        self.state.lock().fetched.is_none_or(|fetched| fetched.elapsed() >= self.source.max_age)
    }

    /// The caller holds `fetching`.
    async fn refresh_locked(&self) -> Result<(), JwksError> {
        {
            let mut state = self.state.lock();
            if state.tried.is_some_and(|tried| tried.elapsed() < self.source.min_interval) {
                return Ok(());
            }
            state.tried = Some(Instant::now());
            // Until the answer is there: a caller who goes away in between leaves no false success.
            state.failed = true;
        }
        let keys = self.fetch().await?;
        let mut state = self.state.lock();
        state.keys = keys.into();
        state.fetched = Some(Instant::now());
        state.failed = false;
        Ok(())
    }

    async fn fetch(&self) -> Result<Vec<VerifyKey>, JwksError> {
        let mut answer = self.client.get(self.source.url.clone()).send().await.map_err(|e| why(&e))?;
        if answer.status() != reqwest::StatusCode::OK {
            return Err(JwksError::Status(answer.status().as_u16()));
        }
        let mut body = Vec::new();
        while let Some(chunk) = answer.chunk().await.map_err(|e| why(&e))? {
            if body.len() + chunk.len() > self.source.max_bytes {
                return Err(JwksError::TooLarge(self.source.max_bytes));
            }
            body.extend_from_slice(&chunk);
        }
        Ok(VerifyKey::from_fetched(&body)?)
    }

    fn log(&self, outcome: Result<(), JwksError>) {
        if let Err(error) = outcome {
            tracing::warn!(%error, host = self.source.url.host_str(), "keys could not be fetched; those known stay in use");
        }
    }
}

fn why(error: &reqwest::Error) -> JwksError {
    JwksError::Fetch(if error.is_timeout() {
        "no answer in time"
    } else if error.is_connect() {
        "no connection"
    } else {
        "the answer broke off"
    })
}
