//! One request of the HTTP API, with a deadline.

use std::{net::SocketAddr, time::Duration};

use serde_json::Value;
use tokio::{
    io::{AsyncReadExt, AsyncWriteExt},
    net::TcpStream,
    time::timeout,
};

/// The status and the body's JSON; none: no whole answer came in time, and what became of it is not known.
pub async fn call(
    node: SocketAddr,
    request: &str,
    key: &str,
    body: &Value,
    patience: Duration,
) -> Option<(u16, Value)> {
    let exchange = async {
        let body = if body.is_null() { String::new() } else { body.to_string() };
        let mut socket = TcpStream::connect(node).await.ok()?;
        let text = format!(
            "{request} HTTP/1.1\r\nhost: a\r\nconnection: close\r\nauthorization: Bearer {key}\r\n\
             content-type: application/json\r\ncontent-length: {}\r\n\r\n{body}",
            body.len()
        );
        socket.write_all(text.as_bytes()).await.ok()?;
        let mut answer = Vec::new();
        socket.read_to_end(&mut answer).await.ok()?;
        let answer = String::from_utf8(answer).ok()?;
        let status = answer.split(' ').nth(1)?.parse().ok()?;
        let (_, content) = answer.split_once("\r\n\r\n")?;
        Some((status, serde_json::from_str(content).unwrap_or(Value::Null)))
    };
    timeout(patience, exchange).await.ok().flatten()
}
