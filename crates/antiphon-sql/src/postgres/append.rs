//! Appending: one transaction for all groups of a call. Only where a topic stays locked by somebody else, one for each.
//!
//! Locks are taken in one order by all who append or delete: a tenant's row before its topics', several in the order of
//! their names. Here topics are enough: who deletes a tenant locks them too, and only a topic that is made has to be made
//! before the deletion or after it.

use std::{
    collections::{HashMap, HashSet},
    time::Instant,
};

use antiphon_core::{AppendRefusal, GroupOutcome};
use antiphon_protocol::{Draft, Topic, TopicName, now_ms};
use sqlx::{PgConnection, PgExecutor};

use super::{PostgresEngine, texts};
use crate::{
    error::{Fault, is_deadlock, is_locked},
    plan::{self, KeyPlace, Keyed, LockedTopic, Plan},
    row::{self, EntryRow, bound},
};

/// How often topics are made that were not there, or went with their tenant while they were waited for.
const MAKING_ROUNDS: u32 = 4;
/// How often a transaction is tried that PostgreSQL ended for a deadlock: with one who locks in another order.
const DEADLOCK_TRIES: u32 = 3;

impl PostgresEngine {
    pub(super) async fn append_groups(
        &self,
        groups: &[(u64, Vec<Draft>)],
    ) -> Result<Vec<GroupOutcome>, Fault> {
        let begun = Instant::now();
        match self.append_unless_deadlocked(groups).await {
            Err(Fault::Sql(error)) if is_locked(&error) => {}
            done => return done,
        }
        if groups.len() == 1 {
            return Ok(vec![Err(AppendRefusal::Locked)]);
        }
        // Whoever holds a topic delays that topic alone, and is waited for once.
        let mut held: HashSet<Topic> = HashSet::new();
        let mut outcomes = Vec::with_capacity(groups.len());
        for group in groups {
            let group = std::slice::from_ref(group);
            let topics = plan::topics_of(group);
            let is_late = begun.elapsed() + 2 * self.options.lock_timeout > self.options.operation_timeout;
            if is_late || topics.iter().any(|topic| held.contains(topic)) {
                outcomes.push(Err(AppendRefusal::Locked));
                continue;
            }
            match self.append_at_once(group).await {
                Ok(done) => outcomes.extend(done),
                Err(Fault::Sql(error)) if is_locked(&error) => {
                    if let [topic] = &topics[..] {
                        held.insert(topic.clone());
                    }
                    outcomes.push(Err(AppendRefusal::Locked));
                }
                Err(fault) => return Err(fault),
            }
        }
        Ok(outcomes)
    }

    /// The other one of a deadlock goes on when this one is ended, so that the same again mostly succeeds.
    async fn append_unless_deadlocked(
        &self,
        groups: &[(u64, Vec<Draft>)],
    ) -> Result<Vec<GroupOutcome>, Fault> {
        for _ in 1..DEADLOCK_TRIES {
            match self.append_at_once(groups).await {
                Err(Fault::Sql(error)) if is_deadlock(&error) => {}
                done => return done,
            }
        }
        self.append_at_once(groups).await
    }

    async fn append_at_once(&self, groups: &[(u64, Vec<Draft>)]) -> Result<Vec<GroupOutcome>, Fault> {
        let names = plan::topics_of(groups);
        for _ in 0..MAKING_ROUNDS {
            let mut tx = self.begin().await?;
            let topics = self.lock_topics(&mut tx, &names, LOCK).await?;
            if topics.len() < names.len() {
                // Missing rows are made by themselves: made in here, two could wait for each other.
                tx.rollback().await?;
                self.make_topics(&self.pool, names.iter().filter(|topic| !topics.contains_key(topic)))
                    .await?;
                continue;
            }
            let kept = kept(&mut tx, &topics, &plan::keys_of(groups)).await?;
            let plan = plan::plan(&self.secret, groups, &topics, kept, now_ms());
            if plan.entries.is_empty() {
                tx.rollback().await?;
                return Ok(plan.outcomes);
            }
            write(&mut tx, &plan).await?;
            tx.commit().await?;
            return Ok(plan.outcomes);
        }
        // Deleted and made again all the time: worth the same again.
        Ok(groups.iter().map(|_| Err(AppendRefusal::Locked)).collect())
    }

