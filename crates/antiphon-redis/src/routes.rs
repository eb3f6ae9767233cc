//! Where posts go: to the queue of the Redis that has their channel.

use std::collections::HashMap;

use antiphon_core::{Posts, WaitingPosts};
use bytes::Bytes;
use parking_lot::Mutex;
use tokio::sync::Notify;

use crate::{address::Server, map::Map};

pub(crate) struct Routes {
    // No other lock is taken under it.
    state: Mutex<State>,
    queue: usize,
    /// There is an outlet that nobody serves yet.
    pub opened: Notify,
}

struct State {
    map: Option<Map>,
    outlets: HashMap<Server, Posts>,
    opened: Vec<(Server, WaitingPosts)>,
    /// Of which all outlets have their bytes.
    all: Posts,
}

impl Routes {
    /// Each Redis' queue holds so many posts; all of them together so many bytes.
    pub fn new(queue: usize, bytes: usize) -> Self {
        let (all, _) = Posts::queue(1, bytes);
        let state = State { map: None, outlets: HashMap::new(), opened: Vec::new(), all };
        Self { state: Mutex::new(state), queue, opened: Notify::new() }
    }

    pub fn owner(&self, channel: &str) -> Option<Server> {
        self.state.lock().map.as_ref().and_then(|map| map.owner(channel)).cloned()
    }

    pub fn servers(&self) -> Vec<Server> {
        self.state.lock().map.as_ref().map(|map| map.servers().to_vec()).unwrap_or_default()
    }

    /// The queues of those that are in it no more end with what they hold. True if that is a change.
    pub fn set(&self, map: Map) -> bool {
        let mut state = self.state.lock();
        if state.map.as_ref() == Some(&map) {
            return false;
        }
        state.outlets.retain(|server, _| map.servers().contains(server));
        state.map = Some(map);
        true
    }

    pub fn learn(&self, channel: &str, server: &Server) {
        if let Some(map) = &mut self.state.lock().map {
            map.learn(channel, server);
        }
    }

    /// False if there is no room, or nobody who has the channel.
    pub fn put(&self, channel: &str, bytes: Bytes, is_again: bool) -> bool {
        let mut guard = self.state.lock();
        let state = &mut *guard;
        let Some(server) = state.map.as_ref().and_then(|map| map.owner(channel)) else { return false };
        if let Some(posts) = state.outlets.get(server) {
            return posts.put(channel.to_owned(), bytes, is_again);
        }
        let (posts, waiting) = state.all.beside(self.queue);
        let is_put = posts.put(channel.to_owned(), bytes, is_again);
        state.outlets.insert(server.clone(), posts);
        state.opened.push((server.clone(), waiting));
        drop(guard);
        self.opened.notify_one();
        is_put
    }

    /// The outlets that nobody serves yet.
    pub fn opened(&self) -> Vec<(Server, WaitingPosts)> {
        std::mem::take(&mut self.state.lock().opened)
    }
}
