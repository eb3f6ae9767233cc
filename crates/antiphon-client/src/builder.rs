//! How a client is set up.

use std::{
    future::Future,
    sync::{Arc, OnceLock},
    time::Duration,
};

use http::{HeaderName, HeaderValue};
use tokio::sync::{Notify, mpsc, watch};
use tokio_rustls::rustls::ClientConfig;

use crate::{
    Client, Error, address,
    backoff::{Attempts, Backoff},
    client::Shared,
    dial::{DialError, Dialer, Way},
    driver::{Driver, Ends},
    inbox::InboxBounds,
    line::Line,
    outbox::{Outbox, OutboxBounds},
    positions::PositionStore,
    state::State,
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
    inbox: InboxBounds,
    outbox: OutboxBounds,
    handover: Duration,
    positions: Option<Arc<dyn PositionStore>>,
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
            inbox: InboxBounds { events: 1024, bytes: 4 * 1024 * 1024 },
            outbox: OutboxBounds {
                publishes: 1000,
                bytes: 8 * 1024 * 1024,
                window: 1,
                timeout: Duration::from_secs(600),
            },
            handover: Duration::from_secs(10),
            positions: None,
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

    /// Where the token comes from: asked before each connection, and shortly before a token ends; a fresh
    /// one is then shown on the connection that holds.
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

    /// How long history, presence, and the beginning and end of a subscription may take, reconnects included: 30 s.
    pub fn ask_timeout(mut self, timeout: Duration) -> Self {
        self.ask_timeout = timeout;
        self
    }

    /// After what silence a connection counts as dead: 35 s, for the server pings every 25 s.
    pub fn silence(mut self, silence: Duration) -> Self {
        self.silence = silence;
        self
    }

    /// Events of a subscription that may wait for their reader, and their bytes together, of which the last may go over
    /// it: 1024, 4 MiB. Over it a topic rests until there is room, and goes on from there.
    pub fn inbox(mut self, events: usize, bytes: usize) -> Self {
        self.inbox = InboxBounds { events: events.max(1), bytes: bytes.max(1) };
        self
    }

    /// Publishes that may wait for their answers, and their bytes together: 1000, 8 MiB.
    pub fn publish_queue(mut self, publishes: usize, bytes: usize) -> Self {
        (self.outbox.publishes, self.outbox.bytes) = (publishes, bytes);
        self
    }

    /// Publishes of one topic that may be under way at once: 1. More is faster, and their order holds but where one is
    /// refused for now.
    pub fn publish_window(mut self, publishes: usize) -> Self {
        self.outbox.window = publishes.max(1);
        self
    }

    /// How long a publish may take from the call to the answer, being offline included: 10 min.
    pub fn publish_timeout(mut self, timeout: Duration) -> Self {
        self.outbox.timeout = timeout;
        self
    }

    /// How long an old connection may stay beside its successor: 10 s.
    pub fn handover_timeout(mut self, timeout: Duration) -> Self {
        self.handover = timeout;
        self
    }

    /// Where positions are kept once their events were dealt with, and taken from by a subscription.
    pub fn positions(mut self, store: impl PositionStore + 'static) -> Self {
        self.positions = Some(Arc::new(store));
        self
    }

    /// Connects and shows the token, to each node once; after that the client comes back by itself.
    pub async fn connect(self) -> Result<Client, Error> {
        let mut dialer = self.dialer()?;
        let mut failure = Error::Disconnected;
        let mut left = self.urls.len();
        while left > 0 {
            left -= 1;
            match dialer.dial().await {
                Ok(line) => return Ok(self.run(dialer, Some(line))),
                Err(DialError::Terminated(reason, shown)) => {
                    failure = Error::Terminated { reason };
                    if !dialer.may_renew(reason, shown) {
                        return Err(failure);
                    }
                    left += 1;
                }
                Err(DialError::Again(error, _)) => failure = error,
            }
        }
        Err(failure)
    }

    /// Begins to connect, and does not wait for it: what is asked before waits.
    ///
    /// To be called within a tokio runtime.
    pub fn start(self) -> Result<Client, Error> {
        let dialer = self.dialer()?;
        Ok(self.run(dialer, None))
    }

    fn dialer(&self) -> Result<Dialer, Error> {
        Ok(Dialer::new(Way {
            urls: self.urls.iter().map(|url| address::parse(url)).collect::<Result<_, _>>()?,
            token: self.token.clone(),
            headers: self.headers.clone(),
            tls: self.tls.clone(),
            connect_timeout: self.connect_timeout,
            silence: self.silence,
        }))
    }

    fn run(self, dialer: Dialer, line: Option<Line>) -> Client {
        let (wishes, taken) = mpsc::channel(WISHES_MAX);
        let (closing, close) = watch::channel(false);
        let url = line.as_ref().map_or_else(|| dialer.next_url().to_string(), |line| line.url.clone());
        let (state, shown) = watch::channel(State::Connecting { url });
        let end = Arc::new(OnceLock::new());
        let stir = Arc::new(Notify::new());
        let outbox = Arc::new(Outbox::new(self.outbox, Arc::clone(&stir)));
        let ends = Ends {
            wishes: taken,
            closing: close,
            state,
            end: Arc::clone(&end),
            stir: Arc::clone(&stir),
            outbox: Arc::clone(&outbox),
        };
        let driver = Driver::new(ends, dialer, Attempts::new(self.backoff), self.handover);
        // It ends with the last handle: the driver sees its channels closed.
        tokio::spawn(driver.run(line));
        let (ask_timeout, inbox, positions) = (self.ask_timeout, self.inbox, self.positions);
        let shared =
            Shared { wishes, closing, state: shown, end, stir, outbox, ask_timeout, inbox, positions };
        Client { shared: Arc::new(shared) }
    }
}

impl Client {
    /// Begins with the address of a node: `ws`, `wss`, `http` or `https`; without a path it means `/ws`.
    pub fn builder(url: impl Into<String>) -> ClientBuilder {
        ClientBuilder::new(url.into())
    }
}
