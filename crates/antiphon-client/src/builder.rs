//! How a client is set up.

use std::{
    future::Future,
    sync::{Arc, OnceLock},
    time::Duration,
};

use http::{HeaderName, HeaderValue};
use tokio::sync::{mpsc, watch};
use tokio_rustls::rustls::ClientConfig;

use crate::{
    Client, Error, address,
    backoff::{Attempts, Backoff},
    dial::{DialError, Dialer},
    driver::Driver,
    interest::Interest,
    ledger::Ledger,
    token::TokenSource,
};

/// The most wishes that wait for the driver.
const WISHES_MAX: usize = 64;

/// Sets a client up; [`Client::builder`] begins.
#[derive(Debug)]
#[must_use]
pub struct ClientBuilder {
    urls: Vec<String>,
    token: TokenSource,
    headers: Vec<(HeaderName, HeaderValue)>,
    tls: Option<Arc<ClientConfig>>,
    backoff: Backoff,
    connect_timeout: Duration,
    ask_timeout: Duration,
    silence: Duration,
    queue: usize,
}

impl ClientBuilder {
    pub(crate) fn new(url: String) -> Self {
        Self {
            urls: vec![url],
            token: TokenSource::Fixed(String::new()),
            headers: Vec::new(),
            tls: None,
            backoff: Backoff::default(),
            connect_timeout: Duration::from_secs(10),
            ask_timeout: Duration::from_secs(30),
            silence: Duration::from_secs(35),
            queue: 1024,
        }
    }

    /// Another node; they are tried in turn.
    pub fn url(mut self, url: impl Into<String>) -> Self {
        self.urls.push(url.into());
        self
    }

    /// The token that says who this is.
    pub fn token(mut self, token: impl Into<String>) -> Self {
        self.token = TokenSource::Fixed(token.into());
        self
    }

    /// Where the token comes from: asked before each connection, so that one which ends can be renewed.
    pub fn token_source<F, E>(mut self, fetch: impl Fn() -> F + Send + Sync + 'static) -> Self
    where
        F: Future<Output = Result<String, E>> + Send + 'static,
        E: Into<Box<dyn std::error::Error + Send + Sync>>,
    {
        self.token = TokenSource::fetched(fetch);
        self
    }

    /// A header of the upgrade: an Origin, or an Authorization in place of a token.
    pub fn header(mut self, name: HeaderName, value: HeaderValue) -> Self {
        self.headers.push((name, value));
        self
    }

    /// What `wss` trusts, in place of the roots that browsers trust.
    pub fn tls(mut self, config: Arc<ClientConfig>) -> Self {
        self.tls = Some(config);
        self
    }

    /// How long to stay away after a loss.
    pub fn backoff(mut self, backoff: Backoff) -> Self {
        self.backoff = backoff;
        self
    }

    /// How long one node may take until it has answered the token: 10 s.
    pub fn connect_timeout(mut self, timeout: Duration) -> Self {
        self.connect_timeout = timeout;
        self
    }

    /// How long an ask may take, reconnects included: 30 s.
    pub fn ask_timeout(mut self, timeout: Duration) -> Self {
        self.ask_timeout = timeout;
        self
    }

    /// After what silence a connection counts as dead: 35 s, for the server pings every 25 s.
    pub fn silence(mut self, silence: Duration) -> Self {
        self.silence = silence;
        self
    }

    /// How many events may wait in each subscription: 1024.
    pub fn queue(mut self, events: usize) -> Self {
        self.queue = events.max(1);
        self
    }

    /// Connects and shows the token, to each node once; after that the client comes back by itself.
    pub async fn connect(self) -> Result<Client, Error> {
        let urls = self.urls.iter().map(|url| address::parse(url)).collect::<Result<Vec<_>, _>>()?;
        let nodes = urls.len();
        let mut dialer = Dialer {
            urls,
            turn: 0,
            token: self.token,
            ended: None,
            shown: None,
            headers: self.headers,
            tls: self.tls,
            connect_timeout: self.connect_timeout,
            silence: self.silence,
        };
        let mut failure = Error::Disconnected;
        for _ in 0..nodes {
            match dialer.dial().await {
                Ok(line) => {
                    let (wishes, taken) = mpsc::channel(WISHES_MAX);
                    let (closing, close) = watch::channel(false);
                    let end = Arc::new(OnceLock::new());
                    let driver = Driver {
                        dialer,
                        attempts: Attempts::new(self.backoff),
                        wishes: taken,
                        closing: close,
                        end: Arc::clone(&end),
                        ledger: Ledger::new(),
                        interest: Interest::default(),
                        resume_again: None,
                    };
                    // It ends with the last handle: the driver sees its channels closed.
                    tokio::spawn(driver.run(line));
                    return Ok(Client::new(wishes, closing, end, self.ask_timeout, self.queue));
                }
                Err(DialError::Terminated(reason)) => return Err(Error::Terminated { reason }),
                Err(DialError::Again(error, _)) => failure = error,
            }
        }
        Err(failure)
    }
}

impl Client {
    /// Begins with the address of a node: `ws`, `wss`, `http` or `https`; without a path it means `/ws`.
    pub fn builder(url: impl Into<String>) -> ClientBuilder {
        ClientBuilder::new(url.into())
    }
}
