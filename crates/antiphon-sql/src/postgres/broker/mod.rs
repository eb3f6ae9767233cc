//! The broker on PostgreSQL's LISTEN and NOTIFY: the bell of a cluster without Redis. One channel carries the posts of all
//! topics; what a node does not listen to it throws away unread.
//!
//! Both connections are its own: no transaction of a publish ever notifies, for that takes a lock of the whole server.

mod hear;
mod payload;
mod seal;
mod send;

use std::sync::{
    Arc,
    atomic::{AtomicU64, Ordering},
};

use antiphon_core::{Broker, BrokerState, Channel, Inbox, Posts, Tasks};
use antiphon_protocol::ClusterSecret;
use bytes::Bytes;

use super::PostgresUrl;
use hear::Hearing;
use seal::{Sealer, name};

/// Posts that may wait to be sent, and the bytes that these may have together.
const QUEUE_POSTS: usize = 16 * 1024;
const QUEUE_BYTES: usize = 64 * 1024 * 1024;

/// The Broker on one PostgreSQL database.
pub struct PostgresBroker {
    hearing: Arc<Hearing>,
    posts: Posts,
    dropped: Arc<AtomicU64>,
    secret: ClusterSecret,
}

impl PostgresBroker {
    /// Starts to connect; whether PostgreSQL is there shows in its state. Its tasks end with `tasks`.
    pub fn start(url: &PostgresUrl, secret: &ClusterSecret, tasks: &Tasks) -> Arc<Self> {
        let (posts, waiting) = Posts::queue(QUEUE_POSTS, QUEUE_BYTES);
        let hearing = Arc::new(Hearing::new(secret.clone()));
        let dropped = Arc::new(AtomicU64::new(0));
        tasks.spawn_until_end(hear::run(url.clone(), hearing.clone()));
        let sealer = Sealer::new(secret);
        tasks.spawn_until_end(send::run(url.clone(), hearing.clone(), waiting, sealer, dropped.clone()));
        Arc::new(Self { hearing, posts, dropped, secret: secret.clone() })
    }
}

impl Broker for PostgresBroker {
    fn attach(&self, inbox: Arc<dyn Inbox>) {
        self.hearing.ear.attach(&inbox);
    }

    fn listen(&self, channel: &Channel) {
        self.hearing.want(channel);
    }

    fn ignore(&self, channel: &Channel) {
        self.hearing.ignore(channel);
    }

    fn post(&self, channel: &Channel, bytes: Bytes) {
        if !self.hearing.ear.is_up() || !self.posts.put(name(&self.secret, channel), bytes, false) {
            self.dropped.fetch_add(1, Ordering::Relaxed);
        }
    }

    fn current_state(&self) -> BrokerState {
        self.hearing.ear.state()
    }

    fn dropped(&self) -> u64 {
        self.dropped.load(Ordering::Relaxed)
    }
}
