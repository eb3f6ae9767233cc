//! Many at once, some of whom go away, wait for locks, or lose their server.
#![allow(clippy::unwrap_used)]

mod support;

use std::{collections::HashMap, time::Duration};

use antiphon_core::AppendRefusal;
use antiphon_protocol::{Draft, Topic};
use antiphon_sql::{Database, Engines, OpenOptions};
use sqlx::Connection;
use support::{draft, each, keyed, tenant, topic, user};

const WRITERS: usize = 16;
const CALLS: usize = 12;

/// Each writer's calls cross the topics in another order; every second draft has a key that all writers use.
fn groups(writer: usize, call: usize) -> Vec<(u64, Vec<Draft>)> {
    (0..3)
        .map(|group| {
            let place =
                |step: usize| format!("t{}", (writer * 5 + call * 3 + group + step * (writer + 1)) % 4);
            let own = draft(&place(0), &format!("{writer}-{call}-{group}"));
            (1, vec![own, keyed(&place(1), None, &format!("{call}-{group}"), "same"), draft("hot", "x")])
        })
        .collect()
}

async fn write_all(engines: &[&Engines]) -> HashMap<Topic, u64> {
    let writers = (0..WRITERS).map(|writer| {
        let store = engines[writer % engines.len()].store.clone();
        tokio::spawn(async move {
            let mut new: HashMap<Topic, u64> = HashMap::new();
            for call in 0..CALLS {
                for outcome in store.append(&groups(writer, call)).await.unwrap() {
                    for appended in outcome.unwrap().into_iter().filter(|appended| !appended.duplicate) {
                        *new.entry(appended.entry.topic).or_default() += 1;
                    }
                }
            }
            new
        })
    });
    let mut new: HashMap<Topic, u64> = HashMap::new();
    for writer in writers.collect::<Vec<_>>() {
        for (topic, count) in writer.await.unwrap() {
            *new.entry(topic).or_default() += count;
        }
    }
    new
}

