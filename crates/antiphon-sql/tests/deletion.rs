//! A tenant that is deleted and made again while many publish for it, at two nodes and by SQL.
#![allow(clippy::unwrap_used)]

mod support;

use std::{
    sync::{
        Arc,
        atomic::{AtomicBool, AtomicU64, Ordering},
    },
    time::Duration,
};

use antiphon_core::AppendRefusal;
use antiphon_sql::{Database, Engines, OpenOptions};
use sqlx::{Connection, PgConnection};
use support::{Fresh, draft, each, postgres, tenant, topic};

const WRITERS: usize = 8;
const ROUNDS: usize = 40;

/// Publishes as a node does: reads the revision, asks whether the tenant is there, appends; now and then to a new topic.
/// How many were refused since their tenant is gone.
async fn publish_on(engines: &Engines, writer: usize, enough: &AtomicBool) -> u64 {
    let (acme, mut gone) = (tenant("acme"), 0);
    for number in 0.. {
        if enough.load(Ordering::Relaxed) {
            break;
        }
        let revision = engines.directory.revisions(std::slice::from_ref(&acme)).await.unwrap()[0];
        if !engines.directory.tenant_exists(&acme).await.unwrap() {
            continue;
        }
        let place =
            if number % 5 == 0 { format!("new-{writer}-{number}") } else { format!("t{}", number % 3) };
        // Said of the tenant that there was.
        let drafts = vec![draft(&place, &revision.to_string()), draft("all", &revision.to_string())];
        match engines.store.append(&[(revision, drafts)]).await.unwrap().remove(0) {
            Err(AppendRefusal::Gone) => gone += 1,
            Ok(_) | Err(AppendRefusal::Locked) => {}
            Err(conflict) => panic!("{conflict:?}"),
        }
    }
    gone
}

/// Deletes and makes again; the revision of the last tenant's making.
async fn remake(engines: &Engines) -> u64 {
    let acme = tenant("acme");
    for _ in 0..ROUNDS {
        assert!(engines.directory.delete_tenant(&acme).await.unwrap());
        assert!(engines.directory.put_tenant(&acme).await.unwrap());
        // poll: until somebody has published for it, so that there is something to delete.
        antiphon_testkit::wait_until_async(
            Duration::from_secs(20),
            "an entry for the new tenant",
            || async { engines.store.heads(&[topic("all")]).await.unwrap()[0].offset > 0 },
        )
        .await;
    }
    engines.directory.revisions(&[acme]).await.unwrap()[0]
}

async fn run(fresh: &Fresh, options: OpenOptions) -> (u64, u64) {
    fresh.engines.directory.put_tenant(&tenant("acme")).await.unwrap();
    let one = Arc::new(fresh.database.open(options.clone()).await.unwrap());
    // A second process is for PostgreSQL alone.
    let other = if fresh.database.is_sqlite() {
        one.clone()
    } else {
        Arc::new(fresh.database.open(options).await.unwrap())
    };
    let (enough, gone) = (Arc::new(AtomicBool::new(false)), Arc::new(AtomicU64::new(0)));
    let writers: Vec<_> = (0..WRITERS)
        .map(|writer| {
            let engines = [&one, &other][writer % 2].clone();
            let (enough, gone) = (enough.clone(), gone.clone());
            tokio::spawn(async move {
                gone.fetch_add(publish_on(&engines, writer, &enough).await, Ordering::Relaxed);
            })
        })
        .collect();
    let made = remake(&one).await;
    enough.store(true, Ordering::Relaxed);
    for writer in writers {
        writer.await.unwrap();
    }
    (made, gone.load(Ordering::Relaxed))
}

#[tokio::test(flavor = "multi_thread", worker_threads = 4)]
async fn nobody_who_publishes_while_a_tenant_is_made_anew_gets_into_the_new_one_s_topics() {
    for fresh in each("nobody_who_publishes_while").await {
        let (made, gone) = run(&fresh, OpenOptions::default()).await;
        println!("{}: {gone} were refused", fresh.database);
        let mut all = vec![topic("all")];
        all.extend((0..3).map(|n| topic(&format!("t{n}"))));
        for topic in &all {
            for entry in fresh.engines.store.read(topic, 0, 1_000_000, usize::MAX).await.unwrap() {
                assert!(entry.revision >= made, "stamped {} in the tenant of {made}", entry.revision);
            }
        }
        if let Database::Postgres(_) = &fresh.database {
            assert_eq!(strangers(&fresh).await, 0, "entries in a log of another incarnation of their tenant");
        }
    }
}

/// How many entries stand in a log that is not of the tenant they were said for: each log that a deletion took away has
/// its revision in its name, and begins behind the deletion before.
async fn strangers(fresh: &Fresh) -> i64 {
    let mut connection = PgConnection::connect(fresh.url()).await.unwrap();
    sqlx::query_scalar(
        "with ends as (select distinct split_part(tenant, ' ', 2)::bigint as at from antiphon.topics where tenant like 'acme %'),
         logs as (select t.id, case when t.tenant = 'acme' then 9223372036854775807 else split_part(t.tenant, ' ', 2)::bigint end as until
            from antiphon.topics t where t.tenant = 'acme' or t.tenant like 'acme %')
         select count(*) from antiphon.entries e join logs l on l.id = e.topic_id
         where e.revision >= l.until
         or e.revision <= coalesce((select max(at) from ends where at < l.until), 0)",
    )
    .fetch_one(&mut connection)
    .await
    .unwrap()
}

