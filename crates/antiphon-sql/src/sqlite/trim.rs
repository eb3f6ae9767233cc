//! Retention: a topic loses its oldest entries up to the first that is kept, never one behind that.

use antiphon_core::Retention;
use sqlx::SqliteConnection;

use super::SqliteEngine;
use crate::{
    error::Fault,
    row::bound,
    trim::{BATCH_ENTRIES, BATCH_TOPICS, Cut, Log, LogRow, Oldest, Trims, WALK_TOPICS, cut},
};

impl Trims for SqliteEngine {
    async fn too_old(&self, before_ms: i64) -> Result<Vec<i64>, sqlx::Error> {
        sqlx::query_scalar("select id from topics where oldest_at < ?1 order by oldest_at limit ?2")
            .bind(before_ms)
            .bind(bound(BATCH_TOPICS))
            .fetch_all(&self.readers)
            .await
    }

    async fn walk(&self, from: i64, keep: &Retention) -> Result<Vec<(i64, bool)>, sqlx::Error> {
        sqlx::query_as(
            "select id, coalesce(head - trimmed > ?2, 0) or (?3 is not null and \
             (head > max(sized, trimmed) or bytes > ?3)) \
             from topics where id >= ?1 order by id limit ?4",
        )
        .bind(from)
        .bind(keep.entries.map(bound))
        .bind(keep.bytes.map(bound))
        .bind(bound(WALK_TOPICS))
        .fetch_all(&self.readers)
        .await
    }

    async fn cut_topics(&self, topics: &[i64], keep: &Retention) -> Result<(u64, Vec<Cut>), Fault> {
        if topics.is_empty() {
            return Ok((0, Vec::new()));
        }
        let share = BATCH_ENTRIES / bound(topics.len());
        let mut tx = self.begin().await?;
        let (mut removed, mut cuts) = (0, Vec::with_capacity(topics.len()));
        for id in topics {
            let row: Option<LogRow> = sqlx::query_as(
                "select id, head, trimmed, trimmed_link, sized, bytes from topics where id = ?1",
            )
            .bind(id)
            .fetch_optional(&mut *tx)
            .await?;
            let Some(mut log) = row.map(Log::from) else { continue };
            if keep.bytes.is_some() {
                count_bytes(&mut tx, &mut log, share).await?;
            }
            let is_losing = keep.before_ms.is_some() || log.is_over(keep);
            let oldest = if is_losing { oldest(&mut tx, &log, share).await? } else { Vec::new() };
            let is_whole = !is_losing || bound(oldest.len()) < share;
            let cut = cut(log, &oldest, is_whole, keep);
            removed += write(&mut tx, &cut).await?;
            cuts.push(cut);
        }
        tx.commit().await?;
        Ok((removed, cuts))
    }
}

/// Adds what has been appended since this was last looked into, so many entries.
async fn count_bytes(
    connection: &mut SqliteConnection,
    log: &mut Log,
    share: i64,
) -> Result<(), sqlx::Error> {
    let grown: (Option<i64>, Option<i64>) = sqlx::query_as(
        r#"select max(place), sum(bytes) from (
            select "offset" as place, octet_length(content) as bytes from entries
            where topic_id = ?1 and "offset" > ?2 order by "offset" limit ?3
        )"#,
    )
    .bind(log.id)
    .bind(log.sized)
    .bind(share)
    .fetch_one(connection)
    .await?;
    if let (Some(last), Some(bytes)) = grown {
        log.grow(last, bytes);
    }
    Ok(())
}

async fn oldest(
    connection: &mut SqliteConnection,
    log: &Log,
    share: i64,
) -> Result<Vec<Oldest>, sqlx::Error> {
    let rows: Vec<(i64, i64, i64, i64)> = sqlx::query_as(
        r#"select "offset", created_at, octet_length(content), link from entries
        where topic_id = ?1 and "offset" > ?2 order by "offset" limit ?3"#,
    )
    .bind(log.id)
    .bind(log.trimmed)
    .bind(share)
    .fetch_all(connection)
    .await?;
    let oldest = |(offset, created_at, bytes, link)| Oldest { offset, created_at, bytes, link };
    Ok(rows.into_iter().map(oldest).collect())
}

async fn write(connection: &mut SqliteConnection, cut: &Cut) -> Result<u64, sqlx::Error> {
    let gone = sqlx::query(r#"delete from entries where topic_id = ?1 and "offset" <= ?2"#)
        .bind(cut.id)
        .bind(cut.trimmed)
        .execute(&mut *connection)
        .await?;
    sqlx::query(
        r#"update topics set trimmed = ?2, trimmed_link = ?3, sized = ?4, bytes = ?5, oldest_at =
            (select e.created_at from entries e where e.topic_id = ?1 and e."offset" = ?2 + 1)
        where id = ?1"#,
    )
    .bind(cut.id)
    .bind(cut.trimmed)
    .bind(cut.trimmed_link)
    .bind(cut.sized)
    .bind(cut.bytes)
    .execute(connection)
    .await?;
    Ok(gone.rows_affected())
}
