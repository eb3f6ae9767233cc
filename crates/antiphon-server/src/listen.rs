//! The door: accepts connections, bounds what is half open, and serves HTTP on them until they are upgraded.
//! Plain sockets reach the router unwrapped, so that an upgrade can hand the raw socket on.

use std::{
    convert::Infallible,
    io,
    net::{SocketAddr, ToSocketAddrs},
    pin::pin,
    sync::{
        Arc,
        atomic::{AtomicBool, Ordering},
    },
    time::Duration,
};

use antiphon_axum::HalfOpen;
use antiphon_core::{Limits, Tasks};
use axum::{Router, body::Body, extract::ConnectInfo};
use hyper::{Request, Version, body::Incoming, service::service_fn};
use hyper_util::{
    rt::{TokioExecutor, TokioIo, TokioTimer},
    server::conn::auto,
};
use parking_lot::Mutex;
use tokio::{
    io::{AsyncRead, AsyncWrite},
    net::{TcpListener, TcpStream},
    time::{Instant, sleep, sleep_until, timeout},
};
use tokio_rustls::TlsAcceptor;
use tokio_util::sync::CancellationToken;
use tower::ServiceExt;

use crate::{
    files,
    slots::{Full, Slot, Slots},
    words,
};

const BACKLOG: i32 = 4096;
/// How long a connection may stay open between two requests, as most proxies have it.
const KEEP_ALIVE: Duration = Duration::from_secs(75);
/// After an accept that failed for want of file descriptors.
const PAUSE: Duration = Duration::from_millis(100);
/// Without such a failure for so long, all is well again.
const CALM: Duration = Duration::from_secs(1);

/// An address that can't be listened on, in words.
#[derive(Debug, thiserror::Error)]
#[error("can't listen on {address}: {why}")]
pub struct ListenError {
    address: String,
    why: String,
}

/// Listens.
pub fn bind(address: &str) -> Result<TcpListener, ListenError> {
    let fail = |error: &io::Error| ListenError { address: address.to_owned(), why: words::of_address(error) };
    let mut last = io::Error::other("the name has no address");
    for candidate in address.to_socket_addrs().map_err(|error| fail(&error))? {
        match bind_one(candidate) {
            Ok(listener) => return Ok(listener),
            Err(error) => last = error,
        }
    }
    Err(fail(&last))
}

fn bind_one(address: SocketAddr) -> io::Result<TcpListener> {
    let socket = socket2::Socket::new(
        socket2::Domain::for_address(address),
        socket2::Type::STREAM,
        Some(socket2::Protocol::TCP),
    )?;
    // So that a restart finds its port free though old connections linger in TIME_WAIT.
    socket.set_reuse_address(true)?;
    socket.set_nonblocking(true)?;
    socket.bind(&address.into())?;
    socket.listen(BACKLOG)?;
    TcpListener::from_std(socket.into())
}

/// Serves HTTP on what comes.
#[derive(Clone)]
pub struct Door {
    router: Router,
    tls: Option<TlsAcceptor>,
    slots: Slots,
    http: auto::Builder<TokioExecutor>,
    handshake_timeout: Duration,
    /// Cancelled: no more requests on open connections.
    end: CancellationToken,
}

impl Door {
    /// To this router.
    pub fn new(router: Router, tls: Option<TlsAcceptor>, slots: Slots, limits: &Limits) -> Self {
        let mut http = auto::Builder::new(TokioExecutor::new());
        let head_bytes = limits.head_bytes;
        http.http1()
            .timer(TokioTimer::new())
            .header_read_timeout(KEEP_ALIVE)
            .max_headers(limits.headers)
            .max_buf_size(head_bytes);
        http.http2()
            .timer(TokioTimer::new())
            .keep_alive_interval(Some(limits.keep_alive))
            .keep_alive_timeout(limits.pong_timeout)
            .max_header_list_size(u32::try_from(head_bytes).unwrap_or(u32::MAX))
            .max_concurrent_streams(100)
            .enable_connect_protocol();
        let handshake_timeout = limits.handshake_timeout;
        Self { router, tls, slots, http, handshake_timeout, end: CancellationToken::new() }
    }

    /// Lets open connections finish their request and close.
    pub fn end(&self) {
        self.end.cancel();
    }

