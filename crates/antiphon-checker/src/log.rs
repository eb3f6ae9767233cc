//! The log of one topic as it was read at the end, and what is known of each row's publish.

use crate::event::Place;

/// A row and its publish.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Row<'a> {
    pub place: Place,
    pub author: Option<&'a str>,
    pub project: Option<&'a str>,
    pub key: Option<&'a str>,
    pub hash: u64,
    /// When its first attempt was sent; 0 if that is not known.
    pub sent: u64,
    /// When the first answer came; the end of time if none did.
    pub answered: u64,
}

/// One topic's log.
#[derive(Debug, Default)]
pub(crate) struct Log<'a> {
    /// Sorted by offset.
    pub rows: Vec<Row<'a>>,
    pub head: u64,
    pub trimmed: u64,
    /// When the run removed old entries of it.
    pub retentions: Vec<u64>,
    /// When the run cut it, or replaced it by an earlier one.
    pub restores: Vec<u64>,
    /// What was acknowledged but is not in the log, sorted by offset: offset and fingerprint.
    pub missing: Vec<(u64, u64)>,
    /// The latest `sent` of the rows up to each.
    sent_until: Vec<u64>,
}

impl<'a> Log<'a> {
    pub(crate) fn row(&self, offset: u64) -> Option<&Row<'a>> {
        self.rows.binary_search_by_key(&offset, |row| row.place.offset).ok().map(|index| &self.rows[index])
    }

    /// The rows behind `from`, up to `to`.
    pub(crate) fn between(&self, from: u64, to: u64) -> &[Row<'a>] {
        let begin = self.rows.partition_point(|row| row.place.offset <= from);
        let end = self.rows.partition_point(|row| row.place.offset <= to);
        &self.rows[begin..end.max(begin)]
    }

    /// Whether what was true at this time need not be in the log any more.
    pub(crate) fn was_restored_after(&self, at: u64) -> bool {
        self.restores.iter().any(|restored| *restored >= at)
    }

    /// Whether this was acknowledged, though the log lacks it.
    pub(crate) fn is_missing(&self, offset: u64, hash: u64) -> bool {
        self.missing.binary_search(&(offset, hash)).is_ok()
    }

    /// Once all rows know their publish.
    pub(crate) fn seal(&mut self) {
        self.missing.sort_unstable();
        let mut latest = 0;
        self.sent_until = self
            .rows
            .iter()
            .map(|row| {
                latest = row.sent.max(latest);
                latest
            })
            .collect();
    }

    /// When the youngest of the rows up to `offset` was sent.
    pub(crate) fn youngest_until(&self, offset: u64) -> u64 {
        let count = self.rows.partition_point(|row| row.place.offset <= offset);
        count.checked_sub(1).map_or(0, |last| self.sent_until[last])
    }
}
