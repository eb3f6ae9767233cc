//! Retention: a topic loses its oldest entries up to the first that is young enough, never one behind that.

use super::SqliteEngine;
use crate::{
    error::Fault,
    trim::{BATCH_ENTRIES, BATCH_TOPICS},
};

impl SqliteEngine {
    pub(super) async fn trim_batch(&self, before_ms: i64) -> Result<u64, Fault> {
        let mut tx = self.begin().await?;
        let topics: Vec<(i64, i64)> =
            sqlx::query_as("select id, trimmed from topics where oldest_at < ?1 order by oldest_at limit ?2")
                .bind(before_ms)
                .bind(BATCH_TOPICS)
                .fetch_all(&mut *tx)
                .await?;
        let mut left = BATCH_ENTRIES;
        for (topic_id, trimmed) in topics {
            if left <= 0 {
                break;
            }
            let (cut, link): (i64, i64) = sqlx::query_as(
                r#"with page as (
                    select "offset", created_at from entries
                    where topic_id = ?1 and "offset" > ?2 order by "offset" limit ?3
                ), cut as (
                    select coalesce(min("offset") filter (where created_at >= ?4) - 1, max("offset")) as last from page
                )
                select e."offset", e.link from entries e join cut on e."offset" = cut.last where e.topic_id = ?1"#,
            )
            .bind(topic_id)
            .bind(trimmed)
            .bind(left)
            .bind(before_ms)
            .fetch_one(&mut *tx)
            .await?;
            let gone = sqlx::query(r#"delete from entries where topic_id = ?1 and "offset" <= ?2"#)
                .bind(topic_id)
                .bind(cut)
                .execute(&mut *tx)
                .await?;
            left -= gone.rows_affected().cast_signed();
            sqlx::query(
                r#"update topics set trimmed = ?2, trimmed_link = ?3, oldest_at =
                    (select e.created_at from entries e where e.topic_id = ?1 and e."offset" = ?2 + 1)
                where id = ?1"#,
            )
            .bind(topic_id)
            .bind(cut)
            .bind(link)
            .execute(&mut *tx)
            .await?;
        }
        tx.commit().await?;
        Ok((BATCH_ENTRIES - left).cast_unsigned())
    }
}
