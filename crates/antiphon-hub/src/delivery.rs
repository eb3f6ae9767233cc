//! Something on its way to subscribers: encoded once, shared by all of them.

use std::time::Instant;

use antiphon_protocol::{Audience, Key, Position, ProjectId, UserId, message_with_key};
use antiphon_ws::{Opcode, encode::frame};
use bytes::Bytes;

/// An entry or a signal as the WebSocket frame that every admitted subscriber gets.
#[derive(Debug)]
pub struct Delivery {
    /// An entry's place in the log; signals have none.
    pub position: Option<Position>,
    /// Who gets it.
    pub audience: Audience,
    /// The whole frame.
    pub frame: Bytes,
    /// The author, and the frame that its own connections get: with the key.
    pub own: Option<(UserId, Bytes)>,
    /// When it came into being here.
    pub since: Instant,
}

impl Delivery {
    /// An entry, from the JSON of its MESSAGE frame.
    pub fn entry(
        position: Position,
        project: Option<ProjectId>,
        author: Option<UserId>,
        key: Option<Key>,
        json: &[u8],
    ) -> Self {
        let own = author.zip(key).map(|(author, key)| {
            let keyed = message_with_key(json, &key);
            (author, frame(Opcode::Text, &keyed))
        });
        let audience = project.map_or(Audience::All, Audience::Project);
        Self {
            position: Some(position),
            audience,
            frame: frame(Opcode::Text, json),
            own,
            since: Instant::now(),
        }
    }

    /// A signal, from the JSON of its frame.
    pub fn signal(project: Option<ProjectId>, json: &[u8]) -> Self {
        let audience = project.map_or(Audience::All, Audience::Project);
        Self { position: None, audience, frame: frame(Opcode::Text, json), own: None, since: Instant::now() }
    }

    /// Its number in the log; none for a signal.
    pub fn offset(&self) -> Option<u64> {
        self.position.map(|position| position.offset)
    }
}
