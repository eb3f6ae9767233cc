//! Between rows and values. Numbers without sign are kept as the signed ones of the same bits; ids that come from
//! the database are checked again, since other programs can write there.

use antiphon_protocol::{Content, ContentKind, Entry, Epoch, Key, Link, Position, ProjectId, Topic, UserId};
use uuid::Uuid;

use crate::error::Fault;

/// An entry's columns, with its topic's row and epoch in front.
pub(crate) type EntryRow =
    (i64, i64, i64, Uuid, Option<String>, Option<String>, Option<String>, String, String, i64, i64, i64);

pub(crate) fn entry(topic: &Topic, row: EntryRow) -> Result<Entry, Fault> {
    let (_, epoch, offset, id, author, project, key, kind, content, created_at, revision, link) = row;
    let kind = match &*kind {
        "text" => ContentKind::Text,
        "body" => ContentKind::Body,
        _ => return Err(Fault::Row("an entry of an unknown kind".into())),
    };
    Ok(Entry {
        id,
        topic: topic.clone(),
        position: position(epoch, offset, link),
        author: author.as_deref().map(UserId::parse).transpose()?,
        project: project.as_deref().map(ProjectId::parse).transpose()?,
        key: key.as_deref().map(Key::parse).transpose()?,
        content: Content::stored(kind, &content),
        created_at,
        revision: revision.cast_unsigned(),
    })
}

pub(crate) fn entries(topic: &Topic, rows: Vec<EntryRow>) -> Result<Vec<Entry>, Fault> {
    rows.into_iter().map(|row| entry(topic, row)).collect()
}

pub(crate) fn position(epoch: i64, offset: i64, link: i64) -> Position {
    Position {
        epoch: Epoch(epoch.cast_unsigned()),
        offset: offset.cast_unsigned(),
        link: Link(link.cast_unsigned()),
    }
}

/// A bound or number from outside as SQL takes it: what is too large means all.
pub(crate) fn bound(number: impl TryInto<i64>) -> i64 {
    number.try_into().unwrap_or(i64::MAX)
}

/// A SHA-256 from the database.
pub(crate) fn hash(bytes: &[u8]) -> Result<[u8; 32], Fault> {
    bytes.try_into().map_err(|_| Fault::Row("a hash that has not 32 bytes".into()))
}
