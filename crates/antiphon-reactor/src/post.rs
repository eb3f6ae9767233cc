//! What other threads give to a shard.

use std::{
    any::Any,
    io,
    sync::{
        Arc,
        atomic::{AtomicBool, AtomicUsize, Ordering},
    },
    time::Duration,
};

use antiphon_hub::{SubscriberKey, Wake};
use antiphon_node::Catchup;
use antiphon_session::{Answer, Opening};
use bytes::Bytes;
use parking_lot::Mutex;

use crate::socket::RawSocket;

/// An upgraded connection.
pub struct Accepted {
    /// Its socket.
    pub socket: RawSocket,
    /// What was read of it already, behind the upgrade.
    pub read: Bytes,
    /// What was known when it came.
    pub opening: Opening,
    /// What its acceptor counts it by while nobody knows who it is.
    pub place: Option<HalfOpenPlace>,
}

/// Held until a connection has shown who it is, or has ended; then dropped.
pub type HalfOpenPlace = Arc<dyn Any + Send + Sync>;

/// A connection of a shard, and which one it was in its place.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Address {
    pub connection: usize,
    pub generation: u32,
}

pub(crate) enum Post {
    Accept(Box<Accepted>),
    Answer(Address, Answer),
    /// What follows a position for a subscriber.
    Page(Address, SubscriberKey, antiphon_protocol::Position, Catchup),
    /// Move the clients away over this time, then end.
    Drain(Duration),
    /// End every connection without a word.
    Kill,
}

/// A shard's letter box.
pub(crate) struct Letters {
    waker: mio::Waker,
    rung: AtomicBool,
    posts: Mutex<Vec<Post>>,
    /// Connections, for dealing them out and for the end of a drain.
    pub connections: AtomicUsize,
}

impl Letters {
    pub fn new(waker: mio::Waker) -> Arc<Self> {
        let (rung, connections) = (AtomicBool::new(false), AtomicUsize::new(0));
        Arc::new(Self { waker, rung, posts: Mutex::default(), connections })
    }

    pub fn post(&self, post: Post) {
        self.posts.lock().push(post);
        self.wake();
    }

    /// What has come; whoever posts from now on wakes again.
    pub fn take(&self) -> Vec<Post> {
        self.rung.store(false, Ordering::Release);
        std::mem::take(&mut self.posts.lock())
    }
}

impl Wake for Letters {
    fn wake(&self) {
        if !self.rung.swap(true, Ordering::AcqRel)
            && let Err(error) = self.waker.wake()
        {
            report(&error);
        }
    }
}

fn report(error: &io::Error) {
    tracing::error!(%error, "a shard could not be woken");
}
