//! A TCP proxy that misbehaves on command: between a client and a server it cuts, freezes or refuses.
//!
//! It runs on a thread of its own, so that blocking and async tests can use it alike.

use std::io;
use std::net::{Ipv4Addr, SocketAddr};
use std::sync::Arc;
use std::sync::atomic::{AtomicI64, AtomicU64, Ordering};
use std::sync::mpsc;
use std::thread::JoinHandle;
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::tcp::{OwnedReadHalf, OwnedWriteHalf};
use tokio::net::{TcpListener, TcpSocket, TcpStream};
use tokio::sync::watch;

/// Which way bytes go.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Direction {
    /// From the client to the server.
    Up,
    /// From the server to the client.
    Down,
}

/// What has gone through a proxy so far.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Counters {
    /// Connections that it has accepted.
    pub accepted: u64,
    /// Those that are open.
    pub open: u64,
    /// Bytes from clients to the server.
    pub up: u64,
    /// Bytes from the server to clients.
    pub down: u64,
}

/// A proxy in front of one server.
#[derive(Debug)]
pub struct FaultProxy {
    address: SocketAddr,
    shared: Arc<Shared>,
    thread: Option<JoinHandle<()>>,
}

#[derive(Debug)]
struct Shared {
    upstream: SocketAddr,
    control: watch::Sender<Control>,
    accepted: AtomicU64,
    open: AtomicU64,
    up: AtomicU64,
    down: AtomicU64,
    /// Bytes that may still pass before everything is cut; negative: no such limit.
    left_up: AtomicI64,
    left_down: AtomicI64,
}

#[derive(Debug, Clone, Copy)]
struct Control {
    /// Grows with each cut: a connection of an earlier age ends.
    age: u64,
    paused: bool,
    refusing: bool,
    ended: bool,
}

impl FaultProxy {
    /// Starts one in front of `upstream`.
    ///
    /// # Errors
    /// When no port can be had.
    pub fn start(upstream: SocketAddr) -> io::Result<Self> {
        let first = Control { age: 0, paused: false, refusing: false, ended: false };
        let shared = Arc::new(Shared {
            upstream,
            control: watch::channel(first).0,
            accepted: AtomicU64::new(0),
            open: AtomicU64::new(0),
            up: AtomicU64::new(0),
            down: AtomicU64::new(0),
            left_up: AtomicI64::new(-1),
            left_down: AtomicI64::new(-1),
        });
        let address = SocketAddr::from((Ipv4Addr::LOCALHOST, crate::port::free_port()));
        let (bound, was_bound) = mpsc::channel();
        let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build()?;
        let thread = std::thread::spawn({
            let shared = shared.clone();
            move || runtime.block_on(serve(shared, address, bound))
        });
        was_bound.recv().map_err(|_| io::Error::other("the proxy's thread is gone"))??;
        Ok(Self { address, shared, thread: Some(thread) })
    }

    /// Where clients connect.
    #[must_use]
    pub fn address(&self) -> SocketAddr {
        self.address
    }

    /// `url` with its host and port replaced by the proxy's: what a client is given instead of the server's URL.
    #[must_use]
    pub fn url_for(&self, url: &str) -> String {
        url_through(self.address, url)
    }

    /// Resets all connections that are open; new ones are served.
    pub fn cut(&self) {
        self.shared.change(|control| control.age += 1);
    }

    /// Cuts once, exactly after `bytes` more bytes have passed in `direction`.
    pub fn cut_after(&self, direction: Direction, bytes: u32) {
        self.shared.left(direction).store(i64::from(bytes), Ordering::SeqCst);
    }

    /// Lets no byte pass any more, in either direction; connections stay open, and new ones are accepted.
    pub fn pause(&self) {
        self.shared.change(|control| control.paused = true);
    }

    /// Refuses new connections; those that are open stay.
    pub fn refuse(&self) {
        self.shared.change(|control| control.refusing = true);
    }

    /// Ends [`FaultProxy::pause`] and [`FaultProxy::refuse`].
    pub fn resume(&self) {
        self.shared.change(|control| (control.paused, control.refusing) = (false, false));
    }

    /// What has gone through so far.
    #[must_use]
    pub fn counters(&self) -> Counters {
        let read = |counter: &AtomicU64| counter.load(Ordering::SeqCst);
        Counters {
            accepted: read(&self.shared.accepted),
            open: read(&self.shared.open),
            up: read(&self.shared.up),
            down: read(&self.shared.down),
        }
    }
}

impl Drop for FaultProxy {
    fn drop(&mut self) {
        self.shared.change(|control| control.ended = true);
        if let Some(thread) = self.thread.take() {
            let _ = thread.join();
        }
    }
}

impl Shared {
    fn change(&self, change: impl FnOnce(&mut Control)) {
        self.control.send_modify(change);
    }

