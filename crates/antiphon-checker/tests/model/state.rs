//! A state of the world: the store, what is on its way, the nodes and the clients. Small and flat, since millions are held.

use std::hash::{Hash, Hasher};

pub const TOPICS: usize = 2;
pub const NODES: usize = 2;
pub const CLIENTS: usize = 2;
/// Entries that can ever be committed.
pub const ENTRIES: usize = 6;
/// Publishes that can be on their way.
pub const ATTEMPTS: usize = 4;
/// Entries of a ring.
pub const RING: usize = 2;
/// The client that may be removed from its project, and the topic that is the project's: nobody else may stay subscribed to it.
/// In the other topic entries are for the project, and each is decided about when it leaves.
pub const REMOVED: usize = 1;
pub const PROJECT_TOPIC: usize = 1;

/// Names an entry, and the history up to it: an entry is appended once, behind one other, so its id says what its link would.
pub type Id = u8;
/// The position before all entries.
pub const START: Id = 0;

#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct Entry {
    pub topic: u8,
    pub offset: u8,
    /// The entry before it.
    pub parent: Id,
    pub key: u8,
    /// The tenant's revision that it was stamped with.
    pub revision: u8,
    /// It was sent after the removal had answered.
    pub is_after: bool,
}

/// The database: logs, and the directory.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Default)]
pub struct Store {
    /// All that was ever committed; ids begin with 1.
    pub entries: [Entry; ENTRIES],
    pub len: u8,
    pub heads: [Id; TOPICS],
    /// Entries that a restore has cut from their log, a bit each.
    pub cut: u8,
    pub revision: u8,
    pub is_member: bool,
    /// Where the logs were before the directory changed.
    pub backup: [Id; TOPICS],
}

/// One try to publish.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord, Default)]
pub struct Attempt {
    pub stage: Stage,
    pub key: u8,
    pub node: u8,
    pub is_after: bool,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord, Default)]
pub enum Stage {
    /// There is none.
    #[default]
    None,
    /// It waits in its tenant's lane.
    Queued,
    /// Its batch was taken, and the revision read.
    Stamped(u8),
    /// It is in the log; true: it was there before.
    Committed(Id, bool),
}

#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Default)]
pub struct Node {
    pub feeds: [Feed; TOPICS],
    /// The revision that its audience is at, and what that says of the client that may be removed.
    pub revision: u8,
    pub is_member: bool,
    /// What the shard has not looked after yet.
    pub member_changed: bool,
    pub restarts: [Restarts; TOPICS],
    /// It has not compared its revision with the directory's since a backup was restored.
    pub has_to_look: bool,
    /// The last verification is too long ago.
    pub is_fenced: bool,
    pub asked: Asked,
}

/// Up to where a feed had delivered each time that it began anew.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Default)]
pub struct Restarts([Option<Id>; 2]);

/// A tick's question about revisions.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Default)]
pub enum Asked {
    #[default]
    Nothing,
    /// Answered with this revision; true: it was asked too long ago.
    Revision(u8, bool),
}

#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Default)]
pub struct Feed {
    /// Somebody has subscribed here.
    pub has_begun: bool,
    pub high: Id,
    pub ring: [Id; RING],
    pub len: u8,
    /// One entry that came too early; 0: none.
    pub early: Id,
    pub repair: Repair,
    /// Repair once more.
    pub again: bool,
    /// A page that was read for others.
    pub page: Option<Page>,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Default)]
pub enum Repair {
    #[default]
    Idle,
    Wanted,
    /// The log is not the one that was delivered up to `high`; it is at `head`.
    Fork {
        high: Id,
        head: Id,
    },
    /// The log's entries.
    Read(Page),
}

/// Entries of the log behind an offset, up to this one.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub struct Page {
    pub after: u8,
    pub last: Id,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Default)]
pub struct Client {
    /// The node that it is connected to.
    pub at: Option<u8>,
    pub subs: [Sub; TOPICS],
}

#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Default)]
pub struct Sub {
    pub stand: Stand,
    /// The position that the client holds.
    pub got: Id,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Default)]
