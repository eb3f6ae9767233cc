//! Nodes on memory engines, with clients on socket pairs: everything between the socket and the seams is real.

#![allow(dead_code, missing_docs, clippy::unwrap_used)]

use std::{
    io::{Read, Write},
    os::unix::net::UnixStream,
    sync::Arc,
    time::{Duration, Instant},
};

use antiphon_core::{
    AuthError, Authenticator, Directory, Identity, Limits, MemberSettings, PublishHook, Store, Tasks,
    TopicRules,
};
use antiphon_memory::{MemoryBus, MemoryDirectory, MemoryPresence, MemoryStore};
use antiphon_node::{Engines, Node};
use antiphon_protocol::{ClusterSecret, ProjectId, TenantId, UserId, now_ms};
use antiphon_reactor::{Accepted, RawSocket, Reactor, ReactorOptions};
use antiphon_session::Opening;
use antiphon_ws::{Opcode, client};
use async_trait::async_trait;
use serde_json::{Value, json};

pub const PATIENCE: Duration = Duration::from_secs(10);

/// Takes `tenant/user` and `tenant/user/ttl_ms` for tokens.
pub struct SaysWho(pub Arc<MemoryDirectory>);

#[async_trait]
impl Authenticator for SaysWho {
    async fn authenticate(&self, tokens: &[&str]) -> Vec<Result<Identity, AuthError>> {
        let mut answers = Vec::new();
        for token in tokens {
            let parts: Vec<&str> = token.split('/').collect();
            let (Some(tenant), Some(user)) = (parts.first(), parts.get(1)) else {
                answers.push(Err(AuthError::Invalid("unknown")));
                continue;
            };
            let (tenant, user) = (TenantId::parse(tenant).unwrap(), UserId::parse(user).unwrap());
            let (_, states) = self.0.user_states(&tenant, std::slice::from_ref(&user)).await.unwrap();
            if !states[0].exists {
                answers.push(Err(AuthError::Invalid("unknown")));
                continue;
            }
            let expires_at = parts.get(2).map(|ttl| now_ms() + ttl.parse::<i64>().unwrap());
            answers.push(Ok(Identity { tenant, user, expires_at, revocations: states[0].revocations }));
        }
        answers
    }
}

/// What the nodes of a cluster share.
pub struct Cluster {
    pub runtime: tokio::runtime::Runtime,
    pub store: Arc<MemoryStore>,
    pub directory: Arc<MemoryDirectory>,
    pub presence: Arc<MemoryPresence>,
    pub bus: Arc<MemoryBus>,
    pub secret: ClusterSecret,
    pub limits: Limits,
    pub hook: Option<Arc<dyn PublishHook>>,
}

pub struct Running {
    pub node: Arc<Node>,
    pub reactor: Arc<Reactor>,
}

pub fn tenant(id: &str) -> TenantId {
    TenantId::parse(id).unwrap()
}

pub fn user(id: &str) -> UserId {
    UserId::parse(id).unwrap()
}

pub fn project(id: &str) -> ProjectId {
    ProjectId::parse(id).unwrap()
}

impl Cluster {
    pub fn new() -> Self {
        Self::with(Limits { rate_per_second: 0, ..Limits::default() })
    }

    pub fn with(limits: Limits) -> Self {
        let runtime =
            tokio::runtime::Builder::new_multi_thread().worker_threads(2).enable_all().build().unwrap();
        let secret = ClusterSecret::new([9; 32]);
        let cluster = Self {
            store: Arc::new(MemoryStore::new(secret.clone())),
            directory: Arc::new(MemoryDirectory::default()),
            presence: Arc::new(MemoryPresence::default()),
            bus: MemoryBus::new(),
            secret,
            limits,
            hook: None,
            runtime,
        };
        for name in ["ann", "bob", "cleo"] {
            cluster.runtime.block_on(cluster.directory.put_user(&tenant("acme"), &user(name))).unwrap();
        }
        cluster.runtime.block_on(cluster.directory.put_user(&tenant("globex"), &user("gus"))).unwrap();
        cluster
    }

    pub fn member(&self, of: &str, who: &str, deliver: bool) {
        let settings = MemberSettings { user: user(who), deliver: Some(deliver), push: None };
        let put = async { self.directory.put_members(&tenant("acme"), &project(of), &[settings]).await };
        self.runtime.block_on(put).unwrap();
    }

    pub fn node(&self) -> Running {
        self.node_on(self.store.clone(), &self.secret)
    }

    /// A node on another store than the cluster's.
    pub fn node_on(&self, store: Arc<dyn Store>, secret: &ClusterSecret) -> Running {
        let engines = Engines {
            tail: None,
            store,
            broker: Arc::new(self.bus.broker()),
            plain: None,
            directory: self.directory.clone(),
            presence: self.presence.clone(),
            authenticator: Arc::new(SaysWho(self.directory.clone())),
            authorizer: Arc::new(TopicRules::default()),
            hook: self.hook.clone(),
            tokens: None,
            keys: None,
        };
        let tasks = Tasks::new(self.runtime.handle().clone());
        let _runtime = self.runtime.enter();
        let node = Node::start(engines, secret.clone(), self.limits.clone(), tasks);
        let reactor = Reactor::start(&node, &ReactorOptions { shards: 2 }).unwrap();
        Running { node, reactor }
    }
}

