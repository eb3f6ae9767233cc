//! The door: accepts connections, bounds what is half open, and serves HTTP on them until they are upgraded.
//! Plain sockets reach the router unwrapped, so that an upgrade can hand the raw socket on.

use std::{
    convert::Infallible,
    io,
    net::{IpAddr, SocketAddr, ToSocketAddrs},
    pin::pin,
    sync::Arc,
    time::Duration,
};

use antiphon_axum::{HalfOpen, InUse};
use antiphon_core::{Limits, Tasks};
use axum::{
    Router,
    body::Body,
    extract::ConnectInfo,
    http::{Method, StatusCode, header},
    response::{IntoResponse, Response},
};
use hyper::{Request, body::Incoming, service::service_fn};
use hyper_util::{
    rt::{TokioExecutor, TokioIo, TokioTimer},
    server::conn::auto,
};
use tokio::{
    io::{AsyncRead, AsyncWrite},
    net::{TcpListener, TcpStream},
    time::{Instant, sleep, sleep_until, timeout},
};
use tokio_rustls::TlsAcceptor;
use tokio_util::sync::CancellationToken;
use tower::ServiceExt;

use crate::{
    conversation::{Conversation, GRACE, KEEP_ALIVE, Look},
    files::{self, Asker},
    idle::Idle,
    slots::{Full, Slot, Slots},
    words,
};

const BACKLOG: i32 = 4096;
/// How many idle connections give way at a time where files are wanted: all who wait then get in soon, and no more go than that.
const ROOM: usize = 16;
/// After an accept that failed for want of file descriptors.
const PAUSE: Duration = Duration::from_millis(100);
/// How often files are looked for before an upgrade that needs some is refused.
const TRIES: usize = 5;
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
    asker: Asker,
    idle: Idle<Arc<Conversation>>,
    http: auto::Builder<TokioExecutor>,
    handshake_timeout: Duration,
    progress_timeout: Duration,
    /// Cancelled: no more requests on open connections.
    end: CancellationToken,
}

impl Door {
    /// To this router, for those who ask for files as this one.
    pub fn new(
        router: Router,
        tls: Option<TlsAcceptor>,
        slots: Slots,
        asker: Asker,
        limits: &Limits,
    ) -> Self {
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
        Self {
            router,
            tls,
            slots,
            asker,
            idle: Idle::new(),
            http,
            handshake_timeout: limits.handshake_timeout,
            progress_timeout: limits.progress_timeout,
            end: CancellationToken::new(),
        }
    }

    /// Lets open connections finish their request and close.
    pub fn end(&self) {
        self.end.cancel();
    }

