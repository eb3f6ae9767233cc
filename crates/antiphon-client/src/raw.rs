//! A bare connection for tests: says any text, hears every frame, and shows how it ended.

use std::{sync::Arc, time::Duration};

use futures_util::{SinkExt, StreamExt};
use http::{HeaderName, HeaderValue};
use serde_json::Value;
use tokio::time::{Instant, timeout, timeout_at};
use tokio_rustls::rustls::ClientConfig;
use tokio_websockets::{CloseCode, Message};

use crate::{Error, address, dial, head::Head, line::Socket};

/// A connection that does nothing by itself but answer pings.
#[derive(Debug)]
pub struct Raw {
    socket: Socket,
    deadline: Duration,
}

/// What came over it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Received {
    /// A text frame.
    Text(String),
    /// A binary frame.
    Binary(Vec<u8>),
    /// A ping; it is answered already.
    Ping(Vec<u8>),
    /// A pong.
    Pong(Vec<u8>),
    /// The other side's close frame. Without a code it is 1005.
    Closed(u16, String),
    /// The end without a close frame.
    Ended,
}

impl Raw {
    /// Connects.
    pub async fn connect(url: &str) -> Result<Self, Error> {
        Self::connect_with(url, &[]).await
    }

    /// Connects with headers: an Origin, an Authorization.
    pub async fn connect_with(url: &str, headers: &[(&str, &str)]) -> Result<Self, Error> {
        Self::open(url, headers, None).await
    }

    /// Connects; over TLS, with this configuration.
    pub async fn connect_tls(url: &str, tls: Arc<ClientConfig>) -> Result<Self, Error> {
        Self::open(url, &[], Some(tls)).await
    }

    async fn open(
        url: &str,
        headers: &[(&str, &str)],
        tls: Option<Arc<ClientConfig>>,
    ) -> Result<Self, Error> {
        let uri = address::parse(url)?;
        let wrong = |why| Error::Address { url: url.to_owned(), why };
        let mut read = Vec::with_capacity(headers.len());
        for (name, value) in headers {
            let name: HeaderName = name.parse().map_err(|_| wrong("a header's name is wrong"))?;
            let value: HeaderValue = value.parse().map_err(|_| wrong("a header's value is wrong"))?;
            read.push((name, value));
        }
        let deadline = Duration::from_secs(10);
        let opened = timeout(deadline, dial::open(&uri, &read, tls.as_ref(), &Head::default())).await;
        let socket = opened.map_err(|_| Error::Timeout)??;
        Ok(Self { socket, deadline })
    }

    /// How long each call may take: 10 s.
    #[must_use]
    pub fn deadline(mut self, deadline: Duration) -> Self {
        self.deadline = deadline;
        self
    }

    /// Sends a text frame as it is.
    pub async fn send_text(&mut self, text: impl Into<String>) -> Result<(), Error> {
        self.send(Message::text(text.into())).await
    }

    /// Sends a value as a text frame.
    pub async fn send_json(&mut self, value: &Value) -> Result<(), Error> {
        self.send_text(value.to_string()).await
    }

    /// Sends a binary frame.
    pub async fn send_binary(&mut self, bytes: Vec<u8>) -> Result<(), Error> {
        self.send(Message::binary(bytes)).await
    }

    /// Sends a ping, of at most 125 bytes.
    pub async fn send_ping(&mut self, mut bytes: Vec<u8>) -> Result<(), Error> {
        bytes.truncate(125);
        self.send(Message::ping(bytes)).await
    }

    async fn send(&mut self, message: Message) -> Result<(), Error> {
        Ok(timeout(self.deadline, self.socket.send(message)).await.map_err(|_| Error::Timeout)??)
    }

    /// The next frame of any kind. A broken connection is [`Received::Ended`].
    pub async fn receive(&mut self) -> Result<Received, Error> {
        self.receive_until(Instant::now() + self.deadline).await
    }

    async fn receive_until(&mut self, deadline: Instant) -> Result<Received, Error> {
        let message = match timeout_at(deadline, self.socket.next()).await.map_err(|_| Error::Timeout)? {
            Some(Ok(message)) => message,
            Some(Err(_)) | None => return Ok(Received::Ended),
        };
        let bytes = || message.as_payload().to_vec();
        Ok(if let Some((code, reason)) = message.as_close() {
            // One more look writes the answer to the close.
            let _ = timeout_at(deadline, self.socket.next()).await;
            Received::Closed(code.into(), reason.to_owned())
        } else if let Some(text) = message.as_text() {
            Received::Text(text.to_owned())
        } else if message.is_ping() {
            Received::Ping(bytes())
        } else if message.is_pong() {
            Received::Pong(bytes())
        } else {
            Received::Binary(bytes())
        })
    }

    /// The next text frame, as JSON; the end of the connection is [`Error::Disconnected`].
    pub async fn frame(&mut self) -> Result<Value, Error> {
        let deadline = Instant::now() + self.deadline;
        loop {
            match self.receive_until(deadline).await? {
                Received::Text(text) => {
                    return serde_json::from_str(&text).map_err(|_| Error::Disconnected);
                }
                Received::Closed(..) | Received::Ended => return Err(Error::Disconnected),
                Received::Binary(_) | Received::Ping(_) | Received::Pong(_) => {}
            }
        }
    }

    /// The next text frame of a type; others are left out.
    pub async fn frame_of(&mut self, kind: &str) -> Result<Value, Error> {
        let deadline = Instant::now() + self.deadline;
        let wanted = async {
            loop {
                let frame = self.frame().await?;
                if frame["type"] == kind {
                    return Ok(frame);
                }
            }
        };
        timeout_at(deadline, wanted).await.unwrap_or(Err(Error::Timeout))
    }

    /// Hears the connection out, and tells the frames and the close code; none: it ended without one.
    pub async fn closed(&mut self) -> Result<(Vec<String>, Option<u16>), Error> {
        let deadline = Instant::now() + self.deadline;
        let mut texts = Vec::new();
        loop {
            match self.receive_until(deadline).await? {
                Received::Text(text) => texts.push(text),
                Received::Closed(code, _) => return Ok((texts, Some(code))),
                Received::Ended => return Ok((texts, None)),
                Received::Binary(_) | Received::Ping(_) | Received::Pong(_) => {}
            }
        }
    }

    /// Closes with 1000 and waits for the answer.
    pub async fn close(mut self) -> Result<(), Error> {
        self.send(Message::close(Some(CloseCode::NORMAL_CLOSURE), "")).await?;
        self.closed().await.map(drop)
    }
}