#[tokio::test]
async fn where_tenants_are_kept_elsewhere_what_stands_here_of_them_refuses_nobody() {
    for fresh in each("where_tenants_are_kept_elsewhere").await {
        let directory = &fresh.engines.directory;
        directory.put_tenant(&tenant("acme")).await.unwrap();
        directory.delete_tenant(&tenant("acme")).await.unwrap();
        let options = OpenOptions { keeps_directory: false, ..OpenOptions::default() };
        let store = fresh.database.open(options).await.unwrap().store;
        assert!(store.append(&[(1, vec![draft("news", "x")])]).await.unwrap()[0].is_ok());
    }
}

/// Waits until so many wait for a lock in this database.
async fn waiting_for_locks(fresh: &Fresh, count: i64) {
    let waiting = || async {
        let mut beside = PgConnection::connect(fresh.url()).await.unwrap();
        let waiting = "select count(distinct pid) from pg_locks where not granted \
            and pid in (select pid from pg_stat_activity where datname = current_database())";
        sqlx::query_scalar::<_, i64>(waiting).fetch_one(&mut beside).await.unwrap() == count
    };
    antiphon_testkit::wait_until_async(Duration::from_secs(20), "some to wait for a lock", waiting).await;
}

#[tokio::test]
async fn a_publish_that_waits_for_a_topic_while_its_tenant_is_deleted_is_refused() {
    let Some(fresh) = postgres("a_publish_that_waits_for_a_topic").await else { return };
    let engines = &fresh.engines;
    engines.directory.put_tenant(&tenant("acme")).await.unwrap();
    let revision = engines.directory.revisions(&[tenant("acme")]).await.unwrap()[0];
    engines.store.append(&[(revision, vec![draft("news", "x")])]).await.unwrap().remove(0).unwrap();
    // The deletion as the engine does it, held before its commit.
    let mut app = PgConnection::connect(fresh.url()).await.unwrap();
    let mut deletion = app.begin().await.unwrap();
    for statement in [
        "select from antiphon.tenants where id = 'acme' for update",
        "update antiphon.tenants set deleted = true, revision = revision + 1, deleted_revision = revision + 1 where id = 'acme'",
        "update antiphon.topics set tenant = 'acme 2' where tenant = 'acme'",
    ] {
        sqlx::query(statement).execute(&mut *deletion).await.unwrap();
    }
    for place in ["news", "not-made-yet"] {
        // Both wait: for the topic's row, and for the tenant's where the topic has to be made.
        let groups = [(revision, vec![draft(place, "late")])];
        let outcome = engines.store.append(&groups).await.unwrap().remove(0);
        assert!(matches!(outcome, Err(AppendRefusal::Locked)), "{place}: {outcome:?}");
    }
    let waiting = |place: &'static str| {
        let store = engines.store.clone();
        tokio::spawn(async move { store.append(&[(revision, vec![draft(place, "late")])]).await })
    };
    let appends = [waiting("news"), waiting("not-made-yet")];
    waiting_for_locks(&fresh, 2).await;
    deletion.commit().await.unwrap();
    for append in appends {
        let outcome = append.await.unwrap().unwrap().remove(0);
        assert!(matches!(outcome, Err(AppendRefusal::Gone)), "{outcome:?}");
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 4)]
async fn who_locks_topics_in_the_wrong_order_ends_no_publish_of_a_node() {
    let Some(fresh) = postgres("who_locks_topics_in_the_wrong_order").await else { return };
    fresh.engines.directory.put_tenant(&tenant("acme")).await.unwrap();
    let both = || vec![draft("a", "x"), draft("b", "x")];
    support::append(&*fresh.engines.store, both()).await;
    let mut app = PgConnection::connect(fresh.url()).await.unwrap();
    for _ in 0..2 {
        let mut wrong = app.begin().await.unwrap();
        let publish = "select antiphon.publish('acme', $1, 'by sql')";
        sqlx::query(publish).bind("b").execute(&mut *wrong).await.unwrap();
        let store = fresh.engines.store.clone();
        let append = tokio::spawn(async move { store.append(&[(1, both())]).await });
        waiting_for_locks(&fresh, 1).await;
        // Whichever of the two PostgreSQL ends: the application repeats, or the node has.
        let ended = sqlx::query(publish).bind("a").execute(&mut *wrong).await;
        match ended {
            Ok(_) => wrong.commit().await.unwrap(),
            Err(error) => {
                assert_eq!(error.as_database_error().unwrap().code().unwrap(), "40P01");
                wrong.rollback().await.unwrap();
            }
        }
        assert!(append.await.unwrap().unwrap()[0].is_ok());
    }
}
