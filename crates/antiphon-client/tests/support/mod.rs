//! A server that says exactly what a test makes it say.

#![allow(dead_code, reason = "each file of tests uses its own part")]
#![allow(clippy::unwrap_used, reason = "a test that can not go on should stop")]

use std::time::Duration;

use antiphon_client::{Backoff, Client, ClientBuilder, Event, Subscription};
use futures_util::{FutureExt, SinkExt, StreamExt};
use serde_json::{Value, json};
use tokio::{
    io::{AsyncReadExt, AsyncWriteExt},
    net::{TcpListener, TcpStream},
    time::timeout,
};
use tokio_websockets::{CloseCode, Message, ServerBuilder, WebSocketStream};

const DEADLINE: Duration = Duration::from_secs(10);

pub struct FakeNode {
    listener: TcpListener,
}

/// One connection, as the server has it.
pub struct Peer {
    socket: WebSocketStream<TcpStream>,
    pub token: String,
}

pub fn position(offset: u64) -> String {
    format!("{:016x}-{offset}-{:016x}", 1, 2)
}

pub fn message(topic: &str, offset: u64) -> Value {
    json!({
        "type": "MESSAGE", "text": format!("entry {offset}"), "position": position(offset), "offset": offset,
        "entry": {"id": format!("id-{offset}"), "companyId": "acme", "projectId": null, "topic": topic,
                  "userId": "ann", "createdAt": 1},
    })
}

impl FakeNode {
    pub async fn start() -> Self {
        Self { listener: TcpListener::bind("127.0.0.1:0").await.unwrap() }
    }

    pub fn url(&self) -> String {
        format!("ws://{}", self.listener.local_addr().unwrap())
    }

    /// A builder that comes back quickly.
    pub fn builder(&self) -> ClientBuilder {
        Client::builder(self.url()).token("t0").backoff(quick())
    }

    /// Takes a connection without its greeting.
    pub async fn accept_silently(&self) -> Peer {
        let (stream, _) = timeout(DEADLINE, self.listener.accept()).await.expect("nobody came").unwrap();
        let (_, socket) = timeout(DEADLINE, ServerBuilder::new().accept(stream)).await.unwrap().unwrap();
        Peer { socket, token: String::new() }
    }

    /// Answers an upgrade with this head.
    pub async fn refuse(&self, head: &str) {
        let (mut stream, _) = timeout(DEADLINE, self.listener.accept()).await.expect("nobody came").unwrap();
        let mut asked = Vec::new();
        while !asked.ends_with(b"\r\n\r\n") {
            assert!(stream.read_buf(&mut asked).await.unwrap() > 0, "it left");
        }
        stream.write_all(head.as_bytes()).await.unwrap();
    }

    /// Takes a connection and answers its greeting.
    pub async fn accept(&self) -> Peer {
        let mut peer = self.accept_silently().await;
        let ping = peer.hear("PING").await;
        peer.token = ping["token"].as_str().unwrap().to_owned();
        peer.answer(&ping, json!({"type": "PONG"})).await;
        peer
    }

    pub async fn connect(&self, builder: ClientBuilder) -> (Client, Peer) {
        let (client, peer) = tokio::join!(builder.connect(), self.accept());
        (client.unwrap(), peer)
    }

    /// Whether a connection waits right now.
    pub fn is_called(&self) -> bool {
        self.listener.accept().now_or_never().is_some()
    }
}

impl Peer {
    /// The next frame, which must be of this type.
    pub async fn hear(&mut self, kind: &str) -> Value {
        loop {
            let message = timeout(DEADLINE, self.socket.next()).await;
            let message =
                message.unwrap_or_else(|_| panic!("no {kind} came")).expect("the client left").unwrap();
            if let Some(text) = message.as_text() {
                let frame: Value = serde_json::from_str(text).unwrap();
                assert_eq!(frame["type"], kind, "{frame}");
                return frame;
            }
        }
    }