pub enum Stand {
    #[default]
    Off,
    /// Its position was judged; true: with a RESET.
    Judged {
        from: Id,
        is_reset: bool,
    },
    On {
        passed: Id,
        place: Place,
        letter: Letter,
    },
    /// Its right to the topic has ended.
    Refused,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum Place {
    /// So many entries before the ring's end; true: the shard has been told that there is something.
    Ring(u8, bool),
    /// It reads the log.
    Log,
}

/// More than a ring can hold: a slot that it does not cover any more.
pub const FALLEN: u8 = RING as u8 + 1;

/// What was read for a subscriber and is on its way to the shard.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Default)]
pub enum Letter {
    #[default]
    None,
    Page {
        after: Id,
        upto: Id,
    },
    Reset {
        after: Id,
        to: Id,
    },
}

/// How much of what is bounded has happened.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct Spent {
    pub sends: [u8; TOPICS],
    pub retries: u8,
    pub unanswered: u8,
    pub crashes: u8,
    pub restores: u8,
    pub moves: u8,
    pub time: u8,
    pub removals: u8,
    pub changes: u8,
    pub directories: u8,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Default)]
pub struct State {
    pub store: Store,
    pub attempts: [Attempt; ATTEMPTS],
    /// Keys that were acknowledged, a bit each.
    pub acked: u8,
    /// What the bell may ring at each node, now or later, once, often or never: a bit for each entry.
    pub posted: [u8; NODES],
    pub nodes: [Node; NODES],
    pub clients: [Client; CLIENTS],
    /// The removal was so long ago that every fence without a look since has fallen.
    pub is_long_removed: bool,
    pub spent: Spent,
    /// What went wrong.
    pub faults: u8,
}

impl Store {
    pub fn entry(&self, id: Id) -> Entry {
        if id == START { Entry::default() } else { self.entries[id as usize - 1] }
    }

    pub fn offset(&self, id: Id) -> u8 {
        self.entry(id).offset
    }

    /// The entry of this offset in the history up to `last`.
    pub fn at(&self, last: Id, offset: u8) -> Option<Id> {
        let mut id = last;
        while self.offset(id) > offset {
            id = self.entry(id).parent;
        }
        (self.offset(id) == offset).then_some(id)
    }

    /// Is this position of the history up to `last`?
    pub fn is_before(&self, id: Id, last: Id) -> bool {
        self.at(last, self.offset(id)) == Some(id)
    }

    /// Is this position of its topic's log now?
    pub fn holds(&self, topic: usize, id: Id) -> bool {
        self.is_before(id, self.heads[topic])
    }

    /// The newest stamp of a page.
    pub fn newest_stamp(&self, page: Page) -> u8 {
        let mut newest = 0;
        let mut id = page.last;
        while self.offset(id) > page.after {
            newest = newest.max(self.entry(id).revision);
            id = self.entry(id).parent;
        }
        newest
    }

    pub fn is_cut(&self, id: Id) -> bool {
        id != START && self.cut & bit(id) != 0
    }
}

// A state is hashed some millions of times, and these are most of it.
impl Hash for Entry {
    fn hash<H: Hasher>(&self, hasher: &mut H) {
        let Self { topic, offset, parent, key, revision, is_after } = *self;
        let bytes = [topic, offset, parent, key, revision, is_after.into(), 0, 0];
        hasher.write_u64(u64::from_le_bytes(bytes));
    }
}

impl Hash for Spent {
    fn hash<H: Hasher>(&self, hasher: &mut H) {
        let Self { sends: [one, two], retries, unanswered, crashes, restores, moves, .. } = *self;
        let bytes = [one, two, retries, unanswered, crashes, restores, moves, self.time];
        hasher.write_u64(u64::from_le_bytes(bytes));
        hasher.write_u32(u32::from_le_bytes([self.removals, self.changes, self.directories, 0]));
    }
}

/// An entry's bit.
pub fn bit(id: Id) -> u8 {
    1 << (id - 1)
}

impl Restarts {
    /// One more; of more than there is room for the last is kept.
    pub fn add(&mut self, was: Id) {
        let [first, second] = &mut self.0;
        *if first.is_none() { first } else { second } = Some(was);
    }

    /// All of them, which are looked after now.
    pub fn take(&mut self) -> impl Iterator<Item = Id> + use<> {
        std::mem::take(&mut self.0).into_iter().flatten()
    }

    pub fn is_empty(&self) -> bool {
        self.0[0].is_none()
    }
}

impl Feed {
    pub fn ring(&self) -> &[Id] {
        &self.ring[..self.len as usize]
    }
}
