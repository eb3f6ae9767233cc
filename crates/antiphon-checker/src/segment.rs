//! A stretch of a stream in which nothing may be missing: from where a subscription began, over all connections on
//! which it went on, until it was ended, reset or begun elsewhere.

/// What was seen of a topic since `from`.
#[derive(Debug)]
pub(crate) struct Segment {
    pub from: u64,
    /// Offsets and times, in order.
    seen: Vec<(u64, u64)>,
    /// Those that came after a later one.
    late: Vec<u64>,
    /// To where the stream was said to have moved, and when.
    moved: Vec<(u64, u64)>,
}

/// How a reception fits in.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Fit {
    /// Behind all others.
    Next,
    /// It had been seen, or lies before the beginning.
    Again,
    /// A later one had been seen.
    Late,
}

impl Segment {
    pub(crate) fn new(from: u64) -> Self {
        Self { from, seen: Vec::new(), late: Vec::new(), moved: Vec::new() }
    }

    pub(crate) fn take(&mut self, offset: u64, at: u64) -> Fit {
        if offset <= self.from || self.has(offset) {
            return Fit::Again;
        }
        if self.seen.last().is_some_and(|(last, _)| *last > offset) {
            self.late.push(offset);
            return Fit::Late;
        }
        self.seen.push((offset, at));
        Fit::Next
    }

    pub(crate) fn has(&self, offset: u64) -> bool {
        self.seen.binary_search_by_key(&offset, |(seen, _)| *seen).is_ok() || self.late.contains(&offset)
    }

    pub(crate) fn seen(&self) -> &[(u64, u64)] {
        &self.seen
    }

    pub(crate) fn move_to(&mut self, offset: u64, at: u64) {
        if self.moved.last().is_none_or(|(last, _)| *last < offset) {
            self.moved.push((offset, at));
        }
    }

    /// How far the stream has certainly come.
    pub(crate) fn reached(&self) -> u64 {
        let last = |list: &[(u64, u64)]| list.last().map_or(self.from, |(offset, _)| *offset);
        last(&self.seen).max(last(&self.moved))
    }

    /// When the stream had certainly gone past this offset; the end of time if that is not known.
    pub(crate) fn passed(&self, offset: u64) -> u64 {
        let first = |list: &[(u64, u64)]| {
            let index = list.partition_point(|(seen, _)| *seen < offset);
            list.get(index).map_or(u64::MAX, |(_, at)| *at)
        };
        first(&self.seen).min(first(&self.moved))
    }
}
