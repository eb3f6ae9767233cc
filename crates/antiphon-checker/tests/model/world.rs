//! A world: its rules, and how much may happen in it.

use super::rules::{Rule, Rules};
use super::state::*;

/// Bounds and rules.
#[derive(Debug, Clone, Copy)]
pub struct World {
    pub rules: Rules,
    /// Entries of the first topic that all have heard at the beginning.
    pub heard: u8,
    /// Publishes that are on their way at once.
    pub at_once: usize,
    /// Keys that are published in each topic.
    pub keys: [u8; TOPICS],
    /// Which client subscribes to which topics.
    pub wants: [[bool; TOPICS]; CLIENTS],
    pub retries: u8,
    /// Commits whose answer is lost.
    pub unanswered: u8,
    pub crashes: u8,
    /// Restores of a topic's log to an earlier state.
    pub restores: u8,
    /// Pages that were read for others may be let go of at any time.
    pub pages_age: bool,
    /// Disconnects of clients.
    pub moves: u8,
    /// Times that a fence's limit passes; 0: it never does, and a tick is one step.
    pub time: u8,
    pub removals: u8,
    /// Changes of the directory that touch nobody here.
    pub changes: u8,
    /// Restores of the whole database to before such a change.
    pub directories: u8,
}

/// Nothing happens in it.
pub const QUIET: World = World {
    rules: Rules::ALL,
    heard: 0,
    at_once: 2,
    keys: [0; TOPICS],
    wants: [[true; TOPICS]; CLIENTS],
    retries: 0,
    unanswered: 0,
    crashes: 0,
    restores: 0,
    pages_age: false,
    moves: 0,
    time: 0,
    removals: 0,
    changes: 0,
    directories: 0,
};

impl World {
    #[must_use]
    pub fn without(mut self, rule: Rule) -> Self {
        self.rules = Rules::without(rule);
        self
    }

    pub fn keeps(&self, rule: Rule) -> bool {
        self.rules.keep(rule)
    }

    /// Each client is connected to its own node and has heard of everything.
    pub fn beginning(&self) -> State {
        let mut state = State::default();
        (state.store.revision, state.store.is_member) = (1, true);
        for node in &mut state.nodes {
            (node.revision, node.is_member) = (1, true);
        }
        for offset in 1..=self.heard {
            let key = u8::MAX;
            state.store.entries[offset as usize - 1] =
                Entry { topic: 0, offset, parent: offset - 1, key, revision: 1, is_after: false };
            (state.store.len, state.store.heads[0]) = (offset, offset);
        }
        for (client, wants) in self.wants.iter().enumerate() {
            state.clients[client].at = Some(client as u8);
            for topic in (0..TOPICS).filter(|topic| wants[*topic]) {
                let passed = state.store.heads[topic];
                let feed = &mut state.nodes[client].feeds[topic];
                (feed.has_begun, feed.high) = (true, passed);
                let stand = Stand::On { passed, place: Place::Ring(0, false), letter: Letter::None };
                state.clients[client].subs[topic] = Sub { stand, got: passed };
            }
        }
        state
    }

    /// The topic that a key is published in: the first of them in the first.
    pub fn topic_of(&self, key: u8) -> usize {
        usize::from(key >= self.keys[0])
    }
}
