//! Reading the log.

use std::time::Duration;

use antiphon_core::{GroupOutcome, HistoryPage, Located, Retention, SeamError, Store, TrimCursor, Trimmed};
use antiphon_protocol::{Draft, Entry, Head, Link, Position, Topic};
use async_trait::async_trait;

use super::{POSTGRES, PostgresEngine, append};
use crate::row::{self, EntryRow, bound};
use crate::trim::trim_batch;

#[async_trait]
impl Store for PostgresEngine {
    async fn append(&self, groups: &[(u64, Vec<Draft>)]) -> Result<Vec<GroupOutcome>, SeamError> {
        POSTGRES.within(self.options.operation_timeout, self.append_groups(groups)).await
    }

    async fn append_within(
        &self,
        groups: &[(u64, Vec<Draft>)],
        wait: Duration,
    ) -> Result<Vec<GroupOutcome>, SeamError> {
        POSTGRES.within(self.options.operation_timeout, self.append_groups_within(groups, wait)).await
    }

    async fn read(
        &self,
        topic: &Topic,
        after: u64,
        limit: u32,
        max_bytes: usize,
    ) -> Result<Vec<Entry>, SeamError> {
        POSTGRES
            .within(self.options.operation_timeout, async {
                // The page is cut before the first entry that begins beyond the bytes.
                // What came by SQL was stamped by nobody: its revision is the one that this reading sees, with every
                // removal that was committed before the entry; 0 where the tenants are kept elsewhere.
                let rows: Vec<EntryRow> = sqlx::query_as(
                    r#"select topic_id, epoch, "offset", id, author, project, key, kind, content, created_at,
                        case when not by_sql then revision when $6 then
                            coalesce((select n.revision from antiphon.tenants n where n.id = $1), 0) else 0 end, link
                    from (
                        select p.*, sum(octet_length(content)) over (order by "offset") - octet_length(content) as earlier
                        from (
                            select t.epoch, e.* from antiphon.topics t join antiphon.entries e on e.topic_id = t.id
                            where t.tenant = $1 and t.name = $2 and e."offset" > $3
                            order by e."offset" limit $4
                        ) p
                    ) page
                    where earlier < $5 order by "offset""#,
                )
                .bind(topic.tenant().as_str())
                .bind(topic.name().as_str())
                .bind(bound(after))
                .bind(i64::from(limit))
                .bind(bound(max_bytes.max(1)))
                .bind(self.options.keeps_directory)
                .fetch_all(&self.pool)
                .await?;
                row::entries(topic, rows)
            })
            .await
    }

    async fn read_before(
        &self,
        topic: &Topic,
        before: Option<u64>,
        limit: u32,
    ) -> Result<HistoryPage, SeamError> {
        POSTGRES
            .within(self.options.operation_timeout, async {
                let rows: Vec<EntryRow> = sqlx::query_as(
                    r#"select t.id, t.epoch, e."offset", e.id, e.author, e.project, e.key, e.kind, e.content,
                        e.created_at, e.revision, e.link
                    from antiphon.topics t join antiphon.entries e on e.topic_id = t.id
                    where t.tenant = $1 and t.name = $2 and e."offset" < $3
                    order by e."offset" desc limit $4"#,
                )
                .bind(topic.tenant().as_str())
                .bind(topic.name().as_str())
                .bind(before.map_or(i64::MAX, bound))
                .bind(i64::from(limit) + 1)
                .fetch_all(&self.pool)
                .await?;
                let more = rows.len() > limit as usize;
                let mut entries = row::entries(topic, rows)?;
                entries.truncate(limit as usize);
                entries.reverse();
                Ok(HistoryPage { entries, more })
            })
            .await
    }

    async fn entry(&self, topic: &Topic, id: uuid::Uuid) -> Result<Option<Entry>, SeamError> {
        POSTGRES
            .within(self.options.operation_timeout, async {
                let found: Option<EntryRow> = sqlx::query_as(
                    r#"select t.id, t.epoch, e."offset", e.id, e.author, e.project, e.key, e.kind, e.content,
                        e.created_at, e.revision, e.link
                    from antiphon.entries e join antiphon.topics t on t.id = e.topic_id
                    where e.id = $3 and t.tenant = $1 and t.name = $2"#,
                )
                .bind(topic.tenant().as_str())
                .bind(topic.name().as_str())
                .bind(id)
                .fetch_optional(&self.pool)
                .await?;
                found.map(|found| row::entry(topic, found)).transpose()
            })
            .await
    }

    async fn locate(&self, topic: &Topic, at: Option<u64>) -> Result<Located, SeamError> {
        POSTGRES
            .within(self.options.operation_timeout, async {
                let found: Option<(i64, i64, i64, i64, Option<i64>)> = sqlx::query_as(
                    r#"select t.epoch, t.head, t.link, t.trimmed,
                        case $3::bigint when t.head then t.link when t.trimmed then t.trimmed_link else
                            (select e.link from antiphon.entries e where e.topic_id = t.id and e."offset" = $3) end
                    from antiphon.topics t where t.tenant = $1 and t.name = $2"#,
                )
                .bind(topic.tenant().as_str())
                .bind(topic.name().as_str())
                .bind(at.map_or(-1, bound))
                .fetch_optional(&self.pool)
                .await?;
                let Some((epoch, head, link, trimmed, at_link)) = found else {
                    let origin = self.secret.origin(topic, self.secret.first_epoch(topic));
                    let head = Head { position: origin, trimmed: 0 };
                    return Ok(Located { head, link: (at == Some(0)).then_some(origin.link) });
                };
                let head =
                    Head { position: row::position(epoch, head, link), trimmed: trimmed.cast_unsigned() };
                Ok(Located { head, link: at_link.map(|link| Link(link.cast_unsigned())) })
            })
            .await
    }

    async fn heads(&self, topics: &[Topic]) -> Result<Vec<Position>, SeamError> {
        POSTGRES
            .within(self.options.operation_timeout, async {
                let mut reader = self.pool.acquire().await?;
                let found = append::find_topics(&mut reader, topics).await?;
                let origin = |topic| self.secret.origin(topic, self.secret.first_epoch(topic));
                let head = |topic| found.get(topic).map_or_else(|| origin(topic), |row| row.position);
                Ok(topics.iter().map(head).collect())
            })
            .await
    }

    async fn trim(&self, keep: &Retention, from: TrimCursor) -> Result<Trimmed, SeamError> {
        POSTGRES.within(self.options.operation_timeout, trim_batch(self, keep, from)).await
    }

    async fn ping(&self) -> Result<(), SeamError> {
        POSTGRES
            .within(self.options.operation_timeout, async {
                sqlx::query("select one from antiphon.cluster").fetch_one(&self.pool).await?;
                Ok(())
            })
            .await
    }
}
