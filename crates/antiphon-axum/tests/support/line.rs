//! A conversation over a real socket.

use std::time::Duration;

use antiphon_ws::{Opcode, client};
use axum::Router;
use serde_json::{Value, json};
use tokio::{
    io::{AsyncRead, AsyncReadExt, AsyncWrite, AsyncWriteExt},
    net::{TcpListener, TcpStream},
};

const PATIENCE: Duration = Duration::from_secs(10);

pub async fn served(router: Router) -> std::net::SocketAddr {
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let address = listener.local_addr().unwrap();
    tokio::spawn(async move { axum::serve(listener, router).await });
    address
}

/// A request for an upgrade with these further headers.
pub fn request(headers: &[(&str, &str)]) -> String {
    let mut request =
        "GET /ws HTTP/1.1\r\nhost: chat.example.com\r\nconnection: Upgrade\r\nupgrade: websocket\r\n\
        sec-websocket-version: 13\r\nsec-websocket-key: dGhlIHNhbXBsZSBub25jZQ==\r\n"
            .to_owned();
    for (name, value) in headers {
        request += &format!("{name}: {value}\r\n");
    }
    request + "\r\n"
}

/// One end of a conversation.
pub struct Line<T> {
    pub io: T,
    read: Vec<u8>,
}

impl<T: AsyncRead + AsyncWrite + Unpin> Line<T> {
    pub fn new(io: T) -> Self {
        Self { io, read: Vec::new() }
    }

    async fn fill(&mut self) -> bool {
        let mut chunk = [0; 4096];
        let len = tokio::time::timeout(PATIENCE, self.io.read(&mut chunk)).await.expect("an answer in time");
        let len = len.unwrap_or(0);
        self.read.extend_from_slice(&chunk[..len]);
        len > 0
    }

    /// The head of the answer.
    pub async fn head(&mut self) -> String {
        loop {
            if let Some(end) = self.read.windows(4).position(|four| four == b"\r\n\r\n") {
                let head: Vec<u8> = self.read.drain(..end + 4).collect();
                return String::from_utf8(head).unwrap().to_ascii_lowercase();
            }
            assert!(self.fill().await, "the connection ended: {:?}", String::from_utf8_lossy(&self.read));
        }
    }

    pub async fn say(&mut self, frame: Value) {
        self.io.write_all(&client::frame(Opcode::Text, frame.to_string().as_bytes())).await.unwrap();
    }

    /// The next frame that is neither a ping nor a pong; none: closed.
    pub async fn hear(&mut self) -> Option<(u8, Vec<u8>)> {
        loop {
            let short = self.read.get(1).map(|len| usize::from(*len));
            let (start, len) = match (short, self.read.get(2..4)) {
                (Some(len @ 0..126), _) => (2, len),
                (Some(126), Some(len)) => (4, usize::from(u16::from_be_bytes([len[0], len[1]]))),
                _ => (2, usize::MAX / 2),
            };
            if self.read.len() >= start + len {
                let frame: Vec<u8> = self.read.drain(..start + len).collect();
                let opcode = frame[0] & 0x0f;
                if opcode < 9 {
                    return Some((opcode, frame[start..].to_vec()));
                }
                continue;
            }
            if !self.fill().await {
                return None;
            }
        }
    }

    pub async fn expect(&mut self, kind: &str) -> Value {
        loop {
            let (_, frame) = self.hear().await.unwrap_or_else(|| panic!("closed before {kind}"));
            let frame: Value = serde_json::from_slice(&frame).unwrap();
            if frame["type"] == kind {
                return frame;
            }
        }
    }

    /// Subscribe, publish, get one's own entry back.
    pub async fn converse(&mut self, token: Option<&str>) {
        let mut subscribe = json!({"type": "SUBSCRIBE"});
        if let Some(token) = token {
            subscribe["token"] = token.into();
        }
        self.say(subscribe).await;
        let subscribed = self.expect("SUBSCRIPTION_SUCCESSFUL").await;
        assert_eq!((&subscribed["text"], &subscribed["userId"]), (&json!("acme"), &json!("ann")));
        let long = "x".repeat(20_000);
        self.say(json!({"type": "MESSAGE", "text": long})).await;
        assert_eq!(self.expect("MESSAGE").await["text"], long);
    }
}

pub async fn upgraded(address: std::net::SocketAddr, headers: &[(&str, &str)]) -> (Line<TcpStream>, String) {
    let mut line = Line::new(TcpStream::connect(address).await.unwrap());
    line.io.write_all(request(headers).as_bytes()).await.unwrap();
    let head = line.head().await;
    (line, head)
}

pub fn status(head: &str) -> u16 {
    head.split(' ').nth(1).unwrap().parse().unwrap()
}
