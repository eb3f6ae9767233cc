//! Stands between clients and a node, and does one wrong to one delivered frame.

use std::{
    io::{self, Read, Write},
    net::{Shutdown, SocketAddr, TcpListener, TcpStream},
    sync::{
        Arc,
        atomic::{AtomicI64, Ordering},
    },
};

/// What is done to a frame.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Wrong {
    /// It never arrives.
    Drop,
    /// It arrives twice.
    Double,
}

/// The proxy lives as long as the test's process.
pub struct FrameProxy {
    pub address: SocketAddr,
    left: Arc<AtomicI64>,
}

impl FrameProxy {
    /// Does it to the `nth` frame from now on, over all connections, in which `mark` stands.
    pub fn start(upstream: SocketAddr, wrong: Wrong, mark: &'static str, nth: i64) -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").unwrap();
        let address = listener.local_addr().unwrap();
        let left = Arc::new(AtomicI64::new(nth));
        std::thread::spawn({
            let left = left.clone();
            move || {
                for client in listener.incoming().map_while(Result::ok) {
                    let left = left.clone();
                    std::thread::spawn(move || {
                        let _ = carry(client, upstream, wrong, mark, &left);
                    });
                }
            }
        });
        Self { address, left }
    }

    /// Whether it has done it.
    pub fn is_done(&self) -> bool {
        self.left.load(Ordering::SeqCst) <= 0
    }

    pub fn url(&self) -> String {
        format!("http://{}", self.address)
    }
}

fn carry(
    client: TcpStream,
    upstream: SocketAddr,
    wrong: Wrong,
    mark: &str,
    left: &AtomicI64,
) -> io::Result<()> {
    let server = TcpStream::connect(upstream)?;
    for socket in [&client, &server] {
        socket.set_nodelay(true)?;
    }
    let (mut from_client, mut to_server) = (client.try_clone()?, server.try_clone()?);
    std::thread::spawn(move || {
        let _ = io::copy(&mut from_client, &mut to_server);
        let _ = to_server.shutdown(Shutdown::Write);
    });
    let (mut from, mut to) = (server, client);
    let result = pass(&mut from, &mut to, wrong, mark, left);
    let _ = to.shutdown(Shutdown::Both);
    let _ = from.shutdown(Shutdown::Both);
    result
}

/// From the server to the client: an upgrade's frames one by one, all else as it comes.
fn pass(
    from: &mut TcpStream,
    to: &mut TcpStream,
    wrong: Wrong,
    mark: &str,
    left: &AtomicI64,
) -> io::Result<()> {
    let (mut pending, mut chunk) = (Vec::new(), vec![0; 64 * 1024]);
    let mut held = Held(None, left);
    let mut is_upgraded = None;
    loop {
        let count = from.read(&mut chunk)?;
        if count == 0 {
            return Ok(());
        }
        pending.extend_from_slice(&chunk[..count]);
        if is_upgraded.is_none() {
            let Some(end) = pending.windows(4).position(|four| four == b"\r\n\r\n") else { continue };
            is_upgraded = Some(pending.starts_with(b"HTTP/1.1 101"));
            to.write_all(&pending[..end + 4])?;
            pending.drain(..end + 4);
        }
        if is_upgraded == Some(false) {
            to.write_all(&pending)?;
            pending.clear();
            continue;
        }
        while let Some(length) = frame_length(&pending) {
            let frame: Vec<u8> = pending.drain(..length).collect();
            let topic = topic(&frame);
            if held.0.is_some() && held.0 == topic {
                // It has been overtaken: a client that goes elsewhere now will not ask for it.
                held.0 = None;
            }
            let is_meant = after(&frame, mark).is_some() && held.1.fetch_sub(1, Ordering::SeqCst) == 1;
            match (is_meant, wrong) {
                (true, Wrong::Drop) => held.0 = topic,
                (true, Wrong::Double) => to.write_all(&[&frame[..], &frame].concat())?,
                (false, _) => to.write_all(&frame)?,
            }
        }
    }
}

/// The topic of a frame that was kept back, until another one of that topic has gone by.
struct Held<'a>(Option<Vec<u8>>, &'a AtomicI64);

impl Drop for Held<'_> {
    fn drop(&mut self) {
        // The client goes on from before it, and gets it elsewhere: the next one shall be it.
        if self.0.is_some() {
            self.1.store(1, Ordering::SeqCst);
        }
    }
}

/// What stands behind the first `mark`.
fn after<'a>(frame: &'a [u8], mark: &str) -> Option<&'a [u8]> {
    let at = frame.windows(mark.len()).position(|part| part == mark.as_bytes())?;
    Some(&frame[at + mark.len()..])
}

fn topic(frame: &[u8]) -> Option<Vec<u8>> {
    let rest = after(frame, r#""topic":""#)?;
    Some(rest.split(|byte| *byte == b'"').next()?.to_vec())
}

/// The length of the whole frame that stands first, if all of it is there. A server masks nothing.
fn frame_length(bytes: &[u8]) -> Option<usize> {
    let (header, length) = match bytes.get(1)? & 0x7f {
        126 => (4, usize::from(u16::from_be_bytes(bytes.get(2..4)?.try_into().ok()?))),
        127 => (10, u64::from_be_bytes(bytes.get(2..10)?.try_into().ok()?) as usize),
        length => (2, usize::from(length)),
    };
    (bytes.len() >= header + length).then_some(header + length)
}
