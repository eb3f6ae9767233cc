//! A proxy in front of PostgreSQL that cuts exactly between a commit and its answer: the server has committed, and
//! whoever asked for it never hears.
//!
//! It reads the wire protocol far enough to know which transactions have written what is looked for. When the server
//! says that such a one is over and was not rolled back, the answer is thrown away and the connection reset, as often
//! as was ordered; all else passes as it is. It does not speak TLS.

use std::collections::HashSet;
use std::io;
use std::net::{Ipv4Addr, SocketAddr};
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Mutex, PoisonError, mpsc};
use std::thread::JoinHandle;
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::tcp::{OwnedReadHalf, OwnedWriteHalf};
use tokio::net::{TcpListener, TcpStream};
use tokio::sync::watch;

/// The code of a startup message of protocol 3.0; SSLRequest and GSSENCRequest have others.
const STARTUP: u32 = 196_608;

/// A proxy in front of one PostgreSQL.
#[derive(Debug)]
pub struct CommitCutter {
    address: SocketAddr,
    shared: Arc<Shared>,
    thread: Option<JoinHandle<()>>,
}

#[derive(Debug)]
struct Shared {
    upstream: SocketAddr,
    /// What the text of a statement contains, in small letters, that makes its transaction worth a cut.
    marks: Vec<String>,
    ordered: AtomicU64,
    cut: AtomicU64,
    ended: watch::Sender<bool>,
}

/// What both directions of a connection know of it.
#[derive(Debug, Default)]
struct Session {
    /// A request for encryption whose answer is one bare byte.
    asks_encryption: bool,
    is_started: bool,
    /// Prepared statements that write what is looked for.
    marked: HashSet<Vec<u8>>,
    /// The transaction that is open has done so.
    has_written: bool,
}