/// The log is 1, 2, 3 and so on, and each entry's link is that of the chain.
async fn assert_whole(engines: &Engines, topic: &Topic, count: u64) {
    let mut last = engines.secret.origin(topic, engines.secret.first_epoch(topic));
    let entries = engines.store.read(topic, 0, 1_000_000, usize::MAX).await.unwrap();
    assert_eq!(entries.len() as u64, count, "{topic:?}");
    for entry in entries {
        last = engines.secret.next(last, &entry.id, &entry.content);
        assert_eq!(entry.position, last, "{topic:?}");
    }
    assert_eq!(engines.store.heads(std::slice::from_ref(topic)).await.unwrap(), [last]);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn sixteen_writers_to_crossing_topics_leave_no_gap_and_meet_no_deadlock() {
    for fresh in each("sixteen_writers").await {
        let other = if fresh.database.is_sqlite() {
            None
        } else {
            Some(fresh.database.open(OpenOptions::default()).await.unwrap())
        };
        let engines: Vec<&Engines> = std::iter::once(&fresh.engines).chain(&other).collect();
        let new = write_all(&engines).await;
        assert_eq!(new[&topic("hot")], (WRITERS * CALLS * 3) as u64);
        for (topic, count) in &new {
            assert_whole(&fresh.engines, topic, *count).await;
        }
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn trimming_beside_writers_leaves_each_log_whole_from_its_trimmed_end() {
    for fresh in each("trimming_beside_writers").await {
        let store = fresh.engines.store.clone();
        let trimming = tokio::spawn(async move {
            let mut gone = 0;
            while gone < 200 {
                gone += support::trim_before(&*store, antiphon_protocol::now_ms()).await;
            }
            gone
        });
        write_all(&[&fresh.engines]).await;
        let mut gone = trimming.await.unwrap();
        let store = &fresh.engines.store;
        for topic in ["hot", "t0", "t1", "t2", "t3"].map(topic) {
            let head = store.locate(&topic, None).await.unwrap().head;
            let kept = store.read(&topic, 0, 1_000_000, usize::MAX).await.unwrap();
            let offsets: Vec<u64> = kept.iter().map(|entry| entry.position.offset).collect();
            assert_eq!(offsets, (head.trimmed + 1..=head.position.offset).collect::<Vec<_>>());
            assert!(store.locate(&topic, Some(head.trimmed)).await.unwrap().link.is_some());
        }
        loop {
            let more = support::trim_before(&**store, i64::MAX).await;
            gone += more;
            if more == 0 {
                break;
            }
        }
        let heads = store.heads(&["hot", "t0", "t1", "t2", "t3"].map(topic)).await.unwrap();
        assert_eq!(gone, heads.iter().map(|head| head.offset).sum::<u64>());
    }
}

#[tokio::test]
async fn members_put_by_many_at_once_are_all_there_at_the_last_revision() {
    for fresh in each("members_put_by_many").await {
        let puts = (0..WRITERS).map(|n| {
            let directory = fresh.engines.directory.clone();
            tokio::spawn(async move {
                let (acme, project) = (tenant("acme"), support::project(&format!("p{}", n % 3)));
                directory.put_members(&acme, &project, &[support::member(&format!("u{n}"))]).await.unwrap();
                directory.put_user(&acme, &user(&format!("v{n}"))).await.unwrap();
            })
        });
        for put in puts.collect::<Vec<_>>() {
            put.await.unwrap();
        }
        let all: Vec<_> =
            (0..WRITERS).flat_map(|n| [user(&format!("u{n}")), user(&format!("v{n}"))]).collect();
        let (revision, changed) =
            fresh.engines.directory.changed_users(&tenant("acme"), &all, 0).await.unwrap();
        assert_eq!((revision, changed.len()), (2 * WRITERS as u64, 2 * WRITERS));
    }
}

#[tokio::test]
async fn a_caller_that_goes_away_leaves_neither_a_lock_nor_an_old_revision_behind() {
    for fresh in each("a_caller_that_goes_away").await {
        let directory = &fresh.engines.directory;
        for n in 0..60u64 {
            let (acme, id) = (tenant("acme"), user(&format!("u{n}")));
            let put = directory.put_user(&acme, &id);
            let _ = tokio::time::timeout(Duration::from_micros(n * 30), put).await;
            let _ = tokio::time::timeout(
                Duration::from_micros(n * 30),
                fresh.engines.store.append(&groups(0, 0)),
            )
            .await;
            let known = directory.revision_now(&tenant("acme"));
            let read = directory.revisions(&[tenant("acme")]).await.unwrap()[0];
            assert!(known.is_none_or(|known| known == read), "{known:?} {read}");
        }
        directory.put_user(&tenant("acme"), &user("last")).await.unwrap();
        let read = directory.revisions(&[tenant("acme")]).await.unwrap()[0];
        assert!(directory.revision_now(&tenant("acme")).is_none_or(|known| known == read));
        assert!(fresh.engines.store.append(&groups(1, 1)).await.unwrap().iter().all(Result::is_ok));
    }
}

#[tokio::test]
async fn a_topic_that_somebody_holds_delays_only_itself() {
    let test = "a_topic_that_somebody_holds_delays_only_itself";
    let Some(server) = antiphon_testkit::shared_postgres(test) else { return };
    let database = Database::parse_url(&server.url()).unwrap();
    database.migrate(&OpenOptions::default()).await.unwrap();
    let options = OpenOptions { lock_timeout: Duration::from_millis(100), ..OpenOptions::default() };
    let store = database.open(options).await.unwrap().store;
    for outcome in store.append(&[(1, vec![draft("held", "x"), draft("free", "x")])]).await.unwrap() {
        outcome.unwrap();
    }
    let mut holder = sqlx::PgConnection::connect(&server.url()).await.unwrap();
    let mut held = holder.begin().await.unwrap();
    sqlx::query("select 1 from antiphon.topics where name = 'held' for update")
        .execute(&mut *held)
        .await
        .unwrap();
    let calls = [
        (1, vec![draft("held", "a")]),
        (1, vec![draft("free", "b")]),
        (1, vec![draft("held", "c"), draft("free", "c")]),
        (1, vec![draft("new", "d")]),
    ];
    let outcomes = store.append(&calls).await.unwrap();
    for (outcome, locked) in outcomes.iter().zip([true, false, true, false]) {
        assert_eq!(matches!(outcome, Err(AppendRefusal::Locked)), locked, "{outcome:?}");
    }
    let alone = store.append(&calls[..1]).await.unwrap();
    assert!(matches!(alone[0], Err(AppendRefusal::Locked)));
    held.rollback().await.unwrap();
    assert!(store.append(&calls).await.unwrap().iter().all(Result::is_ok));
    let heads = store.heads(&[topic("held"), topic("free")]).await.unwrap();
    assert_eq!([heads[0].offset, heads[1].offset], [3, 4]);
}

#[tokio::test]
async fn without_waiting_all_but_what_is_held_and_what_follows_it_is_appended_at_once() {
    let test = "without_waiting_all_but_what_is_held";
    let Some(server) = antiphon_testkit::shared_postgres(test) else { return };
    let database = Database::parse_url(&server.url()).unwrap();
    database.migrate(&OpenOptions::default()).await.unwrap();
    let store = database.open(OpenOptions::default()).await.unwrap().store;
    assert!(store.append(&[(1, vec![draft("held", "x")])]).await.unwrap()[0].is_ok());
    let mut holder = sqlx::PgConnection::connect(&server.url()).await.unwrap();
    let mut held = holder.begin().await.unwrap();
    sqlx::query("select 1 from antiphon.topics where name = 'held' for update")
        .execute(&mut *held)
        .await
        .unwrap();
    // A topic that is only being made is held too.
    sqlx::query(
        "insert into antiphon.topics (tenant, name, epoch, link, trimmed_link) values ('acme', 'unborn', 1, 1, 1)",
    )
    .execute(&mut *held)
    .await
    .unwrap();
    let calls = [
        (1, vec![draft("held", "a")]),
        (1, vec![draft("free", "b")]),
        (1, vec![draft("held", "c"), draft("other", "c")]),
        (1, vec![draft("other", "d")]),
        (1, vec![draft("unborn", "e")]),
        (1, vec![draft("new", "f"), draft("free", "f")]),
    ];
    let begun = std::time::Instant::now();
    let outcomes = store.append_within(&calls, Duration::ZERO).await.unwrap();
    for (outcome, locked) in outcomes.iter().zip([true, false, true, true, true, false]) {
        assert_eq!(matches!(outcome, Err(AppendRefusal::Locked)), locked, "{outcomes:?}");
    }
    assert!(begun.elapsed() < Duration::from_secs(1), "no lock was waited for: {:?}", begun.elapsed());
    let alone = store.append_within(&calls[..1], Duration::from_millis(50)).await.unwrap();
    assert!(matches!(alone[0], Err(AppendRefusal::Locked)));
    held.rollback().await.unwrap();
    let rest: Vec<_> = [0, 2, 3, 4].map(|call: usize| calls[call].clone()).to_vec();
    assert!(store.append_within(&rest, Duration::ZERO).await.unwrap().iter().all(Result::is_ok));
    let heads = store.heads(&["held", "free", "other", "unborn", "new"].map(topic)).await.unwrap();
    assert_eq!(heads.iter().map(|head| head.offset).collect::<Vec<_>>(), [3, 2, 2, 1, 1]);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn writers_who_wait_for_nothing_and_come_again_leave_no_gap() {
    let test = "writers_who_wait_for_nothing";
    let Some(server) = antiphon_testkit::shared_postgres(test) else { return };
    let database = Database::parse_url(&server.url()).unwrap();
    database.migrate(&OpenOptions::default()).await.unwrap();
    let engines = [
        database.open(OpenOptions::default()).await.unwrap(),
        database.open(OpenOptions::default()).await.unwrap(),
    ];
    let writers = (0..WRITERS).map(|writer| {
        let store = engines[writer % 2].store.clone();
        tokio::spawn(async move {
            let (mut new, mut locked): (HashMap<Topic, u64>, usize) = Default::default();
            for call in 0..CALLS {
                let mut groups = groups(writer, call);
                while !groups.is_empty() {
                    // Not at all at first, then shortly, as a node does.
                    let wait = Duration::from_millis(if groups.len() == 3 { 0 } else { 100 });
                    let outcomes = store.append_within(&groups, wait).await.unwrap();
                    let mut again = Vec::new();
                    for (group, outcome) in groups.into_iter().zip(outcomes) {
                        match outcome {
                            Err(AppendRefusal::Locked) => again.push(group),
                            outcome => {
                                let appended = outcome.unwrap();
                                for one in appended.into_iter().filter(|one| !one.duplicate) {
                                    *new.entry(one.entry.topic).or_default() += 1;
                                }
                            }
                        }
                    }
                    locked += again.len();
                    groups = again;
                    tokio::task::yield_now().await;
                }
            }
            (new, locked)
        })
    });
    let (mut new, mut locked): (HashMap<Topic, u64>, usize) = Default::default();
    for writer in writers.collect::<Vec<_>>() {
        let (of, times) = writer.await.unwrap();
        of.into_iter().for_each(|(topic, count)| *new.entry(topic).or_default() += count);
        locked += times;
    }
    println!("{locked} groups were locked and came again");
    assert!(locked > 0);
    assert_eq!(new[&topic("hot")], (WRITERS * CALLS * 3) as u64);
    for (topic, count) in &new {
        assert_whole(&engines[0], topic, *count).await;
    }
}

#[tokio::test]
async fn a_silent_or_lost_server_is_unavailable_in_time_and_found_again() {
    let Some(mut server) = antiphon_testkit::postgres_or_skip("a_silent_or_lost_server") else { return };
    let database = Database::parse_url(&server.create_database().url()).unwrap();
    database.migrate(&OpenOptions::default()).await.unwrap();
    let options = OpenOptions { operation_timeout: Duration::from_millis(400), ..OpenOptions::default() };
    let store = database.open(options).await.unwrap().store;
    let groups = [(1, vec![keyed("a", None, "k", "x")])];
    store.append(&groups).await.unwrap();
    server.stop();
    let silent = store.append(&groups).await;
    assert!(matches!(silent, Err(antiphon_core::SeamError::Unavailable { .. })), "{silent:?}");
    server.cont();
    let back = || async { store.append(&groups).await.is_ok_and(|outcomes| outcomes[0].is_ok()) };
    antiphon_testkit::wait_until_async(Duration::from_secs(20), "the server to answer again", back).await;
    server.kill9();
    assert!(matches!(store.ping().await, Err(antiphon_core::SeamError::Unavailable { .. })));
    server.restart().unwrap();
    antiphon_testkit::wait_until_async(Duration::from_secs(20), "the new server to answer", back).await;
    assert_eq!(store.heads(&[topic("a")]).await.unwrap()[0].offset, 1);
}
