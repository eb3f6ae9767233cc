//! Retention: which of a topic's oldest entries go, decided in memory from what an engine has read under the topic's lock.
//! Both engines ask this, and write what it says.
//!
//! A round has two parts. First go the topics whose oldest entry is too old, by the index over these. Then, if sizes are
//! bounded, all topics are walked by their ids, and those that have grown are looked at. A topic's row holds the bytes of its
//! kept entries up to one of them; what has been appended behind that is added here, and not by whoever appends.

use antiphon_core::{Retention, TrimCursor, Trimmed};

use crate::error::Fault;

/// How much one call of `trim` removes at most, so that no other write waits for long: entries.
pub(crate) const BATCH_ENTRIES: i64 = 5000;
/// Topics that one call looks into.
pub(crate) const BATCH_TOPICS: usize = 64;
/// Topics' rows that one call walks over.
pub(crate) const WALK_TOPICS: usize = 2000;

/// What an engine reads and writes for it.
pub(crate) trait Trims {
    /// Topics whose oldest entry is from before then.
    async fn too_old(&self, before_ms: i64) -> Result<Vec<i64>, sqlx::Error>;

    /// Topics from this id on, and whether each has grown since it was last looked into.
    async fn walk(&self, from: i64, keep: &Retention) -> Result<Vec<(i64, bool)>, sqlx::Error>;

    /// Cuts these topics under their locks; how many entries that removed.
    async fn cut_topics(&self, topics: &[i64], keep: &Retention) -> Result<(u64, Vec<Cut>), Fault>;
}

/// One call of `trim`.
pub(crate) async fn trim_batch(
    engine: &impl Trims,
    keep: &Retention,
    from: TrimCursor,
) -> Result<Trimmed, Fault> {
    match Part::of(from) {
        Part::Age => {
            let topics = match keep.before_ms {
                Some(before_ms) => engine.too_old(before_ms).await?,
                None => Vec::new(),
            };
            let (removed, _) = engine.cut_topics(&topics, keep).await?;
            Ok(Trimmed { removed, next: Part::after_age(keep, removed) })
        }
        Part::Walk(id) => {
            let walk = Walk::of(&engine.walk(id, keep).await?);
            let (removed, cuts) = engine.cut_topics(&walk.topics, keep).await?;
            Ok(Trimmed { removed, next: walk.next_after(&cuts) })
        }
    }
}

/// What a call has to do.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Part {
    /// Topics whose oldest entry is too old.
    Age,
    /// Topics from this id on that have grown.
    Walk(i64),
}

impl Part {
    pub fn of(from: TrimCursor) -> Self {
        if from.0 == 0 { Self::Age } else { Self::Walk(from.0.cast_signed()) }
    }

    /// Where the next call goes on after the part of age removed so many.
    pub fn after_age(keep: &Retention, removed: u64) -> Option<TrimCursor> {
        if removed > 0 {
            return Some(TrimCursor(0));
        }
        keep.bounds_size().then_some(TrimCursor(1))
    }
}

/// What a walk has found.
struct Walk {
    /// The topics to look into.
    pub topics: Vec<i64>,
    /// Where it goes on, unless one of them has more to do.
    pub next: Option<TrimCursor>,
}

impl Walk {
    /// From rows in the order of their ids, with whether each has to be looked into.
    pub fn of(rows: &[(i64, bool)]) -> Self {
        let behind = |id: i64| Some(TrimCursor((id + 1).cast_unsigned()));
        let mut topics: Vec<i64> = rows.iter().filter(|(_, grown)| *grown).map(|(id, _)| *id).collect();
        let mut next = rows.last().filter(|_| rows.len() >= WALK_TOPICS).and_then(|(id, _)| behind(*id));
        if topics.len() > BATCH_TOPICS {
            topics.truncate(BATCH_TOPICS);
            next = topics.last().and_then(|id| behind(*id));
        }
        Self { topics, next }
    }

    /// Where the round goes on, after these cuts.
    pub fn next_after(&self, cuts: &[Cut]) -> Option<TrimCursor> {
        let unfinished = cuts.iter().filter(|cut| cut.has_more).map(|cut| cut.id).min();
        unfinished.map(|id| TrimCursor(id.cast_unsigned())).or(self.next)
    }
}

/// A topic's row as it was read under its lock.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Log {
    pub id: i64,
    pub head: i64,
    pub trimmed: i64,
    pub trimmed_link: i64,
    /// Up to which entry `bytes` counts.
    pub sized: i64,
    pub bytes: i64,
}

pub(crate) type LogRow = (i64, i64, i64, i64, i64, i64);

impl From<LogRow> for Log {
    fn from((id, head, trimmed, trimmed_link, sized, bytes): LogRow) -> Self {
        Self { id, head, trimmed, trimmed_link, sized: sized.max(trimmed), bytes }
    }
}

impl Log {
    /// Counts some entries more, of so many that were asked for.
    pub fn grow(&mut self, last: i64, bytes: i64) {
        self.sized = self.sized.max(last);
        self.bytes += bytes;
    }

    /// True if its oldest entry goes, however young it is.
    pub fn is_over(&self, keep: &Retention) -> bool {
        self.is_over_without(self.trimmed, 0, keep)
    }

