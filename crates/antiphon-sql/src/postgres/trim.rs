//! Retention: a topic loses its oldest entries up to the first that is young enough, never one behind that.
//! Topics that are being written to are left for the next call, so that nobody waits for a trimming and it for nobody.

use super::PostgresEngine;
use crate::{
    error::Fault,
    row::bound,
    trim::{BATCH_ENTRIES, BATCH_TOPICS},
};

impl PostgresEngine {
    pub(super) async fn trim_batch(&self, before_ms: i64) -> Result<u64, Fault> {
        let mut tx = self.begin().await?;
        let topics: Vec<i64> = sqlx::query_scalar(
            "select id from antiphon.topics where oldest_at < $1 order by oldest_at limit $2 \
             for no key update skip locked",
        )
        .bind(before_ms)
        .bind(BATCH_TOPICS)
        .fetch_all(&mut *tx)
        .await?;
        if topics.is_empty() {
            tx.rollback().await?;
            return Ok(0);
        }
        let share = BATCH_ENTRIES / bound(topics.len());
        // A statement of its own, since it has to see all that was committed before the locks were there.
        let gone: i64 = sqlx::query_scalar(
            r#"with cut as (
                select t.id, last.place from antiphon.topics t cross join lateral (
                    select coalesce(min(page.place) filter (where page.created_at >= $2) - 1, max(page.place)) as place
                    from (
                        select e."offset" as place, e.created_at from antiphon.entries e
                        where e.topic_id = t.id and e."offset" > t.trimmed order by e."offset" limit $3
                    ) page
                ) last
                where t.id = any($1)
            ), moved as (
                update antiphon.topics t set trimmed = cut.place,
                    trimmed_link = (select e.link from antiphon.entries e
                        where e.topic_id = t.id and e."offset" = cut.place),
                    oldest_at = (select e.created_at from antiphon.entries e
                        where e.topic_id = t.id and e."offset" = cut.place + 1)
                from cut where t.id = cut.id
            ), gone as (
                delete from antiphon.entries e using cut
                where e.topic_id = cut.id and e."offset" <= cut.place returning 1
            )
            select count(*) from gone"#,
        )
        .bind(&topics)
        .bind(before_ms)
        .bind(share)
        .fetch_one(&mut *tx)
        .await?;
        tx.commit().await?;
        Ok(gone.cast_unsigned())
    }
}
