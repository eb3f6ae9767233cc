//! The pass: what has gathered in a topic leaves in one write a subscriber, from one prepared buffer for each
//! audience class.

use std::sync::Arc;

use antiphon_protocol::{Audience, Position, ProjectId};
use bytes::{Bytes, BytesMut};
use smallvec::SmallVec;

use crate::{audience::Member, delivery::Delivery};

/// The most projects that one batch may name: a bit each in a class.
const PROJECTS_MAX: usize = 63;
/// The most bytes that are prepared at once: what a blocked connection may hold.
const BATCH_BYTES_MAX: usize = 64 * 1024;

/// What a connection did with bytes.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Taken {
    /// They are on the socket, or the rest of them is kept until the socket takes it.
    All,
    /// Nothing of them: something from before is still waiting.
    Blocked,
}

/// The sending sides of a shard's connections.
pub trait Outlets {
    /// Writes without waiting.
    fn write(&mut self, connection: usize, bytes: &Bytes) -> Taken;
}

/// A piece of what has gathered, and its prepared buffers.
pub(crate) struct Batch<'a> {
    deliveries: &'a [Arc<Delivery>],
    projects: SmallVec<[&'a ProjectId; 4]>,
    has_own: bool,
    prepared: SmallVec<[(u64, Bytes); 4]>,
    /// The last entry's place in it.
    pub last: Option<Position>,
    first_offset: Option<u64>,
}

impl<'a> Batch<'a> {
    /// The first batch of these deliveries, and what comes after it.
    pub fn cut(gathered: &'a [Arc<Delivery>]) -> (Self, &'a [Arc<Delivery>]) {
        let mut projects: SmallVec<[&ProjectId; 4]> = SmallVec::new();
        let (mut bytes, mut has_own, mut len) = (0, false, 0);
        for delivery in gathered {
            bytes += delivery.frame.len();
            if len > 0 && bytes > BATCH_BYTES_MAX {
                break;
            }
            if let Audience::Project(project) = &delivery.audience
                && !projects.contains(&project)
            {
                if projects.len() == PROJECTS_MAX {
                    break;
                }
                projects.push(project);
            }
            has_own |= delivery.own.is_some();
            len += 1;
        }
        let (deliveries, rest) = gathered.split_at(len);
        let first_offset = deliveries.iter().find_map(|delivery| delivery.offset());
        let last = deliveries.iter().rev().find_map(|delivery| delivery.position);
        (Self { deliveries, projects, has_own, prepared: SmallVec::new(), last, first_offset }, rest)
    }

    /// True if it has another entry where this one was: what follows in it is not what follows that one.
    pub fn contradicts(&self, passed: Position) -> bool {
        self.first_offset.is_some_and(|first| first <= passed.offset)
            && self
                .deliveries
                .iter()
                .filter_map(|one| one.position)
                .any(|position| position.offset == passed.offset && position != passed)
    }

    /// What this subscriber gets of it: frames that follow each other, or nothing. The second is the offset of the last entry among them.
    pub fn frames_for(&mut self, member: &Member, seen: u64) -> (Option<Bytes>, Option<u64>) {
        let state = member.state_ref();
        if !state.exists {
            return (None, None);
        }
        let mut class = 0;
        for (bit, project) in self.projects.iter().enumerate() {
            if state.projects.get(*project).copied().unwrap_or(false) {
                class |= 1 << bit;
            }
        }
        let is_author = self.has_own
            && self
                .deliveries
                .iter()
                .any(|one| one.own.as_ref().is_some_and(|(author, _)| author == member.user()));
        let overlaps = self.first_offset.is_some_and(|first| first <= seen);
        if is_author || overlaps {
            let chosen = self
                .deliveries
                .iter()
                .filter(|one| self.admits(class, one) && one.offset().is_none_or(|offset| offset > seen));
            let chosen: SmallVec<[&Arc<Delivery>; 8]> = chosen.collect();
            let last = chosen.iter().rev().find_map(|one| one.offset());
            let frames = chosen.iter().map(|one| match &one.own {
                Some((author, frame)) if author == member.user() => frame,
                _ => &one.frame,
            });
            return (join(frames), last);
        }
        let last = if self.projects.is_empty() {
            self.last.map(|last| last.offset)
        } else {
            self.deliveries.iter().rev().filter(|one| self.admits(class, one)).find_map(|one| one.offset())
        };
        if let Some((_, bytes)) = self.prepared.iter().find(|(of, _)| *of == class) {
            return (Some(bytes.clone()).filter(|bytes| !bytes.is_empty()), last);
        }
        let bytes = join(self.deliveries.iter().filter(|one| self.admits(class, one)).map(|one| &one.frame));
        self.prepared.push((class, bytes.clone().unwrap_or_default()));
        (bytes, last)
    }

    fn admits(&self, class: u64, delivery: &Delivery) -> bool {
        match &delivery.audience {
            Audience::All => true,
            Audience::Project(project) => {
                self.projects.iter().position(|of| *of == project).is_some_and(|bit| class & (1 << bit) != 0)
            }
        }
    }
}

/// Frames behind each other in one buffer: a single one is shared as it is.
fn join<'b>(frames: impl Iterator<Item = &'b Bytes> + Clone) -> Option<Bytes> {
    let mut rest = frames.clone();
    let first = rest.next()?;
    if rest.next().is_none() {
        return Some(first.clone());
    }
    let mut joined = BytesMut::with_capacity(frames.clone().map(Bytes::len).sum());
    for frame in frames {
        joined.extend_from_slice(frame);
    }
    Some(joined.freeze())
}
