//! Something on its way to subscribers: encoded once, shared by all of them.

use std::{ops::Range, time::Instant};

use antiphon_protocol::{Audience, ClusterSecret, Key, Position, ProjectId, UserId, message_with_key};
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
    /// Of an entry that can be proved: its id, and where its content stands in the frame.
    pub chained: Option<(uuid::Uuid, Range<usize>)>,
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
            chained: None,
            since: Instant::now(),
        }
    }

    /// The same with what its link is made of: its id, and where its content stands in the JSON.
    #[must_use]
    pub fn chained(mut self, id: uuid::Uuid, content: Range<usize>, json: &[u8]) -> Self {
        let head = self.frame.len() - json.len();
        self.chained = Some((id, content.start + head..content.end + head));
        self
    }

    /// False if it is the entry behind this one by its number, and of another history. Nothing is said of what can't be proved.
    pub(crate) fn may_follow(&self, last: Position, secret: &ClusterSecret) -> bool {
        let (Some(position), Some((id, content))) = (self.position, &self.chained) else { return true };
        let content = self.frame.get(content.clone()).unwrap_or_default();
        position.offset != last.offset + 1 || position == secret.next_of(last, id, content)
    }

    /// True if it is the entry behind this one, and of its history.
    pub fn follows(&self, last: Position, secret: &ClusterSecret) -> bool {
        self.offset() == Some(last.offset + 1) && self.may_follow(last, secret)
    }

    /// A signal, from the JSON of its frame.
    pub fn signal(project: Option<ProjectId>, json: &[u8]) -> Self {
        let audience = project.map_or(Audience::All, Audience::Project);
        Self {
            position: None,
            audience,
            frame: frame(Opcode::Text, json),
            own: None,
            chained: None,
            since: Instant::now(),
        }
    }

    /// Its number in the log; none for a signal.
    pub fn offset(&self) -> Option<u64> {
        self.position.map(|position| position.offset)
    }
}
