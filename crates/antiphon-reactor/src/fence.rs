//! A node that could verify nothing for too long delivers nothing, and lets its clients go where it is told to.

use antiphon_hub::SubscriberKey;
use antiphon_node::EndReason;
use antiphon_protocol::CloseCode;
use rand::RngExt;

use crate::{links::Links, shard::ShardThread};

/// Within this time (ms) the clients of a node that lets them go come back elsewhere.
const COME_BACK_WITHIN_MS: u64 = 2000;

impl Links {
    /// May anything leave now? Asked right before each write, since the thread may have been frozen since it last was. What may
    /// not leave stays where it is, and so does all that comes behind it, until [`ShardThread::go_on_verified`].
    pub fn may_deliver(&mut self) -> bool {
        self.holds_back |= !self.node.is_verified();
        !self.holds_back
    }
}

impl ShardThread {
    /// Goes on with what was held back, once the node has verified again; what is new in the feeds comes with the pass.
    pub(crate) fn go_on_verified(&mut self) {
        if !self.links.holds_back || !self.links.node.is_verified() {
            return;
        }
        self.links.holds_back = false;
        for index in self.links.connections.iter().map(|(index, _)| index).collect::<Vec<_>>() {
            let Some(connection) = self.links.connections.get(index) else { continue };
            if connection.outlet.is_blocked() {
                self.flush(index);
            } else if connection.closing_since.is_none() {
                let keys: Vec<SubscriberKey> = connection.session.keys().collect();
                keys.into_iter().for_each(|key| self.go_on_with(index, key));
            }
        }
    }

    /// Ends every connection of a node that has to let them go, with a code that is worth coming back elsewhere.
    pub(crate) fn let_go(&mut self) {
        if self.links.connections.is_empty() || !self.links.node.lets_go() {
            return;
        }
        for index in self.links.connections.iter().map(|(index, _)| index).collect::<Vec<_>>() {
            if self.links.connections.get(index).is_none_or(|held| held.closing_since.is_some()) {
                continue;
            }
            let after_ms = rand::rng().random_range(0..=COME_BACK_WITHIN_MS);
            self.step(index, |session, _, _, acts| session.reconnect(after_ms, acts));
            self.links.close(index, CloseCode::Restart, EndReason::Fenced);
        }
    }
}

#[cfg(test)]
mod tests {
    use std::{io::Read, os::unix::net::UnixStream, sync::Arc, time::Duration};

    use antiphon_core::{AuthError, Authenticator, Identity, Limits, Tasks, TopicRules};
    use antiphon_hub::{Outlets, Taken};
    use antiphon_memory::{MemoryBus, MemoryDirectory, MemoryPresence, MemoryStore};
    use antiphon_node::{Engines, Node};
    use antiphon_protocol::ClusterSecret;
    use antiphon_session::{Opening, Session};
    use bytes::Bytes;
    use slab::Slab;

    use super::*;
    use crate::{RawSocket, connection::Connection, outlet::Outlet, post::Letters, socket::Socket};

    struct Nobody;

    #[async_trait::async_trait]
    impl Authenticator for Nobody {
        async fn authenticate(&self, tokens: &[&str]) -> Vec<Result<Identity, AuthError>> {
            tokens.iter().map(|_| Err(AuthError::Invalid("unknown"))).collect()
        }
    }

    /// A node on a runtime that nobody drives: it verifies nothing after its start.
    fn node(runtime: &tokio::runtime::Runtime, fence: Duration) -> Arc<Node> {
        let secret = ClusterSecret::new([9; 32]);
        let engines = Engines {
            tail: None,
            store: Arc::new(MemoryStore::new(secret.clone())),
            broker: Arc::new(MemoryBus::new().broker()),
            plain: None,
            directory: Arc::new(MemoryDirectory::default()),
            presence: Arc::new(MemoryPresence::default()),
            authenticator: Arc::new(Nobody),
            authorizer: Arc::new(TopicRules::default()),
            hook: None,
            tokens: None,
            keys: None,
        };
        let limits = Limits { fence, tick: Duration::ZERO, ..Limits::default() };
        let _entered = runtime.enter();
        Node::start(engines, secret, limits, Tasks::new(runtime.handle().clone()))
    }

    fn links(node: Arc<Node>) -> (Links, UnixStream) {
        let (here, there) = UnixStream::pair().unwrap();
        here.set_nonblocking(true).unwrap();
        let poll = mio::Poll::new().unwrap();
        let waker = mio::Waker::new(poll.registry(), mio::Token(0)).unwrap();
        let mut connections = Slab::new();
        connections.insert(Connection {
            generation: 0,
            outlet: Outlet::new(Socket::new(RawSocket::Unix(there)).unwrap()),
            decoder: antiphon_ws::Decoder::new(),
            session: Session::new(Opening::default(), 0),
            turns: antiphon_node::Turns::default(),
            unread: None,
            is_readable: false,
            reads_page: false,
            last_heard: std::time::Instant::now(),
            pinged_at: None,
            closing_since: None,
            half_open: None,
            reason: None,
            is_over: false,
            armed_at: 0,
        });
        let links = Links {
            node,
            letters: Letters::new(waker),
            connections,
            ended: Vec::new(),
            goodbyes: Vec::new(),
            corked: Vec::new(),
            is_corking: false,
            holds_back: false,
            half_open: Arc::default(),
        };
        (links, here)
    }

    fn heard(client: &mut UnixStream) -> String {
        let mut bytes = [0; 64];
        let len = client.read(&mut bytes).unwrap_or(0);
        String::from_utf8_lossy(&bytes[..len]).into_owned()
    }

    #[test]
    fn a_pass_in_whose_midst_the_fence_falls_writes_nothing_more() {
        let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap();
        let (stands, fallen) = (node(&runtime, Duration::from_secs(3600)), node(&runtime, Duration::ZERO));
        let (mut links, mut client) = links(stands.clone());
        assert_eq!(links.write(0, &Bytes::from_static(b"one ")), Taken::All);
        // Of several topics: it leaves with the pass's end.
        links.connections[0].outlet.keep(Bytes::from_static(b"two "));
        links.corked.push(0);
        links.node = fallen;
        assert_eq!(links.write(0, &Bytes::from_static(b"three ")), Taken::Blocked);
        links.uncork();
        assert_eq!(heard(&mut client), "one ");
        links.node = stands;
        assert_eq!(
            links.write(0, &Bytes::from_static(b"three ")),
            Taken::Blocked,
            "before what is held back"
        );
        links.holds_back = false;
        links.flush(0);
        assert_eq!(links.write(0, &Bytes::from_static(b"three ")), Taken::All);
        assert_eq!(heard(&mut client), "two three ");
    }
}
