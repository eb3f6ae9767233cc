//! The little of HTTP that is needed to call the API.

use anyhow::{Context, Result, ensure};
use tokio::{
    io::{AsyncReadExt, AsyncWriteExt},
    net::TcpStream,
    time,
};

use crate::device::PATIENCE;

/// Where the API is, and with which key.
#[derive(Debug)]
pub struct Api {
    pub address: String,
    pub key: String,
}

impl Api {
    /// Puts a JSON text.
    pub async fn put(&self, path: &str, json: &str) -> Result<()> {
        self.ask("PUT", path, json).await.map(drop)
    }

    /// Gets a JSON text.
    pub async fn get(&self, path: &str) -> Result<String> {
        self.ask("GET", path, "").await
    }

    /// Anything but success is an error.
    async fn ask(&self, method: &str, path: &str, json: &str) -> Result<String> {
        let (Self { address, key }, length) = (self, json.len());
        let request = format!(
            "{method} /api/v1{path} HTTP/1.1\r\nhost: {address}\r\nauthorization: Bearer {key}\r\n\
             content-type: application/json\r\ncontent-length: {length}\r\nconnection: close\r\n\r\n{json}"
        );
        let exchange = async {
            let mut socket = TcpStream::connect(address).await?;
            socket.write_all(request.as_bytes()).await?;
            let mut answer = String::new();
            socket.read_to_string(&mut answer).await?;
            Ok::<_, std::io::Error>(answer)
        };
        let answer =
            time::timeout(PATIENCE, exchange).await.with_context(|| format!("{method} {path}"))??;
        let (head, body) = answer.split_once("\r\n\r\n").unwrap_or_default();
        ensure!(head.starts_with("HTTP/1.1 2"), "{method} {path}: {answer}");
        Ok(body.to_owned())
    }
}