    pub async fn say(&mut self, frame: Value) {
        timeout(DEADLINE, self.socket.send(Message::text(frame.to_string()))).await.unwrap().unwrap();
    }

    pub async fn answer(&mut self, asked: &Value, mut frame: Value) {
        frame["ref"] = asked["ref"].clone();
        self.say(frame).await;
    }

    /// Hears a SUBSCRIBE and answers that all of it begins at 0.
    pub async fn subscribe(&mut self) -> Value {
        let asked = self.hear("SUBSCRIBE").await;
        self.answer_subscribe(&asked).await;
        asked
    }

    /// Answers the question after the tenant's own topic.
    pub async fn own_topic(&mut self) {
        let asked = self.hear("PRESENCE").await;
        self.answer(&asked, json!({"type": "PRESENCE", "topic": "acme", "users": []})).await;
    }

    /// Hears an UNSUBSCRIBE and answers it.
    pub async fn unsubscribe(&mut self) -> Value {
        let asked = self.hear("UNSUBSCRIBE").await;
        let answer = json!({"type": "UNSUBSCRIPTION_SUCCESSFUL", "topics": asked["topics"]});
        self.answer(&asked, answer).await;
        asked
    }

    pub async fn answer_subscribe(&mut self, asked: &Value) {
        let names = asked["topics"].as_array().unwrap();
        let begun = |name: &Value| {
            let given = &asked["positions"][name.as_str().unwrap()];
            let at = given.as_str().map_or(position(0), str::to_owned);
            (name.as_str().unwrap().to_owned(), json!({"position": at, "recovered": given.is_string()}))
        };
        let topics: serde_json::Map<String, Value> = names.iter().map(begun).collect();
        let answer = json!({"type": "SUBSCRIPTION_SUCCESSFUL", "text": "acme", "userId": "ann", "expiresAt": null,
                            "keepAliveMs": 25000, "topics": topics, "entry": {"id": "x", "projectId": "8888"}});
        self.answer(asked, answer).await;
    }

    pub async fn close(mut self, code: u16) {
        let code = CloseCode::try_from(code).unwrap();
        timeout(DEADLINE, self.socket.send(Message::close(Some(code), ""))).await.unwrap().unwrap();
        // The client's answer, so that the frames before are not lost to a reset.
        while let Ok(Some(Ok(_))) = timeout(DEADLINE, self.socket.next()).await {}
    }

    /// Whether the client has left.
    pub async fn ends(mut self) -> bool {
        timeout(DEADLINE, async { while let Some(Ok(_)) = self.socket.next().await {} }).await.is_ok()
    }
}

pub fn quick() -> Backoff {
    Backoff {
        base: Duration::from_millis(5),
        cap: Duration::from_millis(20),
        stable: Duration::from_secs(30),
    }
}

/// A backoff that a test would not outlive.
pub fn never() -> Backoff {
    let long = Duration::from_secs(1_000_000_000);
    Backoff { base: long, cap: long, stable: long }
}

pub async fn subscribe(client: &Client, peer: &mut Peer, topics: &[&str]) -> Subscription {
    let begins = async {
        if topics.is_empty() {
            peer.own_topic().await;
        }
        peer.subscribe().await
    };
    let (subscription, _) = tokio::join!(client.subscribe(topics.iter().copied()), begins);
    subscription.unwrap()
}

pub async fn next(subscription: &mut Subscription) -> Option<Event> {
    timeout(DEADLINE, subscription.next()).await.expect("no event came")
}

/// The offset of the next entry; news of the connection is left out.
pub async fn next_offset(subscription: &mut Subscription) -> u64 {
    loop {
        match next(subscription).await.expect("the subscription ended") {
            Event::Message(message) => return message.offset,
            Event::Disconnected { .. } | Event::Reconnected { .. } => {}
            other => panic!("not an entry: {other:?}"),
        }
    }
}
