//! One topic as this client hears it: where its stream is, from which line it is heard, and who hears it.

use std::sync::Arc;

use tokio::time::Instant;

use crate::{
    event::{Event, Message},
    inbox::Inbox,
    lines::LineId,
};

#[derive(Debug)]
pub(crate) struct Stream {
    pub(crate) subscription: u64,
    /// After which entry a line goes on; none: from the head.
    pub(crate) position: Option<String>,
    /// The last offset that came.
    offset: u64,
    /// The line that this topic is heard from; what others say of it is left out.
    pub(crate) owner: Option<LineId>,
    /// The line that was last asked for it.
    pub(crate) asked: Option<LineId>,
    /// Until when the server wants not to be asked.
    pub(crate) waits_until: Option<Instant>,
    /// There was no room for an entry.
    pub(crate) rests: bool,
    pub(crate) inbox: Arc<Inbox>,
}

impl Stream {
    pub(crate) fn new(subscription: u64, position: Option<String>, inbox: Arc<Inbox>) -> Self {
        Self {
            subscription,
            position,
            offset: 0,
            owner: None,
            asked: None,
            waits_until: None,
            rests: false,
            inbox,
        }
    }

    /// A line has begun to say it.
    pub(crate) fn begin(&mut self, line: LineId, position: &str) {
        self.owner = Some(line);
        self.position.get_or_insert_with(|| position.to_owned());
    }

    /// An entry came, in a frame of so many bytes; false: there is no room for it. One that was seen before is dropped.
    pub(crate) fn message(&mut self, message: Message, bytes: usize) -> bool {
        if message.offset <= self.offset {
            return true;
        }
        let (offset, position) = (message.offset, message.position.clone());
        let taken = self.inbox.push(Event::Message(message), bytes);
        if taken {
            self.offset = offset;
            self.position = Some(position);
        }
        taken
    }

    /// The stream moved without an entry.
    pub(crate) fn moved(&mut self, topic: String, position: String, offset: u64) {
        if offset < self.offset {
            return;
        }
        let event = Event::Position { topic, position: position.clone(), offset };
        if self.inbox.push(event, 0) {
            self.offset = offset;
            self.position = Some(position);
        }
    }

    /// The stream goes on elsewhere: offsets of before say nothing any more.
    pub(crate) fn reset(&mut self, topic: String, reason: String, position: String) {
        self.offset = 0;
        self.position = Some(position.clone());
        self.inbox.force(Event::Reset { topic, reason, position });
    }
}
