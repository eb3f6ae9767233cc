//! From an address to a line whose identity is proved: connect, upgrade, show the token, wait for the answer.

use std::{sync::Arc, time::Duration};

use antiphon_protocol::{CloseCode, TerminateReason};
use futures_util::future::BoxFuture;
use http::{HeaderName, HeaderValue, Uri};
use tokio::{net::TcpStream, time::timeout};
use tokio_rustls::{
    TlsConnector,
    rustls::{ClientConfig, RootCertStore, crypto::aws_lc_rs},
};
use tokio_websockets::{ClientBuilder as Upgrade, Connector, Limits};

use crate::{
    Error,
    ask::Ask,
    head::{Head, Watched},
    line::{Heard, Line, Socket},
    lines::LineId,
    says::{Answer, Says},
    token::TokenSource,
};

/// The most bytes of a frame that is taken: a page of history is 256 KiB and a little.
const MAX_FRAME_BYTES: usize = 1024 * 1024;

/// Connects to one node after the other.
pub(crate) struct Dialer {
    pub(crate) way: Arc<Way>,
    turn: usize,
    next_line: LineId,
    /// The token that was refused, and as what: to show it again is not worth it.
    refused: Option<(TerminateReason, String)>,
    /// A fresh token was asked for, and no node has taken it yet.
    renewed: bool,
}

/// How a node is connected to.
pub(crate) struct Way {
    pub(crate) urls: Vec<Uri>,
    pub(crate) token: TokenSource,
    pub(crate) headers: Vec<(HeaderName, HeaderValue)>,
    pub(crate) tls: Option<Arc<ClientConfig>>,
    pub(crate) connect_timeout: Duration,
    pub(crate) silence: Duration,
}

/// A try that is under way.
pub(crate) type Dialing = BoxFuture<'static, Result<Line, DialError>>;

/// Why a node could not be reached.
#[derive(Debug)]
pub(crate) enum DialError {
    /// Worth another try; after this time if the server said one.
    Again(Error, Option<Duration>),
    /// The identity has ended; the token that was shown.
    Terminated(Option<TerminateReason>, Option<String>),
}

impl From<Error> for DialError {
    fn from(error: Error) -> Self {
        DialError::Again(error, None)
    }
}

impl Dialer {
    pub(crate) fn new(way: Way) -> Self {
        Self { way: Arc::new(way), turn: 0, next_line: 0, refused: None, renewed: false }
    }

    /// The address of the next node.
    pub(crate) fn next_url(&self) -> &Uri {
        &self.way.urls[self.turn % self.way.urls.len()]
    }

    /// Connects to the next node.
    pub(crate) fn dial(&mut self) -> Dialing {
        let uri = self.next_url().clone();
        self.turn = (self.turn + 1) % self.way.urls.len();
        self.next_line += 1;
        let (way, id, refused) = (Arc::clone(&self.way), self.next_line, self.refused.clone());
        Box::pin(async move {
            let dialed = timeout(way.connect_timeout, way.dial(&uri, id, refused));
            dialed.await.unwrap_or(Err(Error::Timeout.into()))
        })
    }

    /// The next try goes to this node; false: it is none of its own.
    pub(crate) fn turn_to(&mut self, uri: &Uri) -> bool {
        let at = self.way.urls.iter().position(|url| url == uri);
        self.turn = at.unwrap_or(self.turn);
        at.is_some()
    }

    /// Whether a fresh token may help: once, until a node has greeted.
    pub(crate) fn may_renew(&mut self, reason: Option<TerminateReason>, shown: Option<String>) -> bool {
        let fetched = matches!(self.way.token, TokenSource::Fetched(_));
        let reason =
            reason.filter(|why| matches!(why, TerminateReason::TokenExpired | TerminateReason::InvalidToken));
        let Some(reason) = reason.filter(|_| fetched && !self.renewed) else { return false };
        (self.renewed, self.refused) = (true, shown.map(|token| (reason, token)));
        true
    }

    /// A node has greeted.
    pub(crate) fn greeted(&mut self) {
        (self.renewed, self.refused) = (false, None);
    }
}

