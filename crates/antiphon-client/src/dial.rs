//! From an address to a line whose identity is proved: connect, upgrade, show the token, wait for the answer.

use std::{sync::Arc, time::Duration};

use antiphon_protocol::{CloseCode, TerminateReason};
use http::{HeaderName, HeaderValue, Uri};
use tokio::time::timeout;
use tokio_rustls::{
    TlsConnector,
    rustls::{ClientConfig, RootCertStore, crypto::aws_lc_rs},
};
use tokio_websockets::{ClientBuilder as Upgrade, Connector, Limits};

use crate::{
    Error,
    ask::Ask,
    line::{Heard, Line, Socket},
    says::{Answer, Says},
    token::TokenSource,
};

/// The most bytes of a frame that is taken: a page of history is 256 KiB and a little.
const MAX_FRAME_BYTES: usize = 1024 * 1024;

/// Connects to one node after the other.
pub(crate) struct Dialer {
    pub(crate) urls: Vec<Uri>,
    pub(crate) turn: usize,
    pub(crate) token: TokenSource,
    /// The token that has ended: to show it again is not worth it.
    pub(crate) ended: Option<String>,
    pub(crate) shown: Option<String>,
    pub(crate) headers: Vec<(HeaderName, HeaderValue)>,
    pub(crate) tls: Option<Arc<ClientConfig>>,
    pub(crate) connect_timeout: Duration,
    pub(crate) silence: Duration,
}

/// Why a node could not be reached.
#[derive(Debug)]
pub(crate) enum DialError {
    /// Worth another try; after this time if the server said one.
    Again(Error, Option<Duration>),
    /// Final.
    Terminated(Option<TerminateReason>),
}

impl From<Error> for DialError {
    fn from(error: Error) -> Self {
        DialError::Again(error, None)
    }
}

impl Dialer {
    /// Connects to the next node.
    pub(crate) async fn dial(&mut self) -> Result<Line, DialError> {
        let uri = self.urls[self.turn % self.urls.len()].clone();
        self.turn = (self.turn + 1) % self.urls.len();
        timeout(self.connect_timeout, self.dial_to(uri)).await.unwrap_or(Err(Error::Timeout.into()))
    }

    async fn dial_to(&mut self, uri: Uri) -> Result<Line, DialError> {
        let token = self.token.token().await?;
        if self.ended.as_ref() == Some(&token) {
            return Err(DialError::Terminated(Some(TerminateReason::TokenExpired)));
        }
        let socket = open(&uri, &self.headers, self.tls.as_ref()).await?;
        let mut line = Line::new(socket, uri.to_string(), self.silence);
        line.say(Ask::ping(&token).encode(Some(0)));
        self.shown = Some(token);
        loop {
            let text = match line.next(true).await {
                Heard::Text(text) => text,
                Heard::End(Some(code)) if code == CloseCode::Terminated.number() => {
                    return Err(DialError::Terminated(None));
                }
                Heard::End(_) => return Err(Error::Disconnected.into()),
            };
            match Says::parse(&text) {
                Some(Says::Answer { reference: Some(0), answer: Ok(Answer::Pong) }) => break,
                Some(Says::Answer { reference: Some(0), answer: Err(refusal) }) => {
                    let after = refusal.retry_after_ms.map(Duration::from_millis);
                    return Err(DialError::Again(Error::Refused(refusal), after));
                }
                Some(Says::Terminate { reason }) => return Err(DialError::Terminated(reason)),
                _ => {}
            }
        }
        self.ended = None;
        Ok(line)
    }
}

/// Opens a WebSocket.
pub(crate) async fn open(
    uri: &Uri,
    headers: &[(HeaderName, HeaderValue)],
    tls: Option<&Arc<ClientConfig>>,
) -> Result<Socket, Error> {
    let connector = match uri.scheme_str() {
        Some("wss") => Connector::Rustls(TlsConnector::from(match tls {
            Some(config) => config.clone(),
            None => public_tls(),
        })),
        _ => Connector::Plain,
    };
    let limits = Limits::default().max_payload_len(Some(MAX_FRAME_BYTES));
    let mut upgrade = Upgrade::from_uri(uri.clone()).connector(&connector).limits(limits);
    for (name, value) in headers {
        upgrade = upgrade.add_header(name.clone(), value.clone())?;
    }
    let (socket, _) = upgrade.connect().await?;
    if let tokio_websockets::MaybeTlsStream::Plain(stream) = socket.get_ref() {
        // Small frames that wait for each other's acknowledgement would be late for nothing.
        stream.set_nodelay(true).map_err(|error| Error::from(tokio_websockets::Error::Io(error)))?;
    }
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