    fn left(&self, direction: Direction) -> &AtomicI64 {
        match direction {
            Direction::Up => &self.left_up,
            Direction::Down => &self.left_down,
        }
    }

    fn passed(&self, direction: Direction) -> &AtomicU64 {
        match direction {
            Direction::Up => &self.up,
            Direction::Down => &self.down,
        }
    }

    /// How many of `bytes` may pass, and whether the cut follows them.
    fn grant(&self, direction: Direction, bytes: usize) -> (usize, bool) {
        let wanted = bytes as i64;
        let before =
            self.left(direction).fetch_update(Ordering::SeqCst, Ordering::SeqCst, |left| match left {
                ..0 => None,
                left if left <= wanted => Some(-1),
                left => Some(left - wanted),
            });
        match before {
            Ok(left) if left <= wanted => (left as usize, true),
            _ => (bytes, false),
        }
    }
}

pub(crate) fn url_through(proxy: SocketAddr, url: &str) -> String {
    let start = url.find("://").map_or(0, |at| at + 3);
    let end = url[start..].find('/').map_or(url.len(), |at| start + at);
    let authority = &url[start..end];
    let user = authority.rfind('@').map_or("", |at| &authority[..=at]);
    format!("{}{user}{}{}", &url[..start], proxy, &url[end..])
}

async fn serve(shared: Arc<Shared>, address: SocketAddr, bound: mpsc::Sender<io::Result<()>>) {
    let mut control = shared.control.subscribe();
    let mut listener = match listen(address) {
        Ok(listener) => Some(listener),
        Err(error) => {
            let _ = bound.send(Err(error));
            return;
        }
    };
    let _ = bound.send(Ok(()));
    loop {
        let now = *control.borrow_and_update();
        if now.ended {
            return;
        }
        // Without a listener the kernel itself refuses. The port is below those of outgoing connections, so it is
        // free again when it is wanted.
        if now.refusing {
            listener = None;
        } else if listener.is_none() {
            listener = listen(address).ok();
        }
        let accept = async {
            match &listener {
                Some(listener) => listener.accept().await,
                None => std::future::pending().await,
            }
        };
        tokio::select! {
            changed = control.changed() => if changed.is_err() { return },
            accepted = accept => if let Ok((client, _)) = accepted {
                shared.accepted.fetch_add(1, Ordering::SeqCst);
                shared.open.fetch_add(1, Ordering::SeqCst);
                let shared = shared.clone();
                tokio::spawn(async move {
                    carry(&shared, client).await;
                    shared.open.fetch_sub(1, Ordering::SeqCst);
                });
            },
        }
    }
}

fn listen(address: SocketAddr) -> io::Result<TcpListener> {
    let socket = TcpSocket::new_v4()?;
    socket.set_reuseaddr(true)?;
    socket.bind(address)?;
    socket.listen(1024)
}

/// One connection, until both ends have closed, one has failed, or a cut.
async fn carry(shared: &Shared, client: TcpStream) {
    let mut control = shared.control.subscribe();
    let age = control.borrow().age;
    let Ok(server) = TcpStream::connect(shared.upstream).await else { return };
    for stream in [&client, &server] {
        let _ = stream.set_nodelay(true);
    }
    let (mut from_client, mut to_client) = client.into_split();
    let (mut from_server, mut to_server) = server.into_split();
    let both = async {
        tokio::try_join!(
            pump(shared, Direction::Up, &mut from_client, &mut to_server),
            pump(shared, Direction::Down, &mut from_server, &mut to_client)
        )
    };
    let ended = tokio::select! {
        ended = both => ended.is_ok(),
        _ = control.wait_for(|control| control.age > age || control.ended) => false,
    };
    if !ended {
        // A reset, as a crash or a firewall makes it: without `forget` a polite end would go before it.
        for half in [to_client, to_server] {
            let _ = half.as_ref().set_zero_linger();
            half.forget();
        }
    }
}

async fn pump(
    shared: &Shared,
    direction: Direction,
    from: &mut OwnedReadHalf,
    to: &mut OwnedWriteHalf,
) -> io::Result<()> {
    let mut control = shared.control.subscribe();
    let gone = |_| io::Error::other("the proxy has ended");
    let mut buffer = vec![0; 16 * 1024];
    loop {
        control.wait_for(|control| !control.paused).await.map_err(gone)?;
        let count = tokio::select! {
            biased;
            _ = control.wait_for(|control| control.paused) => continue,
            count = from.read(&mut buffer) => count?,
        };
        if count == 0 {
            return to.shutdown().await;
        }
        let (granted, cut) = shared.grant(direction, count);
        // Counted first: who has received a byte must find it counted.
        shared.passed(direction).fetch_add(granted as u64, Ordering::SeqCst);
        to.write_all(&buffer[..granted]).await?;
        if cut {
            shared.change(|control| control.age += 1);
        }
    }
}
