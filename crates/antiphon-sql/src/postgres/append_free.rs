//! Appending without waiting for long: groups whose topics somebody else holds are left out, and may come again.

use std::{collections::HashSet, time::Duration};

use antiphon_core::{AppendRefusal, GroupOutcome};
use antiphon_protocol::{Draft, Topic, now_ms};
use sqlx::PgConnection;

use super::{
    PostgresEngine,
    append::{LOCK, LOCK_FREE, find_topics, kept, write},
};
use crate::{
    error::{Fault, is_locked},
    plan::{self, Plan},
};

/// For the row of a topic that somebody else is just making, which can't be left out: PostgreSQL waits, if shortly.
const SHORTEST_WAIT: Duration = Duration::from_millis(10);
/// How often topics are made that were not there, or went with their tenant meanwhile, and locked once more.
const ROUNDS: u32 = 6;

type Groups = [(u64, Vec<Draft>)];

impl PostgresEngine {
    pub(super) async fn append_groups_within(
        &self,
        groups: &Groups,
        wait: Duration,
    ) -> Result<Vec<GroupOutcome>, Fault> {
        let names = plan::topics_of(groups);
        let (mut unmade, mut lock) = (HashSet::new(), if wait.is_zero() { LOCK_FREE } else { LOCK });
        for _ in 0..ROUNDS {
            let mut tx = self.begin().await?;
            if lock == LOCK {
                wait_for_locks(&mut tx, wait).await?;
            }
            let topics = match self.lock_topics(&mut tx, &names, lock).await {
                Err(Fault::Sql(error)) if is_locked(&error) => {
                    // It was waited for: now for the others.
                    lock = LOCK_FREE;
                    continue;
                }
                locked => locked?,
            };
            let mut held = HashSet::new();
            if topics.len() < names.len() {
                let found = find_topics(&mut tx, &names).await?;
                let missing = |topic: &&Topic| !found.contains_key(*topic) && !unmade.contains(*topic);
                let missing: Vec<&Topic> = names.iter().filter(missing).collect();
                if !missing.is_empty() {
                    tx.rollback().await?;
                    unmade.extend(self.make_free_topics(&missing, wait.max(SHORTEST_WAIT)).await?);
                    continue;
                }
                held.extend(names.iter().filter(|topic| !topics.contains_key(topic)).cloned());
            }
            let is_free = free_of(groups, held);
            let free: Vec<_> = groups.iter().zip(&is_free).filter(|(_, free)| **free).collect();
            let free: Vec<_> = free.into_iter().map(|(group, _)| group.clone()).collect();
            if free.is_empty() {
                tx.rollback().await?;
                return Ok(all_outcomes(&is_free, Vec::new()));
            }
            let kept = kept(&mut tx, &topics, &plan::keys_of(&free)).await?;
            let plan = plan::plan(&self.secret, &free, &topics, kept, now_ms());
            if plan.entries.is_empty() {
                tx.rollback().await?;
            } else {
                write(&mut tx, &plan).await?;
                tx.commit().await?;
            }
            let Plan { outcomes, .. } = plan;
            return Ok(all_outcomes(&is_free, outcomes));
        }
        Ok(all_outcomes(&vec![false; groups.len()], Vec::new()))
    }

    /// Makes these topics; those that somebody else is just making in a transaction that lasts are given back.
    async fn make_free_topics(&self, missing: &[&Topic], wait: Duration) -> Result<Vec<Topic>, Fault> {
        let make = async |topics: &[&Topic]| {
            let mut tx = self.begin().await?;
            wait_for_locks(&mut tx, wait).await?;
            self.make_topics(&mut *tx, topics.iter().copied()).await?;
            tx.commit().await
        };
        match make(missing).await {
            Err(error) if is_locked(&error) => {}
            made => return Ok(made.map(|()| Vec::new())?),
        }
        let mut unmade = Vec::new();
        for topic in missing {
            match make(std::slice::from_ref(topic)).await {
                Err(error) if is_locked(&error) => unmade.push((*topic).clone()),
                made => made?,
            }
        }
        Ok(unmade)
    }
}

/// Which groups can be appended: those that want nothing that is held, nor a topic of an earlier one that can't be.
fn free_of(groups: &Groups, mut held: HashSet<Topic>) -> Vec<bool> {
    let is_free = |(_, drafts): &(u64, Vec<Draft>)| {
        let is_free = held.is_empty() || !drafts.iter().any(|draft| held.contains(&draft.topic));
        if !is_free {
            held.extend(drafts.iter().map(|draft| draft.topic.clone()));
        }
        is_free
    };
    groups.iter().map(is_free).collect()
}

/// Those of the free groups, and between them the others'.
fn all_outcomes(is_free: &[bool], of_free: Vec<GroupOutcome>) -> Vec<GroupOutcome> {
    let mut of_free = of_free.into_iter();
    let outcome = |free: &bool| {
        let outcome = if *free { of_free.next() } else { None };
        outcome.unwrap_or(Err(AppendRefusal::Locked))
    };
    is_free.iter().map(outcome).collect()
}

/// For this transaction alone.
async fn wait_for_locks(connection: &mut PgConnection, wait: Duration) -> Result<(), sqlx::Error> {
    sqlx::query("select set_config('lock_timeout', $1, true)")
        .bind(wait.as_millis().max(1).to_string())
        .execute(connection)
        .await?;
    Ok(())
}