    /// Makes topics before a deletion of their tenant, or after it: in between, it would not see them.
    pub(super) async fn make_topics<'a>(
        &self,
        executor: impl PgExecutor<'_>,
        missing: impl Iterator<Item = &'a Topic>,
    ) -> Result<(), sqlx::Error> {
        let origins: Vec<_> =
            missing.map(|topic| (topic, self.secret.origin(topic, self.secret.first_epoch(topic)))).collect();
        sqlx::query(
            "with held as materialized (select id from antiphon.tenants where id = any($1) order by id for key share) \
             insert into antiphon.topics (tenant, name, epoch, link, trimmed_link) \
             select k.tenant, k.name, k.epoch, k.link, k.link \
             from unnest($1::text[], $2::text[], $3::bigint[], $4::bigint[]) k (tenant, name, epoch, link) \
             where (select count(*) from held) >= 0 on conflict do nothing",
        )
        .bind(texts(&origins, |(topic, _)| topic.tenant().as_str()))
        .bind(texts(&origins, |(topic, _)| topic.name().as_str()))
        .bind(origins.iter().map(|(_, origin)| origin.epoch.0.cast_signed()).collect::<Vec<_>>())
        .bind(origins.iter().map(|(_, origin)| origin.link.0.cast_signed()).collect::<Vec<_>>())
        .execute(executor)
        .await?;
        Ok(())
    }

    /// Locks the topics that are there, in the order in which all do. A tenant's deletion that this does not see comes after:
    /// it would have renamed the topic before it could be locked.
    pub(super) async fn lock_topics(
        &self,
        connection: &mut PgConnection,
        names: &[Topic],
        statement: &'static str,
    ) -> Result<HashMap<Topic, LockedTopic>, Fault> {
        let rows: Vec<TopicRow> = sqlx::query_as(statement)
            .bind(texts(names, |topic| topic.tenant().as_str()))
            .bind(texts(names, |topic| topic.name().as_str()))
            .bind(self.options.keeps_directory)
            .fetch_all(connection)
            .await?;
        by_name(rows)
    }
}

/// Waits for those that somebody else holds.
pub(super) const LOCK: &str = "select t.tenant, t.name, t.id, t.epoch, t.head, t.link, case when $3 then coalesce( \
         (select n.deleted_revision from antiphon.tenants n where n.id = t.tenant), 0) else 0 end \
     from unnest($1::text[], $2::text[]) k (tenant, name) \
     join antiphon.topics t on t.tenant = k.tenant and t.name = k.name \
     order by t.tenant, t.name for no key update of t";
/// Leaves them out.
pub(super) const LOCK_FREE: &str = "select t.tenant, t.name, t.id, t.epoch, t.head, t.link, case when $3 then coalesce( \
         (select n.deleted_revision from antiphon.tenants n where n.id = t.tenant), 0) else 0 end \
     from unnest($1::text[], $2::text[]) k (tenant, name) \
     join antiphon.topics t on t.tenant = k.tenant and t.name = k.name \
     order by t.tenant, t.name for no key update of t skip locked";

/// Tenant, name, row, epoch, head, link, the revision of the tenant's deletion.
type TopicRow = (String, String, i64, i64, i64, i64, i64);

/// The topics that are there, as they are now.
pub(super) async fn find_topics(
    connection: &mut PgConnection,
    names: &[Topic],
) -> Result<HashMap<Topic, LockedTopic>, Fault> {
    let rows: Vec<TopicRow> = sqlx::query_as(
        "select t.tenant, t.name, t.id, t.epoch, t.head, t.link, 0::bigint \
         from unnest($1::text[], $2::text[]) k (tenant, name) \
         join antiphon.topics t on t.tenant = k.tenant and t.name = k.name",
    )
    .bind(texts(names, |topic| topic.tenant().as_str()))
    .bind(texts(names, |topic| topic.name().as_str()))
    .fetch_all(connection)
    .await?;
    by_name(rows)
}