impl Way {
    /// A fresh token, where there is a source of them.
    pub(crate) fn fetch(&self) -> Option<BoxFuture<'static, Result<String, Error>>> {
        let (source, wait) = (self.token.clone(), self.connect_timeout);
        matches!(source, TokenSource::Fetched(_)).then_some(Box::pin(async move {
            timeout(wait, source.token()).await.unwrap_or(Err(Error::Timeout))
        }))
    }

    async fn dial(
        &self,
        uri: &Uri,
        id: LineId,
        refused: Option<(TerminateReason, String)>,
    ) -> Result<Line, DialError> {
        let token = self.token.token().await?;
        if let Some((reason, _)) = refused.filter(|(_, again)| *again == token) {
            return Err(DialError::Terminated(Some(reason), None));
        }
        let head = Head::default();
        let opened = open(uri, &self.headers, self.tls.as_ref(), &head).await;
        let socket = opened.map_err(|error| {
            // Where there are others the next is tried, which that node does not speak for.
            let after = (self.urls.len() == 1).then(|| head.retry_after()).flatten();
            DialError::Again(error, after)
        })?;
        let mut line = Line::new(socket, id, token, uri.to_string(), self.silence);
        line.say(Ask::ping(&line.token).encode(Some(0)));
        loop {
            let text = match line.next().await {
                Heard::Text(text) => text,
                Heard::End(Some(code)) if code == CloseCode::Terminated.number() => {
                    return Err(DialError::Terminated(None, None));
                }
                Heard::End(_) => return Err(Error::Disconnected.into()),
            };
            match Says::parse(&text) {
                Some(Says::Answer { reference: Some(0), answer: Ok(Answer::Pong) }) => return Ok(line),
                Some(Says::Answer { reference: Some(0), answer: Err(refusal) }) => {
                    let after = refusal.retry_after_ms.map(Duration::from_millis);
                    return Err(DialError::Again(Error::Refused(refusal), after));
                }
                Some(Says::Terminate { reason }) => {
                    return Err(DialError::Terminated(reason, Some(line.token)));
                }
                _ => {}
            }
        }
    }
}

/// Opens a WebSocket; in `head` stands what the server answered if it did not.
pub(crate) async fn open(
    uri: &Uri,
    headers: &[(HeaderName, HeaderValue)],
    tls: Option<&Arc<ClientConfig>>,
    head: &Head,
) -> Result<Socket, Error> {
    let connector = match uri.scheme_str() {
        Some("wss") => Connector::Rustls(TlsConnector::from(match tls {
            Some(config) => config.clone(),
            None => public_tls(),
        })),
        _ => Connector::Plain,
    };
    let limits = Limits::default().max_payload_len(Some(MAX_FRAME_BYTES));
    let mut upgrade = Upgrade::from_uri(uri.clone()).limits(limits);
    for (name, value) in headers {
        upgrade = upgrade.add_header(name.clone(), value.clone())?;
    }
    let io = |error| Error::from(tokio_websockets::Error::Io(error));
    let host = uri.host().unwrap_or_default().trim_start_matches('[').trim_end_matches(']');
    let port = uri.port_u16().unwrap_or(if uri.scheme_str() == Some("wss") { 443 } else { 80 });
    let stream = TcpStream::connect((host, port)).await.map_err(io)?;
    // Small frames that wait for each other's acknowledgement would be late for nothing.
    stream.set_nodelay(true).map_err(io)?;
    let stream = connector.wrap(host, stream).await?;
    let (mut socket, _) = upgrade.connect_on(Watched::new(stream, head.clone())).await?;
    socket.get_mut().look_away();
    Ok(socket)
}

/// TLS that trusts what browsers trust.
fn public_tls() -> Arc<ClientConfig> {
    let roots = RootCertStore { roots: webpki_roots::TLS_SERVER_ROOTS.to_vec() };
    let config = ClientConfig::builder_with_provider(Arc::new(aws_lc_rs::default_provider()))
        .with_safe_default_protocol_versions()
        .expect("the provider has the protocol's own versions")
        .with_root_certificates(roots)
        .with_no_client_auth();
    Arc::new(config)
}
