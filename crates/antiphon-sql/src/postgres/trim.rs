//! Retention: a topic loses its oldest entries up to the first that is kept, never one behind that.
//! Topics that are being written to are left for the next round, so that nobody waits for a trimming and it for nobody.

use std::collections::HashMap;

use antiphon_core::Retention;
use sqlx::PgConnection;

use super::PostgresEngine;
use crate::{
    error::Fault,
    row::bound,
    trim::{BATCH_ENTRIES, BATCH_TOPICS, Cut, Log, LogRow, Oldest, Trims, WALK_TOPICS, cut},
};

impl Trims for PostgresEngine {
    async fn too_old(&self, before_ms: i64) -> Result<Vec<i64>, sqlx::Error> {
        sqlx::query_scalar(
            "select id from antiphon.topics where oldest_at < $1 order by oldest_at limit $2 \
             for no key update skip locked",
        )
        .bind(before_ms)
        .bind(bound(BATCH_TOPICS))
        .fetch_all(&self.pool)
        .await
    }

    async fn walk(&self, from: i64, keep: &Retention) -> Result<Vec<(i64, bool)>, sqlx::Error> {
        sqlx::query_as(
            "select id, coalesce(head - trimmed > $2, false) or ($3::bigint is not null and \
             (head > greatest(sized, trimmed) or bytes > $3)) \
             from antiphon.topics where id >= $1 order by id limit $4",
        )
        .bind(from)
        .bind(keep.entries.map(bound))
        .bind(keep.bytes.map(bound))
        .bind(bound(WALK_TOPICS))
        .fetch_all(&self.pool)
        .await
    }

    async fn cut_topics(&self, topics: &[i64], keep: &Retention) -> Result<(u64, Vec<Cut>), Fault> {
        if topics.is_empty() {
            return Ok((0, Vec::new()));
        }
        let share = BATCH_ENTRIES / bound(topics.len());
        let mut tx = self.begin().await?;
        let mut logs = lock(&mut tx, topics).await?;
        // Statements of their own, since they have to see all that was committed before the locks were there.
        if keep.bytes.is_some() {
            count_bytes(&mut tx, &mut logs, share).await?;
        }
        let losing: Vec<i64> = logs
            .iter()
            .filter(|log| keep.before_ms.is_some() || log.is_over(keep))
            .map(|log| log.id)
            .collect();
        let oldest = oldest(&mut tx, &losing, share).await?;
        let decide = |log: &Log| {
            let oldest = oldest.get(&log.id).map_or(&[][..], Vec::as_slice);
            let is_whole = !losing.contains(&log.id) || bound(oldest.len()) < share;
            cut(*log, oldest, is_whole, keep)
        };
        let cuts: Vec<Cut> = logs.iter().map(decide).collect();
        let removed = write(&mut tx, &cuts).await?;
        tx.commit().await?;
        Ok((removed, cuts))
    }
}

async fn lock(connection: &mut PgConnection, topics: &[i64]) -> Result<Vec<Log>, sqlx::Error> {
    let rows: Vec<LogRow> = sqlx::query_as(
        "select id, head, trimmed, trimmed_link, sized, bytes from antiphon.topics where id = any($1) \
         order by id for no key update skip locked",
    )
    .bind(topics)
    .fetch_all(connection)
    .await?;
    Ok(rows.into_iter().map(Log::from).collect())
}

/// Adds what has been appended since these were last looked into, so many entries of each.
async fn count_bytes(connection: &mut PgConnection, logs: &mut [Log], share: i64) -> Result<(), sqlx::Error> {
    let rows: Vec<(i64, i64, i64)> = sqlx::query_as(
        r#"select t.id, max(e.place), sum(e.bytes)::bigint from antiphon.topics t cross join lateral (
            select e."offset" as place, octet_length(e.content) as bytes from antiphon.entries e
            where e.topic_id = t.id and e."offset" > greatest(t.sized, t.trimmed) order by e."offset" limit $2
        ) e where t.id = any($1) group by t.id"#,
    )
    .bind(logs.iter().map(|log| log.id).collect::<Vec<_>>())
    .bind(share)
    .fetch_all(connection)
    .await?;
    let grown: HashMap<i64, (i64, i64)> =
        rows.into_iter().map(|(id, last, bytes)| (id, (last, bytes))).collect();
    for log in logs {
        if let Some((last, bytes)) = grown.get(&log.id) {
            log.grow(*last, *bytes);
        }
    }
    Ok(())
}

async fn oldest(
    connection: &mut PgConnection,
    topics: &[i64],
    share: i64,
) -> Result<HashMap<i64, Vec<Oldest>>, sqlx::Error> {
    let rows: Vec<(i64, i64, i64, i64, i64)> = sqlx::query_as(
        r#"select t.id, e.place, e.created_at, e.bytes, e.link from antiphon.topics t cross join lateral (
            select e."offset" as place, e.created_at, octet_length(e.content)::bigint as bytes, e.link
            from antiphon.entries e where e.topic_id = t.id and e."offset" > t.trimmed order by e."offset" limit $2
        ) e where t.id = any($1) order by t.id, e.place"#,
    )
    .bind(topics)
    .bind(share)
    .fetch_all(connection)
    .await?;
    let mut oldest: HashMap<i64, Vec<Oldest>> = HashMap::new();
    for (id, offset, created_at, bytes, link) in rows {
        oldest.entry(id).or_default().push(Oldest { offset, created_at, bytes, link });
    }
    Ok(oldest)
}

async fn write(connection: &mut PgConnection, cuts: &[Cut]) -> Result<u64, sqlx::Error> {
    let column = |of: fn(&Cut) -> i64| cuts.iter().map(of).collect::<Vec<_>>();
    let gone = sqlx::query(
        r#"with cut as (
            select * from unnest($1::bigint[], $2::bigint[], $3::bigint[], $4::bigint[], $5::bigint[])
                k (id, place, link, sized, bytes)
        ), moved as (
            update antiphon.topics t set trimmed = cut.place, trimmed_link = cut.link, sized = cut.sized,
                bytes = cut.bytes, oldest_at = (select e.created_at from antiphon.entries e
                    where e.topic_id = t.id and e."offset" = cut.place + 1)
            from cut where t.id = cut.id
        )
        delete from antiphon.entries e using cut where e.topic_id = cut.id and e."offset" <= cut.place"#,
    )
    .bind(column(|cut| cut.id))
    .bind(column(|cut| cut.trimmed))
    .bind(column(|cut| cut.trimmed_link))
    .bind(column(|cut| cut.sized))
    .bind(column(|cut| cut.bytes))
    .execute(connection)
    .await?;
    Ok(gone.rows_affected())
}