fn by_name(rows: Vec<TopicRow>) -> Result<HashMap<Topic, LockedTopic>, Fault> {
    let mut topics = HashMap::with_capacity(rows.len());
    for (tenant, name, id, epoch, head, link, deleted) in rows {
        let topic = Topic::new(tenant.parse()?, TopicName::stored(&name));
        topics.insert(topic, LockedTopic { id, position: row::position(epoch, head, link), deleted });
    }
    Ok(topics)
}

/// The entries that these keys stand for already.
pub(super) async fn kept(
    connection: &mut PgConnection,
    topics: &HashMap<Topic, LockedTopic>,
    keys: &[KeyPlace],
) -> Result<Keyed, Fault> {
    let mut kept = Keyed::new();
    if keys.is_empty() {
        return Ok(kept);
    }
    // Two halves, since an index can't be searched for what "is not distinct".
    let rows: Vec<EntryRow> = sqlx::query_as(
        r#"with k (topic_id, author, key) as (select * from unnest($1::bigint[], $2::text[], $3::text[]))
        select e.topic_id, t.epoch, e."offset", e.id, e.author, e.project, e.key, e.kind, e.content,
            e.created_at, e.revision, e.link
        from k join antiphon.entries e on e.topic_id = k.topic_id and e.author = k.author and e.key = k.key
        join antiphon.topics t on t.id = e.topic_id
        union all
        select e.topic_id, t.epoch, e."offset", e.id, e.author, e.project, e.key, e.kind, e.content,
            e.created_at, e.revision, e.link
        from k join antiphon.entries e on e.topic_id = k.topic_id and e.author is null and e.key = k.key
        join antiphon.topics t on t.id = e.topic_id
        where k.author is null"#,
    )
    .bind(keys.iter().map(|(topic, _, _)| topics[topic].id).collect::<Vec<_>>())
    .bind(keys.iter().map(|(_, author, _)| author.as_ref().map(|author| author.as_str())).collect::<Vec<_>>())
    .bind(texts(keys, |(_, _, key)| key.as_str()))
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

pub(super) async fn write(connection: &mut PgConnection, plan: &Plan) -> Result<(), sqlx::Error> {
    let entries = || plan.entries.iter().map(|(_, entry)| entry);
    let created_at = entries().next().map_or(0, |entry| entry.created_at);
    sqlx::query(
        r#"with written as (
            insert into antiphon.entries
                (topic_id, "offset", id, author, project, key, kind, content, revision, link, created_at)
            select k.*, $11 from unnest($1::bigint[], $2::bigint[], $3::uuid[], $4::text[], $5::text[], $6::text[],
                $7::text[], $8::text[], $9::bigint[], $10::bigint[]) k
        )
        update antiphon.topics t set head = k.head, link = k.link, oldest_at = coalesce(t.oldest_at, $11)
        from unnest($12::bigint[], $13::bigint[], $14::bigint[]) k (id, head, link) where t.id = k.id"#,
    )
    .bind(plan.entries.iter().map(|(topic_id, _)| *topic_id).collect::<Vec<_>>())
    .bind(entries().map(|entry| bound(entry.position.offset)).collect::<Vec<_>>())
    .bind(entries().map(|entry| entry.id).collect::<Vec<_>>())
    .bind(entries().map(|entry| entry.author.as_ref().map(|author| author.as_str())).collect::<Vec<_>>())
    .bind(entries().map(|entry| entry.project.as_ref().map(|project| project.as_str())).collect::<Vec<_>>())
    .bind(entries().map(|entry| entry.key.as_ref().map(|key| key.as_str())).collect::<Vec<_>>())
    .bind(entries().map(|entry| entry.content.kind().field()).collect::<Vec<_>>())
    .bind(entries().map(|entry| entry.content.json()).collect::<Vec<_>>())
    .bind(entries().map(|entry| bound(entry.revision)).collect::<Vec<_>>())
    .bind(entries().map(|entry| entry.position.link.0.cast_signed()).collect::<Vec<_>>())
    .bind(created_at)
    .bind(plan.heads.iter().map(|(id, _)| *id).collect::<Vec<_>>())
    .bind(plan.heads.iter().map(|(_, position)| bound(position.offset)).collect::<Vec<_>>())
    .bind(plan.heads.iter().map(|(_, position)| position.link.0.cast_signed()).collect::<Vec<_>>())
    .execute(connection)
    .await?;
    Ok(())
}