    /// Accepts until told to stop.
    pub async fn accept(self, listener: TcpListener, tasks: Tasks, stop: CancellationToken) {
        let mut calm_at = None;
        loop {
            let accepted = if files::has_room(&listener, self.asker) {
                tokio::select! {
                    () = stop.cancelled() => return,
                    () = sleep_until(calm_at.unwrap_or_else(Instant::now)), if calm_at.is_some() => {
                        tracing::info!("connections are accepted again");
                        calm_at = None;
                        continue;
                    }
                    accepted = listener.accept() => accepted,
                }
            } else if !files::has_newcomer(&listener) || self.make_room() {
                // Nobody is kept out, or those who come find room in a moment.
                tokio::select! {
                    () = stop.cancelled() => return,
                    () = self.idle.one_gone() => {}
                    () = sleep(PAUSE) => {}
                }
                continue;
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

    /// Lets some of the idle ones go for their files; false if there is none.
    fn make_room(&self) -> bool {
        let mut gone = 0;
        while gone < ROOM
            && let Some(oldest) = self.idle.oldest()
        {
            oldest.give_way();
            gone += 1;
        }
        gone > 0
    }

    /// A place for a connection from there, which the oldest idle one gives away if there is no other.
    fn place(&self, from: IpAddr) -> Result<Slot, Full> {
        loop {
            let full = match self.slots.take(from) {
                Ok(slot) => return Ok(slot),
                Err(full) => full,
            };
            let oldest = match full {
                Full::Address => self.slots.counted_as(from).and_then(|address| self.idle.oldest_of(address)),
                Full::All => self.idle.oldest_with_place(),
            };
            oldest.ok_or(full)?.give_way();
        }
    }

    fn admit(&self, socket: TcpStream, peer: SocketAddr, tasks: &Tasks) {
        let slot = match self.place(peer.ip()) {
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

    async fn answer(&self, request: Request<Body>) -> Response {
        if is_of_a_pair(&request, self.tls.is_some()) && !self.has_files().await {
            return come_back();
        }
        match self.router.clone().oneshot(request).await {
            Ok(response) => response,
            Err(never) => match never as Infallible {},
        }
    }

    /// Waits a little for files where idle connections can give them.
    async fn has_files(&self) -> bool {
        let has_room = || files::has_room(&io::stderr(), self.asker);
        for _ in 0..TRIES {
            if has_room() || !self.make_room() {
                break;
            }
            let _ = timeout(PAUSE, self.idle.one_gone()).await;
        }
        has_room()
    }

    async fn converse(
        self,
        socket: impl AsyncRead + AsyncWrite + Send + Unpin + 'static,
        peer: SocketAddr,
        slot: Slot,
    ) {
        let state = Conversation::new(self.idle.clone(), slot);
        let _presence = state.presence();
        let (door, seen) = (Arc::new(self), state.clone());
        let served_by = door.clone();
        let service = service_fn(move |request: Request<Incoming>| {
            let (in_use, place) = seen.request(request.version());
            let (door, in_use) = (served_by.clone(), Arc::new(in_use));
            let place = match place {
                None if is_upgrade(&request) && seen.has_given_way() => {
                    door.slots.take(peer.ip()).map(|slot| Some(Arc::new(slot)))
                }
                place => Ok(place),
            };
            async move {
                let Ok(place) = place else { return Ok(come_back().map(|body| in_use.answer(body))) };
                let mut request = request.map(Body::new);
                request.extensions_mut().insert(ConnectInfo(peer));
                request.extensions_mut().insert(InUse(in_use.clone()));
                if let Some(slot) = place {
                    request.extensions_mut().insert(HalfOpen(slot));
                }
                Ok::<_, Infallible>(door.answer(request).await.map(|body| in_use.answer(body)))
            }
        });
        let mut conversation = pin!(door.http.serve_connection_with_upgrades(TokioIo::new(socket), service));
        let mut look = pin!(sleep(door.handshake_timeout));
        let mut is_ending = false;
        loop {
            tokio::select! {
                ended = conversation.as_mut() => {
                    if let Err(error) = ended {
                        tracing::debug!(error, %peer, "the conversation broke off");
                    }
                    return;
                }
                () = look.as_mut() => match state.look(door.progress_timeout, is_ending) {
                    Look::Again(at) => {
                        look.as_mut().reset(at);
                        continue;
                    }
                    Look::Stuck(why) => {
                        tracing::debug!(%peer, "{why}");
                        return;
                    }
                    Look::Idle => {}
                },
                () = state.must_give_way(), if !is_ending => {}
                () = door.end.cancelled(), if !is_ending => {}
            }
            conversation.as_mut().graceful_shutdown();
            is_ending = true;
            look.as_mut().reset(Instant::now() + GRACE);
        }
    }
}

/// No room for a socket at the moment.
fn come_back() -> Response {
    (StatusCode::SERVICE_UNAVAILABLE, [(header::RETRY_AFTER, "1")]).into_response()
}

fn is_upgrade<B>(request: &Request<B>) -> bool {
    request.method() == Method::CONNECT || request.headers().contains_key(header::UPGRADE)
}

/// A socket over TLS or HTTP/2 is pumped over a pair: two more files.
fn is_of_a_pair(request: &Request<Body>, tls: bool) -> bool {
    request.method() == Method::CONNECT || (tls && request.headers().contains_key(header::UPGRADE))
}

fn is_of_the_peer(error: &io::Error) -> bool {
    use io::ErrorKind::{ConnectionAborted, ConnectionRefused, ConnectionReset, Interrupted};
    matches!(error.kind(), ConnectionAborted | ConnectionRefused | ConnectionReset | Interrupted)
}

#[cfg(test)]
mod tests {
    use tokio::{
        io::{AsyncReadExt, AsyncWriteExt, DuplexStream, duplex},
        task::yield_now,
    };

    use super::*;

    const UPGRADE: &[u8] =
        b"GET /ws HTTP/1.1\r\nhost: a\r\nconnection: upgrade\r\nupgrade: websocket\r\n\r\n";

    /// With two places, whose requests are answered by whether they have one.
    fn door() -> Door {
        let has_place = async |request: Request<Body>| {
            if request.extensions().get::<HalfOpen>().is_some() { "it has a place" } else { "it has none" }
        };
        let router = Router::new().fallback(axum::routing::any(has_place));
        let slots = Slots::new(2, 2, Vec::new());
        Door::new(router, None, slots, Asker::Operator, &Limits::default())
    }

    /// A client's end of a connection that has had an answer, and the connection, which is idle and gives way now.
    async fn gives_way(door: &Door) -> DuplexStream {
        let (mut client, server) = duplex(64 * 1024);
        let peer: SocketAddr = "203.0.113.1:9".parse().unwrap();
        let slot = door.slots.take(peer.ip()).unwrap();
        let tasks = Tasks::new(tokio::runtime::Handle::current());
        tasks.spawn(door.clone().converse(server, peer, slot));
        client.write_all(b"GET / HTTP/1.1\r\nhost: a\r\n\r\n").await.unwrap();
        let idle = loop {
            match door.idle.oldest() {
                Some(idle) => break idle,
                None => yield_now().await,
            }
        };
        let mut answer = vec![0; 4096];
        let len = client.read(&mut answer).await.unwrap();
        assert!(answer[..len].ends_with(b"it has a place"));
        idle.give_way();
        client
    }

    async fn upgrade(client: &mut DuplexStream) -> String {
        let mut answer = String::new();
        // It may have been closed before it read this.
        if client.write_all(UPGRADE).await.is_ok() {
            client.read_to_string(&mut answer).await.unwrap();
        }
        answer
    }

    #[tokio::test]
    async fn a_socket_that_comes_over_a_connection_that_gives_way_takes_a_place_again() {
        let mut answered = 0;
        // Whether the request is seen before the connection is told to go is up to chance.
        while answered < 8 {
            let door = door();
            let answer = upgrade(&mut gives_way(&door).await).await;
            assert!(answer.is_empty() || answer.ends_with("it has a place"), "{answer}");
            answered += usize::from(!answer.is_empty());
        }
    }

    #[tokio::test]
    async fn a_socket_whose_place_was_given_to_another_is_refused_if_there_is_none_left() {
        let mut answered = 0;
        while answered < 8 {
            let door = door();
            let mut client = gives_way(&door).await;
            let _others = [1, 2].map(|_| door.slots.take("203.0.113.1".parse().unwrap()).unwrap());
            let answer = upgrade(&mut client).await;
            assert!(answer.is_empty() || answer.starts_with("HTTP/1.1 503"), "{answer}");
            answered += usize::from(!answer.is_empty());
        }
    }
}