    /// Accepts until told to stop.
    pub async fn accept(self, listener: TcpListener, tasks: Tasks, stop: CancellationToken) {
        let mut calm_at = None;
        loop {
            let accepted = if files::has_room(&listener) {
                tokio::select! {
                    () = stop.cancelled() => return,
                    () = sleep_until(calm_at.unwrap_or_else(Instant::now)), if calm_at.is_some() => {
                        tracing::info!("connections are accepted again");
                        calm_at = None;
                        continue;
                    }
                    accepted = listener.accept() => accepted,
                }
            } else {
                // What waits stays where it is: the files that are left are for the database and Redis.
                Err(io::Error::other("too many files are open"))
            };
            match accepted {
                Ok((socket, peer)) => self.admit(socket, peer, &tasks),
                // Of that one connection: its client went away before it was accepted.
                Err(error) if is_of_the_peer(&error) => {}
                Err(error) => {
                    if calm_at.is_none() {
                        tracing::error!(%error, "connections can't be accepted for now; is the limit of open files too low?");
                    }
                    calm_at = Some(Instant::now() + CALM);
                    tokio::select! {
                        () = stop.cancelled() => return,
                        () = sleep(PAUSE) => {}
                    }
                }
            }
        }
    }

    fn admit(&self, socket: TcpStream, peer: SocketAddr, tasks: &Tasks) {
        let slot = match self.slots.take(peer.ip()) {
            Ok(slot) => slot,
            Err(Full::Address) => {
                tracing::debug!(%peer, "refused: too many half-open connections from this address");
                return;
            }
            Err(Full::All) => {
                tracing::debug!(%peer, "refused: too many half-open connections");
                return;
            }
        };
        if let Err(error) = socket.set_nodelay(true) {
            tracing::debug!(%error, %peer, "the connection was gone at once");
            return;
        }
        let door = self.clone();
        tasks.spawn(async move {
            match door.tls.clone() {
                None => door.converse(socket, peer, slot).await,
                Some(tls) => match timeout(door.handshake_timeout, tls.accept(socket)).await {
                    Ok(Ok(socket)) => door.converse(socket, peer, slot).await,
                    Ok(Err(error)) => tracing::debug!(%error, %peer, "no TLS"),
                    Err(_) => tracing::debug!(%peer, "no TLS in time"),
                },
            }
        });
    }

    async fn converse(
        self,
        socket: impl AsyncRead + AsyncWrite + Send + Unpin + 'static,
        peer: SocketAddr,
        slot: Slot,
    ) {
        let begun = Arc::new(Begun { yes: AtomicBool::new(false), slot: Mutex::new(Some(Arc::new(slot))) });
        let (router, seen) = (self.router, begun.clone());
        let service = service_fn(move |request: Request<Incoming>| {
            let place = seen.note(request.version());
            let router = router.clone();
            async move {
                let mut request = request.map(Body::new);
                request.extensions_mut().insert(ConnectInfo(peer));
                if let Some(slot) = place {
                    request.extensions_mut().insert(HalfOpen(slot));
                }
                router.oneshot(request).await.map_err(|never: Infallible| never)
            }
        });
        let mut conversation = pin!(self.http.serve_connection_with_upgrades(TokioIo::new(socket), service));
        let mut deadline = pin!(sleep(self.handshake_timeout));
        let (mut waiting, mut ending) = (true, false);
        loop {
            tokio::select! {
                ended = conversation.as_mut() => {
                    if let Err(error) = ended {
                        tracing::debug!(error, %peer, "the conversation broke off");
                    }
                    return;
                }
                () = deadline.as_mut(), if waiting => {
                    if !begun.yes.load(Ordering::Relaxed) {
                        tracing::debug!(%peer, "no request in time");
                        return;
                    }
                    waiting = false;
                }
                () = self.end.cancelled(), if !ending => {
                    conversation.as_mut().graceful_shutdown();
                    ending = true;
                }
            }
        }
    }
}

/// Whether a connection's first request has come, and the slot that it has.
struct Begun {
    yes: AtomicBool,
    slot: Mutex<Option<Arc<Slot>>>,
}

impl Begun {
    /// A request has come; the slot goes along with it. Over HTTP/1 the connection keeps it too, until it has become a socket or
    /// ends; over HTTP/2 it goes with the first request, since sockets that have shown who they are may stay beside others.
    fn note(&self, version: Version) -> Option<Arc<Slot>> {
        self.yes.store(true, Ordering::Relaxed);
        let mut slot = self.slot.lock();
        if version == Version::HTTP_2 { slot.take() } else { slot.clone() }
    }
}

fn is_of_the_peer(error: &io::Error) -> bool {
    use io::ErrorKind::{ConnectionAborted, ConnectionRefused, ConnectionReset, Interrupted};
    matches!(error.kind(), ConnectionAborted | ConnectionRefused | ConnectionReset | Interrupted)
}