impl Running {
    pub fn connect(&self) -> Client {
        self.connect_with(Opening::default())
    }

    pub fn connect_with(&self, opening: Opening) -> Client {
        let (here, there) = UnixStream::pair().unwrap();
        self.reactor.accept(Accepted {
            place: None,
            socket: RawSocket::Unix(there),
            read: bytes::Bytes::new(),
            opening,
        });
        here.set_read_timeout(Some(Duration::from_millis(20))).unwrap();
        Client { socket: here, buffer: Vec::new() }
    }

    /// A client that has subscribed to the tenant's own topic.
    pub fn subscribed(&self, token: &str) -> Client {
        let mut client = self.connect();
        client.say(json!({"type": "SUBSCRIBE", "token": token}));
        client.expect("SUBSCRIPTION_SUCCESSFUL");
        client
    }
}

pub struct Client {
    pub socket: UnixStream,
    buffer: Vec<u8>,
}

#[derive(Debug, PartialEq)]
pub enum Heard {
    Text(Value),
    Ping,
    Pong,
    Close(u16),
    End,
    Nothing,
}

impl Client {
    pub fn say(&mut self, frame: Value) {
        self.say_text(&frame.to_string());
    }

    pub fn say_text(&mut self, text: &str) {
        self.socket.write_all(&client::frame(Opcode::Text, text.as_bytes())).unwrap();
    }

    /// Bytes that were read beside this, to be heard next.
    pub fn put_back(&mut self, bytes: Vec<u8>) {
        self.buffer.extend(bytes);
    }

    pub fn raw(&mut self, bytes: &[u8]) {
        self.socket.write_all(bytes).unwrap();
    }

    /// The next frame, within this time.
    pub fn hear(&mut self, within: Duration) -> Heard {
        let until = Instant::now() + within;
        loop {
            if let Some(heard) = self.parse() {
                return heard;
            }
            let mut chunk = [0; 16 * 1024];
            match self.socket.read(&mut chunk) {
                Ok(0) => return Heard::End,
                Ok(len) => self.buffer.extend_from_slice(&chunk[..len]),
                Err(error) if error.kind() == std::io::ErrorKind::WouldBlock => {
                    if Instant::now() > until {
                        return Heard::Nothing;
                    }
                }
                Err(_) => return Heard::End,
            }
        }
    }

    fn parse(&mut self) -> Option<Heard> {
        let [first, second, ..] = *self.buffer.as_slice() else { return None };
        let (len, head) = match second {
            126 => (u16::from_be_bytes(self.buffer.get(2..4)?.try_into().ok()?) as usize, 4),
            127 => (u64::from_be_bytes(self.buffer.get(2..10)?.try_into().ok()?) as usize, 10),
            len => (len as usize, 2),
        };
        let payload = self.buffer.get(head..head + len)?.to_vec();
        self.buffer.drain(..head + len);
        Some(match first & 0xf {
            1 => Heard::Text(serde_json::from_slice(&payload).unwrap()),
            8 => Heard::Close(payload.get(..2).map_or(1005, |code| u16::from_be_bytes([code[0], code[1]]))),
            9 => Heard::Ping,
            _ => Heard::Pong,
        })
    }

    /// The next text frame, which must be of this type.
    #[track_caller]
    pub fn expect(&mut self, kind: &str) -> Value {
        loop {
            match self.hear(PATIENCE) {
                Heard::Text(frame) => {
                    assert_eq!(frame["type"], kind, "{frame}");
                    return frame;
                }
                Heard::Ping => {}
                other => panic!("expected {kind}, heard {other:?}"),
            }
        }
    }

    /// The next text frame of this type, whatever comes before it.
    #[track_caller]
    pub fn find(&mut self, kind: &str) -> Value {
        loop {
            match self.hear(PATIENCE) {
                Heard::Text(frame) if frame["type"] == kind => return frame,
                Heard::Text(_) | Heard::Ping => {}
                other => panic!("expected {kind}, heard {other:?}"),
            }
        }
    }

    #[track_caller]
    pub fn expect_close(&mut self, code: u16) {
        match self.hear(PATIENCE) {
            Heard::Close(heard) => assert_eq!(heard, code),
            other => panic!("expected a close with {code}, heard {other:?}"),
        }
    }

    /// Nothing comes between a PING and its PONG: all that was sent before is here.
    #[track_caller]
    pub fn expect_silence(&mut self) {
        self.say(json!({"type": "PING", "ref": "silence"}));
        let pong = self.expect("PONG");
        assert_eq!(pong["ref"], "silence");
    }

    pub fn publish(&mut self, text: &str) -> Value {
        self.say(json!({"type": "MESSAGE", "text": text}));
        self.find("ACCEPTED")
    }
}

/// Polls until it holds.
#[track_caller]
pub fn wait_until(what: &str, mut holds: impl FnMut() -> bool) {
    let until = Instant::now() + PATIENCE;
    while !holds() {
        assert!(Instant::now() < until, "{what}");
        // poll: a condition without an event.
        std::thread::sleep(Duration::from_millis(10));
    }
}