    /// The same without the entries up to this one, which have so many bytes.
    fn is_over_without(&self, offset: i64, bytes: i64, keep: &Retention) -> bool {
        let over = |is: i64, most: Option<u64>| most.is_some_and(|most| is > 0 && is.cast_unsigned() > most);
        over(self.head - offset, keep.entries) || over(self.bytes - bytes, keep.bytes)
    }
}

/// One of a topic's oldest entries.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Oldest {
    pub offset: i64,
    pub created_at: i64,
    pub bytes: i64,
    pub link: i64,
}

/// What a topic's row says afterwards; its entries up to `trimmed` go.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Cut {
    pub id: i64,
    pub trimmed: i64,
    pub trimmed_link: i64,
    pub sized: i64,
    pub bytes: i64,
    /// It has to be looked into once more.
    pub has_more: bool,
}

/// Decides over a log, from its oldest entries in their order; `is_whole`: no others are kept.
pub(crate) fn cut(log: Log, oldest: &[Oldest], is_whole: bool, keep: &Retention) -> Cut {
    let (mut trimmed, mut trimmed_link, mut gone_bytes) = (log.trimmed, log.trimmed_link, 0);
    let mut stays = false;
    for entry in oldest {
        let is_old = keep.before_ms.is_some_and(|before_ms| entry.created_at < before_ms);
        if !is_old && !log.is_over_without(trimmed, gone_bytes, keep) {
            stays = true;
            break;
        }
        (trimmed, trimmed_link) = (entry.offset, entry.link);
        gone_bytes += entry.bytes;
    }
    let is_past = trimmed >= log.sized;
    let (sized, bytes) = if is_past { (trimmed, 0) } else { (log.sized, log.bytes - gone_bytes) };
    let is_sized = keep.bytes.is_none() || sized >= log.head;
    Cut { id: log.id, trimmed, trimmed_link, sized, bytes, has_more: !is_sized || !(stays || is_whole) }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn log(sizes: &[i64], sized: usize) -> (Log, Vec<Oldest>) {
        let entry = |(index, bytes): (usize, &i64)| {
            let offset = index as i64 + 1;
            Oldest { offset, created_at: offset * 10, bytes: *bytes, link: offset + 100 }
        };
        let bytes = sizes[..sized].iter().sum();
        let (head, sized) = (sizes.len() as i64, sized as i64);
        let log = Log { id: 1, head, trimmed: 0, trimmed_link: 100, sized, bytes };
        (log, sizes.iter().enumerate().map(entry).collect())
    }

    #[test]
    fn the_strictest_bound_decides_and_the_bytes_stay_true() {
        let (log, entries) = log(&[5, 5, 5, 5], 4);
        let keep = |before_ms, entries, bytes| Retention { before_ms, entries, bytes };
        let cases = [
            (keep(None, None, None), 0, 20),
            (keep(Some(30), None, None), 2, 10),
            (keep(Some(30), Some(1), None), 3, 5),
            (keep(Some(30), Some(3), Some(9)), 3, 5),
            (keep(None, None, Some(20)), 0, 20),
            (keep(None, None, Some(19)), 1, 15),
            (keep(None, None, Some(4)), 4, 0),
            (keep(None, Some(0), None), 4, 0),
        ];
        for (keep, trimmed, bytes) in cases {
            let cut = cut(log, &entries, true, &keep);
            let expected =
                Cut { id: 1, trimmed, trimmed_link: trimmed + 100, sized: 4, bytes, has_more: false };
            assert_eq!(cut, expected, "{keep:?}");
        }
    }

    #[test]
    fn what_is_not_counted_yet_is_not_held_against_older_entries_and_asks_for_more() {
        let (log, entries) = log(&[5, 5, 5, 5], 2);
        let keep = Retention { bytes: Some(7), ..Retention::default() };
        let first = cut(log, &entries, true, &keep);
        assert_eq!((first.trimmed, first.sized, first.bytes, first.has_more), (1, 2, 5, true));
        // By age a log may be cut behind what is counted.
        let by_age = cut(log, &entries, true, &Retention { before_ms: Some(40), ..keep });
        assert_eq!((by_age.trimmed, by_age.sized, by_age.bytes, by_age.has_more), (3, 3, 0, true));
    }

    #[test]
    fn a_walk_goes_on_behind_what_it_has_looked_into() {
        let rows: Vec<(i64, bool)> = (1..=100).map(|id| (id, true)).collect();
        let walk = Walk::of(&rows);
        assert_eq!((walk.topics.len(), walk.next), (BATCH_TOPICS, Some(TrimCursor(65))));
        let rows: Vec<(i64, bool)> = (1..=WALK_TOPICS as i64).map(|id| (id, id == 7)).collect();
        let walk = Walk::of(&rows);
        assert_eq!((walk.topics.as_slice(), walk.next), (&[7][..], Some(TrimCursor(2001))));
        let unfinished = Cut { id: 7, trimmed: 0, trimmed_link: 0, sized: 0, bytes: 0, has_more: true };
        assert_eq!(walk.next_after(&[unfinished]), Some(TrimCursor(7)));
        assert_eq!(Walk::of(&rows[..10]).next, None);
    }
}