impl CommitCutter {
    /// Starts one. A transaction counts if one of its statements contains one of `marks`, as `insert into entries`.
    ///
    /// # Errors
    /// When no port can be had.
    pub fn start(upstream: SocketAddr, marks: &[&str]) -> io::Result<Self> {
        let shared = Arc::new(Shared {
            upstream,
            marks: marks.iter().map(|mark| mark.to_lowercase()).collect(),
            ordered: AtomicU64::new(0),
            cut: AtomicU64::new(0),
            ended: watch::channel(false).0,
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

    /// `url` with its host and port replaced by the proxy's.
    #[must_use]
    pub fn url_for(&self, url: &str) -> String {
        crate::fault_proxy::url_through(self.address, url)
    }

    /// Cuts after each of the next `count` commits, beside those that were ordered before.
    pub fn cut_next(&self, count: u64) {
        self.shared.ordered.fetch_add(count, Ordering::SeqCst);
    }

    /// Forgets what was ordered and not yet done.
    pub fn cut_no_more(&self) {
        self.shared.ordered.store(0, Ordering::SeqCst);
    }

    /// How many commits have been cut from their answers.
    #[must_use]
    pub fn cuts(&self) -> u64 {
        self.shared.cut.load(Ordering::SeqCst)
    }
}

impl Drop for CommitCutter {
    fn drop(&mut self) {
        self.shared.ended.send_replace(true);
        if let Some(thread) = self.thread.take() {
            let _ = thread.join();
        }
    }
}

async fn serve(shared: Arc<Shared>, address: SocketAddr, bound: mpsc::Sender<io::Result<()>>) {
    let listener = match TcpListener::bind(address).await {
        Ok(listener) => listener,
        Err(error) => {
            let _ = bound.send(Err(error));
            return;
        }
    };
    let _ = bound.send(Ok(()));
    let mut ended = shared.ended.subscribe();
    loop {
        tokio::select! {
            _ = ended.wait_for(|ended| *ended) => return,
            accepted = listener.accept() => if let Ok((client, _)) = accepted {
                tokio::spawn(carry(shared.clone(), client));
            },
        }
    }
}

async fn carry(shared: Arc<Shared>, client: TcpStream) {
    let Ok(server) = TcpStream::connect(shared.upstream).await else { return };
    for stream in [&client, &server] {
        let _ = stream.set_nodelay(true);
    }
    let session = Mutex::new(Session::default());
    let (mut from_client, mut to_client) = client.into_split();
    let (mut from_server, mut to_server) = server.into_split();
    // Either end's close is the end of both: PostgreSQL knows no half-closed connection.
    let ended = tokio::select! {
        ended = up(&shared, &session, &mut from_client, &mut to_server) => ended,
        ended = down(&shared, &session, &mut from_server, &mut to_client) => ended,
    };
    if ended.is_err() {
        for half in [to_client, to_server] {
            let _ = half.as_ref().set_zero_linger();
            half.forget();
        }
    }
}

/// What the client says passes at once, after it was read.
async fn up(
    shared: &Shared,
    session: &Mutex<Session>,
    from: &mut OwnedReadHalf,
    to: &mut OwnedWriteHalf,
) -> io::Result<()> {
    let mut unread = Vec::new();
    let mut chunk = vec![0; 16 * 1024];
    loop {
        let count = from.read(&mut chunk).await?;
        if count == 0 {
            return to.shutdown().await;
        }
        unread.extend_from_slice(&chunk[..count]);
        {
            let mut session = session.lock().unwrap_or_else(PoisonError::into_inner);
            while let Some(length) = session.next_said(&unread) {
                session.hear_client(&shared.marks, &unread[..length]);
                unread.drain(..length);
            }
        }
        to.write_all(&chunk[..count]).await?;
    }
}

/// What the server says passes message by message; while a cut is due, only when it is known what was committed.
async fn down(
    shared: &Shared,
    session: &Mutex<Session>,
    from: &mut OwnedReadHalf,
    to: &mut OwnedWriteHalf,
) -> io::Result<()> {
    let mut unread = Vec::new();
    let mut held = Vec::new();
    let mut failed = false;
    let mut chunk = vec![0; 16 * 1024];
    loop {
        let count = from.read(&mut chunk).await?;
        if count == 0 {
            to.write_all(&held).await?;
            return to.shutdown().await;
        }
        unread.extend_from_slice(&chunk[..count]);
        let mut passes = Vec::new();
        {
            let mut session = session.lock().unwrap_or_else(PoisonError::into_inner);
            if std::mem::take(&mut session.asks_encryption) {
                passes.push(unread.remove(0));
            }
            while let Some(length) = message_length(&unread, 1) {
                let message: Vec<u8> = unread.drain(..length).collect();
                failed |= message[0] == b'E' || is_rollback(&message);
                let is_done = message[0] == b'Z' && message.get(5) == Some(&b'I');
                if is_done && session.has_written && !failed && shared.take_order() {
                    return Err(io::Error::other("cut"));
                }
                held.extend_from_slice(&message);
                let is_ready = message[0] == b'Z';
                if is_done {
                    session.has_written = false;
                }
                if is_ready || !session.has_written {
                    passes.append(&mut held);
                }
                failed &= !is_ready;
            }
        }
        to.write_all(&passes).await?;
    }
}

impl Shared {
    fn take_order(&self) -> bool {
        let less = |ordered: u64| ordered.checked_sub(1);
        let taken = self.ordered.fetch_update(Ordering::SeqCst, Ordering::SeqCst, less).is_ok();
        if taken {
            self.cut.fetch_add(1, Ordering::SeqCst);
        }
        taken
    }
}

impl Session {
    /// The length of the client's first message, if it is there as a whole.
    fn next_said(&self, bytes: &[u8]) -> Option<usize> {
        message_length(bytes, usize::from(self.is_started))
    }

    fn hear_client(&mut self, marks: &[String], message: &[u8]) {
        if !self.is_started {
            let is_startup = message.get(4..8) == Some(&STARTUP.to_be_bytes());
            (self.is_started, self.asks_encryption) = (is_startup, !is_startup && message.len() == 8);
            return;
        }
        let is_marked = |text: &[u8]| {
            let text = String::from_utf8_lossy(text).to_lowercase();
            marks.iter().any(|mark| text.contains(mark))
        };
        let mut parts = message[5..].split(|byte| *byte == 0);
        let (first, second) = (parts.next().unwrap_or_default(), parts.next().unwrap_or_default());
        match message[0] {
            b'Q' if is_marked(first) => self.has_written = true,
            // Parse: name and text.
            b'P' if is_marked(second) => {
                self.marked.insert(first.to_owned());
            }
            b'P' => {
                self.marked.remove(first);
            }
            // Bind: portal and name.
            b'B' if self.marked.contains(second) => self.has_written = true,
            _ => {}
        }
    }
}

/// The length of the first message with its `kind` bytes of type; none if it is not there as a whole.
fn message_length(bytes: &[u8], kind: usize) -> Option<usize> {
    let length: [u8; 4] = bytes.get(kind..kind + 4)?.try_into().ok()?;
    let whole = kind + u32::from_be_bytes(length) as usize;
    (bytes.len() >= whole && whole > kind).then_some(whole)
}

fn is_rollback(message: &[u8]) -> bool {
    message[0] == b'C' && message[5..].starts_with(b"ROLLBACK")
}
