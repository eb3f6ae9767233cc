//! Appending: one transaction for all groups of a call.

use std::collections::HashMap;

use antiphon_core::GroupOutcome;
use antiphon_protocol::{Draft, Topic, TopicName, now_ms};
use sqlx::SqliteConnection;

use super::SqliteEngine;
use crate::{
    error::Fault,
    plan::{self, KeyPlace, Keyed, LockedTopic, Plan},
    row::{self, EntryRow, bound},
};

impl SqliteEngine {
    pub(super) async fn append_groups(
        &self,
        groups: &[(u64, Vec<Draft>)],
    ) -> Result<Vec<GroupOutcome>, Fault> {
        let names = plan::topics_of(groups);
        let mut tx = self.begin().await?;
        let topics = self.topics(&mut tx, &names).await?;
        let kept = kept(&mut tx, &topics, &plan::keys_of(groups)).await?;
        let plan = plan::plan(&self.secret, groups, &topics, kept, now_ms());
        if plan.entries.is_empty() {
            return Ok(plan.outcomes);
        }
        write(&mut tx, &plan).await?;
        tx.commit().await?;
        Ok(plan.outcomes)
    }

    /// The rows of these topics, made where missing.
    async fn topics(
        &self,
        connection: &mut SqliteConnection,
        names: &[Topic],
    ) -> Result<HashMap<Topic, LockedTopic>, Fault> {
        let mut topics = find_topics(connection, names).await?;
        let deletions =
            if self.options.keeps_directory { deletions(connection, names).await? } else { HashMap::new() };
        for topic in names {
            let deleted = deletions.get(topic.tenant().as_str()).copied().unwrap_or(0);
            if let Some(there) = topics.get_mut(topic) {
                there.deleted = deleted;
                continue;
            }
            let origin = self.secret.origin(topic, self.secret.first_epoch(topic));
            let id: i64 = sqlx::query_scalar(
                "insert into topics (tenant, name, epoch, link, trimmed_link) values (?1, ?2, ?3, ?4, ?4) \
                 returning id",
            )
            .bind(topic.tenant().as_str())
            .bind(topic.name().as_str())
            .bind(origin.epoch.0.cast_signed())
            .bind(origin.link.0.cast_signed())
            .fetch_one(&mut *connection)
            .await?;
            topics.insert(topic.clone(), LockedTopic { id, position: origin, deleted });
        }
        Ok(topics)
    }
}

/// Names as the JSON array that `json_each` reads.
pub(super) fn names_json(topics: &[Topic]) -> String {
    let names: Vec<_> = topics.iter().map(|topic| (topic.tenant(), topic.name())).collect();
    serde_json::to_string(&names).expect("names are strings")
}

pub(super) async fn find_topics(
    connection: &mut SqliteConnection,
    names: &[Topic],
) -> Result<HashMap<Topic, LockedTopic>, Fault> {
    let rows: Vec<(String, String, i64, i64, i64, i64)> = sqlx::query_as(
        "select t.tenant, t.name, t.id, t.epoch, t.head, t.link from json_each(?1) k \
         cross join topics t on t.tenant = k.value ->> 0 and t.name = k.value ->> 1",
    )
    .bind(names_json(names))
    .fetch_all(connection)
    .await?;
    let mut topics = HashMap::with_capacity(rows.len());
    for (tenant, name, id, epoch, head, link) in rows {
        let topic = Topic::new(tenant.parse()?, TopicName::stored(&name));
        topics.insert(topic, LockedTopic { id, position: row::position(epoch, head, link), deleted: 0 });
    }
    Ok(topics)
}

/// At which revision the tenants of these topics were deleted last, for those that were.
async fn deletions(
    connection: &mut SqliteConnection,
    names: &[Topic],
) -> Result<HashMap<String, i64>, sqlx::Error> {
    let rows: Vec<(String, i64)> = sqlx::query_as(
        "select id, deleted_revision from tenants where deleted_revision > 0 \
         and id in (select value ->> 0 from json_each(?1))",
    )
    .bind(names_json(names))
    .fetch_all(connection)
    .await?;
    Ok(rows.into_iter().collect())
}

/// The entries that these keys stand for already.
async fn kept(
    connection: &mut SqliteConnection,
    topics: &HashMap<Topic, LockedTopic>,
    keys: &[KeyPlace],
) -> Result<Keyed, Fault> {
    let mut kept = Keyed::new();
    if keys.is_empty() {
        return Ok(kept);
    }
    let asked: Vec<_> = keys
        .iter()
        .map(|(topic, author, key)| {
            (topics[topic].id, author.as_ref().map_or("", |author| author.as_str()), key)
        })
        .collect();
    let rows: Vec<EntryRow> = sqlx::query_as(
        r#"select e.topic_id, t.epoch, e."offset", e.id, e.author, e.project, e."key", e.kind, e.content,
                e.created_at, e.revision, e.link
            from json_each(?1) k
            cross join entries e on e.topic_id = k.value ->> 0 and coalesce(e.author, '') = k.value ->> 1
                and e."key" = k.value ->> 2
            cross join topics t on t.id = e.topic_id"#,
    )
    .bind(serde_json::to_string(&asked).expect("keys are strings"))
    .fetch_all(connection)
    .await?;
    let names: HashMap<i64, &Topic> = topics.iter().map(|(topic, row)| (row.id, topic)).collect();
    for row in rows {
        let entry = row::entry(names[&row.0], row)?;
        if let Some(key) = entry.key.clone() {
            kept.insert((entry.topic.clone(), entry.author.clone(), key), entry);
        }
    }
    Ok(kept)
}

async fn write(connection: &mut SqliteConnection, plan: &Plan) -> Result<(), sqlx::Error> {
    for (topic_id, entry) in &plan.entries {
        sqlx::query(
            r#"insert into entries
                (topic_id, "offset", id, author, project, "key", kind, content, created_at, revision, link)
            values (?1, ?2, ?3, ?4, ?5, ?6, ?7, ?8, ?9, ?10, ?11)"#,
        )
        .bind(topic_id)
        .bind(bound(entry.position.offset))
        .bind(entry.id)
        .bind(entry.author.as_ref().map(|author| author.as_str()))
        .bind(entry.project.as_ref().map(|project| project.as_str()))
        .bind(entry.key.as_ref().map(|key| key.as_str()))
        .bind(entry.content.kind().field())
        .bind(entry.content.json())
        .bind(entry.created_at)
        .bind(bound(entry.revision))
        .bind(entry.position.link.0.cast_signed())
        .execute(&mut *connection)
        .await?;
    }
    let created_at = plan.entries.first().map_or(0, |(_, entry)| entry.created_at);
    for (topic_id, position) in &plan.heads {
        sqlx::query(
            "update topics set head = ?2, link = ?3, oldest_at = coalesce(oldest_at, ?4) where id = ?1",
        )
        .bind(topic_id)
        .bind(bound(position.offset))
        .bind(position.link.0.cast_signed())
        .bind(created_at)
        .execute(&mut *connection)
        .await?;
    }
    Ok(())
}
