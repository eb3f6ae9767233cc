//! Commit = publish: the functions for other programs, in their own transactions, and the tail that finds what they did.
#![allow(clippy::unwrap_used)]

mod support;

use std::time::{Duration, Instant};

use antiphon_core::{Tail, Tailed};
use antiphon_protocol::{Content, Entry, Position, Topic};
use antiphon_sql::{Database, OpenOptions, PostgresTail, PostgresUrl};
use sqlx::{Connection, PgConnection, Row};
use support::{Fresh, draft, postgres, project, tenant, topic, user};

const PATIENCE: Duration = Duration::from_secs(20);

/// An application's own connection.
async fn connect(fresh: &Fresh) -> PgConnection {
    PgConnection::connect(fresh.url()).await.unwrap()
}

async fn publish(
    connection: &mut PgConnection,
    text: &str,
) -> Result<(uuid::Uuid, Position, bool), sqlx::Error> {
    publish_to(connection, "news", text, None).await
}

async fn publish_to(
    connection: &mut PgConnection,
    name: &str,
    text: &str,
    key: Option<&str>,
) -> Result<(uuid::Uuid, Position, bool), sqlx::Error> {
    let row = sqlx::query(
        "select id, position, duplicate from antiphon.publish(tenant => 'acme', topic => $1, text => $2, key => $3)",
    )
    .bind(name)
    .bind(text)
    .bind(key)
    .fetch_one(connection)
    .await?;
    let position: String = row.get(1);
    Ok((row.get(0), Position::parse(&position).unwrap(), row.get(2)))
}

fn tail(fresh: &Fresh) -> PostgresTail {
    PostgresTail::new(&PostgresUrl::parse(fresh.url()).unwrap(), OpenOptions::default())
}

/// What one look finds.
async fn look(tail: &PostgresTail) -> Vec<Entry> {
    match tail.look().await.unwrap() {
        Tailed::Entries { entries, .. } => entries,
        Tailed::Elsewhere => panic!("another one looks"),
    }
}

/// Looks until so many were found.
async fn find(tail: &PostgresTail, count: usize) -> Vec<Entry> {
    let (mut found, until) = (Vec::new(), Instant::now() + PATIENCE);
    while found.len() < count {
        assert!(Instant::now() < until, "{} of {count} were found", found.len());
        found.extend(look(tail).await);
    }
    found
}

#[tokio::test]
async fn what_sql_appends_is_one_chain_with_what_nodes_append() {
    let Some(fresh) = postgres("what_sql_appends_is_one_chain").await else { return };
    let engines = &fresh.engines;
    engines.directory.put_tenant(&tenant("acme")).await.unwrap();
    let mut app = connect(&fresh).await;
    let (place, odd) = (topic("news"), "ünïcode \u{1F600} \" \\ \n \u{7f} </script>");
    for round in 0..3 {
        let (id, position, duplicate) = publish(&mut app, odd).await.unwrap();
        assert!(!duplicate && id.get_version_num() == 7, "{id}");
        assert_eq!(position.offset, 2 * round + 1);
        engines.store.append(&[(1, vec![draft("news", &format!("by a node {round}"))])]).await.unwrap();
    }
    let read = engines.store.read(&place, 0, 100, usize::MAX).await.unwrap();
    let mut last = engines.secret.origin(&place, engines.secret.first_epoch(&place));
    for entry in &read {
        last = engines.secret.next(last, &entry.id, &entry.content);
        assert_eq!(entry.position, last);
    }
    assert_eq!(read.len(), 6);
    assert_eq!(serde_json::from_str::<String>(read[0].content.json()).unwrap(), odd);
    // Written to first by SQL or first by a node, a topic has the same origin.
    let (_, position, _) = publish_to(&mut app, "acme", "x", None).await.unwrap();
    assert_eq!(position.epoch, engines.secret.first_epoch(&topic("acme")));
}

#[tokio::test]
async fn a_body_a_project_an_author_and_a_key_are_kept_and_a_key_stands_for_one_entry() {
    let Some(fresh) = postgres("a_body_a_project_an_author").await else { return };
    fresh.engines.directory.put_tenant(&tenant("acme")).await.unwrap();
    let mut app = connect(&fresh).await;
    let mut say = async |statement: &'static str| {
        sqlx::query(statement).fetch_one(&mut app).await.map(|row| row.get::<bool, _>("duplicate"))
    };
    let one = "select * from antiphon.publish(tenant => 'acme', topic => 'project:p', body => '{\"n\": 1}', user_id => 'ann', key => 'k')";
    assert!(!say(one).await.unwrap() && say(one).await.unwrap());
    let other = "select * from antiphon.publish(tenant => 'acme', topic => 'project:p', body => '{\"n\": 2}', user_id => 'ann', key => 'k')";
    let conflict = say(other).await.unwrap_err();
    assert_eq!(conflict.as_database_error().unwrap().code().unwrap(), "23505");
    // Another author's key is another key.
    assert!(
        !say(
            "select * from antiphon.publish(tenant => 'acme', topic => 'project:p', text => 'x', key => 'k')"
        )
        .await
        .unwrap()
    );
    let read = fresh.engines.store.read(&topic("project:p"), 0, 10, usize::MAX).await.unwrap();
    assert_eq!(read.len(), 2);
    assert_eq!(read[0].content.json(), "{\"n\": 1}");
    assert_eq!((read[0].project.clone(), read[0].author.clone()), (Some(project("p")), Some(user("ann"))));
    assert_eq!(read[1].author, None);
}

#[tokio::test]
async fn what_can_not_be_published_is_an_sql_error_in_words_and_leaves_nothing() {
    let Some(fresh) = postgres("what_can_not_be_published_is_an_sql_error").await else { return };
    fresh.engines.directory.put_tenant(&tenant("acme")).await.unwrap();
    let mut app = connect(&fresh).await;
    for (arguments, words) in [
        ("'nobody', 'news', 'x'", "there is no tenant"),
        ("'a b', 'news', 'x'", "printable ASCII"),
        ("'', 'news', 'x'", "1 to 128"),
        ("null, 'news', 'x'", "1 to 128"),
        ("'acme', null, 'x'", "1 to 255"),
        ("'acme', repeat('t', 256), 'x'", "1 to 255"),
        ("'acme', 'tä', 'x'", "printable ASCII"),
        ("'acme', E'a\\nb', 'x'", "printable ASCII"),
        ("'acme', '$antiphon:control', 'x'", "reserved"),
        ("'acme', 'project:', 'x'", "the id behind"),
        ("'acme', 'user:' || repeat('u', 129), 'x'", "the id behind"),
        ("'acme', 'news'", "one of text and body"),
        ("'acme', 'news', 'x', '{}'", "one of text and body"),
        ("'acme', 'news', repeat('x', 65537)", "at most 65536"),
        ("'acme', 'news', repeat('ä', 32769)", "at most 65536"),
        ("'acme', 'news', null, to_json(repeat('x', 65535))", "at most 65536"),
        ("'acme', 'news', null, (repeat('[', 33) || repeat(']', 33))::json", "at most 32 deep"),
        ("'acme', 'news', null, (repeat('{\"\\\"\":[', 17) || repeat(']}', 17))::json", "at most 32 deep"),
        (
            "'acme', 'news', null, ('[[],' || repeat('[', 9999) || repeat(']', 9999) || ']')::json",
            "at most 32 deep",
        ),
        ("'acme', 'news', 'x', project_id => 'p q'", "project_id"),
        ("'acme', 'news', 'x', user_id => ''", "user_id"),
        ("'acme', 'news', 'x', key => E'a\\tb'", "key"),
        ("'acme', 'news', 'x', key => repeat('k', 256)", "key"),
        // Not ASCII, but a control character all the same: its entry could not be read.
        ("'acme', 'news', 'x', key => U&'a\\0085b'", "key"),
        ("'acme', 'news', 'x', key => E'\\x7f'", "key"),
    ] {
        let statement = format!("select * from antiphon.publish({arguments})");
        let error = sqlx::query(sqlx::AssertSqlSafe(statement)).fetch_one(&mut app).await.unwrap_err();
        let said =
            error.as_database_error().unwrap_or_else(|| panic!("{arguments}: {error}")).message().to_owned();
        assert!(said.starts_with("antiphon: ") && said.contains(words), "{arguments}: {said}");
    }
    publish(&mut app, &"x".repeat(65536)).await.unwrap();
    for arguments in [
        "body => (repeat('[', 32) || repeat(']', 32))::json",
        "body => ('[' || repeat('{\"[\":[]},', 40) || '\"' || repeat('[', 40) || '\\\"' || repeat('{', 40) || '\"]')::json",
        "text => repeat('[', 1000), key => U&'\\00a0 \\+01F600 ä'",
    ] {
        let statement = format!("select * from antiphon.publish('acme', 'news', {arguments})");
        sqlx::query(sqlx::AssertSqlSafe(statement)).fetch_one(&mut app).await.expect(arguments);
    }
    let read = fresh.engines.store.read(&topic("news"), 0, 10, usize::MAX).await.unwrap();
    assert_eq!(read.len(), 4);
    for entry in &read {
        let json = entry.content.json();
        assert!(Content::from_json(entry.content.kind(), json, Content::MAX_ENTRY_BYTES).is_ok(), "{json}");
    }
}

#[tokio::test]
async fn it_is_published_if_and_only_if_the_transaction_commits_and_found_once_in_order() {
    let Some(fresh) = postgres("it_is_published_if_and_only_if").await else { return };
    fresh.engines.directory.put_tenant(&tenant("acme")).await.unwrap();
    let tail = tail(&fresh);
    assert!(look(&tail).await.is_empty());
    let (mut slow, mut quick) = (connect(&fresh).await, connect(&fresh).await);
    // One that was begun early and commits late, behind others and many looks.
    let mut held = slow.begin().await.unwrap();
    publish_to(&mut held, "slow", "late", None).await.unwrap();
    let mut undone = quick.begin().await.unwrap();
    publish(&mut undone, "never").await.unwrap();
    undone.rollback().await.unwrap();
    for number in 0..5 {
        publish(&mut quick, &format!("at once {number}")).await.unwrap();
        let found = find(&tail, 1).await;
        assert_eq!((found.len(), found[0].position.offset), (1, number + 1));
    }
    let mut inner = quick.begin().await.unwrap();
    publish(&mut inner, "kept").await.unwrap();
    let mut savepoint = inner.begin().await.unwrap();
    publish(&mut savepoint, "undone").await.unwrap();
    savepoint.rollback().await.unwrap();
    inner.commit().await.unwrap();
    assert_eq!(find(&tail, 1).await[0].position.offset, 6);
    assert!(look(&tail).await.is_empty());
    held.commit().await.unwrap();
    let late = find(&tail, 1).await;
    assert_eq!(late[0].topic, topic("slow"));
    // What a node appends it rings for itself.
    fresh.engines.store.append(&[(1, vec![draft("news", "by a node")])]).await.unwrap();
    assert!(look(&tail).await.is_empty() && look(&tail).await.is_empty());
}

#[tokio::test(flavor = "multi_thread")]
async fn twenty_four_writers_are_found_each_entry_once_in_the_order_of_its_topic() {
    const WRITERS: usize = 24;
    const EACH: usize = 60;
    let Some(fresh) = postgres("twenty_four_writers").await else { return };
    fresh.engines.directory.put_tenant(&tenant("acme")).await.unwrap();
    let tail = tail(&fresh);
    look(&tail).await;
    let writers: Vec<_> = (0..WRITERS)
        .map(|writer| {
            let url = fresh.url().to_owned();
            tokio::spawn(async move {
                let mut app = PgConnection::connect(&url).await.unwrap();
                for number in 0..EACH {
                    let mut tx = app.begin().await.unwrap();
                    publish_to(&mut tx, &format!("t{}", (writer + number) % 5), "x", None).await.unwrap();
                    if number % 7 == writer % 7 {
                        // Held open a while, as an application's own work would.
                        sqlx::query("select pg_sleep(0.02)").execute(&mut *tx).await.unwrap();
                    }
                    tx.commit().await.unwrap();
                }
            })
        })
        .collect();
    let mut found = find(&tail, WRITERS * EACH).await;
    for writer in writers {
        writer.await.unwrap();
    }
    found.extend(look(&tail).await);
    assert_eq!(found.len(), WRITERS * EACH);
    for name in 0..5 {
        let place: Topic = topic(&format!("t{name}"));
        let offsets: Vec<u64> =
            found.iter().filter(|entry| entry.topic == place).map(|entry| entry.position.offset).collect();
        assert_eq!(offsets, (1..=offsets.len() as u64).collect::<Vec<_>>(), "t{name}");
    }
}

#[tokio::test]
async fn a_transaction_of_thousands_is_found_page_by_page() {
    let Some(fresh) = postgres("a_transaction_of_thousands").await else { return };
    fresh.engines.directory.put_tenant(&tenant("acme")).await.unwrap();
    let tail = tail(&fresh);
    look(&tail).await;
    let mut app = connect(&fresh).await;
    let many =
        "select count(p) from generate_series(1, 2300) n, antiphon.publish('acme', 't' || n % 3, 'x') p";
    sqlx::query(many).execute(&mut app).await.unwrap();
    let Tailed::Entries { entries, more } = tail.look().await.unwrap() else { panic!("elsewhere") };
    assert!(more && entries.len() == 500);
    // What is committed meanwhile comes behind.
    publish(&mut app, "later").await.unwrap();
    let rest = find(&tail, 1801).await;
    assert_eq!((rest.len(), &rest[1800].topic), (1801, &topic("news")));
}

/// What the database counts of its own reading of the entries: whole scans, scans by an index, and rows that came.
async fn scans(app: &mut PgConnection) -> (i64, i64, i64) {
    let counts = "select seq_scan, idx_scan, n_tup_ins from pg_stat_user_tables where relname = 'entries'";
    let row = sqlx::query(counts).fetch_one(app).await.unwrap();
    (row.get(0), row.get(1), row.get(2))
}

#[tokio::test]
async fn an_idle_look_reads_nothing_of_the_log_but_an_index() {
    const LOOKS: i64 = 100;
    let Some(fresh) = postgres("an_idle_look_reads_nothing").await else { return };
    fresh.engines.directory.put_tenant(&tenant("acme")).await.unwrap();
    let mut app = connect(&fresh).await;
    let many =
        "select count(p) from generate_series(1, 2000) n, antiphon.publish('acme', 't' || n % 3, 'x') p";
    sqlx::query(many).execute(&mut app).await.unwrap();
    app.close().await.unwrap();
    let (mut app, until) = (connect(&fresh).await, Instant::now() + PATIENCE);
    while scans(&mut app).await.2 < 2000 {
        assert!(Instant::now() < until, "the publisher's counts came");
    }
    let before = scans(&mut app).await;
    let tail = tail(&fresh);
    for _ in 0..=LOOKS {
        assert!(look(&tail).await.is_empty());
    }
    // With its connection its counts are told.
    drop(tail);
    while scans(&mut app).await.1 < before.1 + LOOKS {
        assert!(Instant::now() < until, "{before:?}, then {:?}", scans(&mut app).await);
    }
    assert_eq!(scans(&mut app).await.0, before.0);
}

#[tokio::test]
async fn one_node_looks_at_a_time_and_the_next_one_when_it_is_gone() {
    let Some(fresh) = postgres("one_node_looks_at_a_time").await else { return };
    fresh.engines.directory.put_tenant(&tenant("acme")).await.unwrap();
    let (first, second) = (tail(&fresh), tail(&fresh));
    look(&first).await;
    assert!(matches!(second.look().await.unwrap(), Tailed::Elsewhere));
    drop(first);
    let until = Instant::now() + PATIENCE;
    while matches!(second.look().await.unwrap(), Tailed::Elsewhere) {
        assert!(Instant::now() < until);
    }
    publish(&mut connect(&fresh).await, "x").await.unwrap();
    assert_eq!(find(&second, 1).await.len(), 1);
}

#[tokio::test]
async fn what_was_published_after_a_removal_is_stamped_with_it() {
    let Some(fresh) = postgres("what_was_published_after_a_removal").await else { return };
    let engines = &fresh.engines;
    let mut app = connect(&fresh).await;
    let mut change = async |statement: &'static str| {
        sqlx::query_scalar::<_, bool>(statement).fetch_one(&mut app).await.unwrap()
    };
    assert!(change("select antiphon.put_member('acme', 'p', 'ann', deliver => false)").await);
    assert!(!change("select antiphon.put_member('acme', 'p', 'ann', deliver => false)").await);
    assert!(change("select antiphon.put_settings('acme', 'p', 'ann', deliver => true)").await);
    assert!(!change("select antiphon.put_settings('acme', 'p', 'ben', deliver => true)").await);
    let settings =
        engines.directory.member(&tenant("acme"), &project("p"), &user("ann")).await.unwrap().unwrap();
    assert!(settings.deliver && settings.push);
    assert!(change("select antiphon.delete_member('acme', 'p', 'ann')").await);
    assert!(!change("select antiphon.delete_member('acme', 'p', 'ann')").await);
    assert!(
        change("select antiphon.put_user('acme', 'ben')").await
            && change("select antiphon.put_project('acme', 'q')").await
    );
    assert!(change("select antiphon.revoke_tokens('acme', 'ben')").await);
    assert!(
        change("select antiphon.delete_user('acme', 'ben')").await
            && !change("select antiphon.delete_user('acme', 'ben')").await
    );
    let (revision, states) =
        engines.directory.user_states(&tenant("acme"), &[user("ann"), user("ben")]).await.unwrap();
    assert!(states[0].exists && states[0].projects.is_empty());
    assert!(!states[1].exists && states[1].revocations == 2);
    publish_to(&mut connect(&fresh).await, "project:p", "x", None).await.unwrap();
    let read = engines.store.read(&topic("project:p"), 0, 10, usize::MAX).await.unwrap();
    assert_eq!(read[0].revision, revision);
}

#[tokio::test]
async fn only_who_has_the_role_may_call_and_nobody_reads_the_secret() {
    let Some(fresh) = postgres("only_who_has_the_role").await else { return };
    fresh.engines.directory.put_tenant(&tenant("acme")).await.unwrap();
    let name = format!("app_{}", uuid::Uuid::now_v7().simple());
    let mut owner = connect(&fresh).await;
    let mut say = async |statement: String| {
        sqlx::query(sqlx::AssertSqlSafe(statement)).execute(&mut owner).await.map(|_| ())
    };
    say(format!("create role {name} nologin")).await.unwrap();
    say(format!("set role {name}")).await.unwrap();
    let refused = |error: sqlx::Error| error.as_database_error().unwrap().code().unwrap() == "42501";
    assert!(refused(say("select * from antiphon.publish('acme', 'news', 'x')".into()).await.unwrap_err()));
    say("reset role".into()).await.unwrap();
    say(format!("grant antiphon_publisher to {name}")).await.unwrap();
    say(format!("set role {name}")).await.unwrap();
    say("select * from antiphon.publish('acme', 'news', 'x')".into()).await.unwrap();
    for statement in [
        "select antiphon.put_user('acme', 'x')",
        "select antiphon.chain('link', '\\x00')",
        "select * from antiphon.cluster",
        "select * from antiphon.entries",
        "insert into antiphon.topics (tenant, name, epoch, link, trimmed_link) values ('acme', 'x', 1, 1, 1)",
    ] {
        assert!(refused(say(statement.into()).await.unwrap_err()), "{statement}");
    }
    say("reset role".into()).await.unwrap();
    say(format!("drop role {name}")).await.unwrap();
}

#[tokio::test]
async fn a_transaction_that_holds_a_topic_delays_that_topic_alone() {
    let Some(fresh) = postgres("a_transaction_that_holds_a_topic").await else { return };
    fresh.engines.directory.put_tenant(&tenant("acme")).await.unwrap();
    let mut app = connect(&fresh).await;
    publish(&mut app, "first").await.unwrap();
    let mut held = app.begin().await.unwrap();
    publish(&mut held, "held").await.unwrap();
    let groups = [(1, vec![draft("news", "waits")]), (1, vec![draft("other", "goes on")])];
    let outcomes = fresh.engines.store.append(&groups).await.unwrap();
    assert!(outcomes[0].is_err() && outcomes[1].is_ok());
    held.commit().await.unwrap();
    assert!(fresh.engines.store.append(&groups[..1]).await.unwrap()[0].is_ok());
    let Database::Postgres(_) = &fresh.database else { panic!("not PostgreSQL") };
}

#[tokio::test(flavor = "multi_thread")]
async fn a_tenant_is_deleted_before_a_publish_or_after_it_and_its_name_brings_nothing_back() {
    let Some(fresh) = postgres("a_tenant_is_deleted_before_a_publish_or_after_it").await else { return };
    let directory = fresh.engines.directory.clone();
    directory.put_tenant(&tenant("acme")).await.unwrap();
    let mut app = connect(&fresh).await;
    // Published, and not committed yet: the deletion waits for it, and takes it along.
    let mut held = app.begin().await.unwrap();
    publish(&mut held, "before").await.unwrap();
    let deletion = tokio::spawn({
        let directory = directory.clone();
        async move { directory.delete_tenant(&tenant("acme")).await }
    });
    let mut beside = connect(&fresh).await;
    let waiting =
        "select count(*) from pg_stat_activity where wait_event_type = 'Lock' and query like '%for update'";
    let until = Instant::now() + PATIENCE;
    while sqlx::query_scalar::<_, i64>(waiting).fetch_one(&mut beside).await.unwrap() == 0 {
        assert!(Instant::now() < until, "the deletion does not wait");
    }
    held.commit().await.unwrap();
    assert!(deletion.await.unwrap().unwrap());
    // A snapshot of before the deletion does not help.
    directory.put_tenant(&tenant("acme")).await.unwrap();
    let mut old = app.begin().await.unwrap();
    sqlx::query("set transaction isolation level repeatable read").execute(&mut *old).await.unwrap();
    sqlx::query("select count(*) from antiphon.tenants").execute(&mut *old).await.unwrap();
    assert!(directory.delete_tenant(&tenant("acme")).await.unwrap());
    publish_to(&mut old, "other", "ghost", None).await.unwrap_err();
    old.rollback().await.unwrap();
    publish(&mut app, "ghost").await.unwrap_err();
    directory.put_tenant(&tenant("acme")).await.unwrap();
    for name in ["news", "other"] {
        assert!(
            fresh.engines.store.read(&topic(name), 0, 10, usize::MAX).await.unwrap().is_empty(),
            "{name}"
        );
    }
    // Other changes of the tenant need not wait for a publisher.
    let mut held = app.begin().await.unwrap();
    publish(&mut held, "held").await.unwrap();
    assert!(directory.put_user(&tenant("acme"), &user("ann")).await.unwrap());
    held.commit().await.unwrap();
}

#[tokio::test]
async fn a_repeat_that_says_the_same_is_a_duplicate_however_it_is_written() {
    let Some(fresh) = postgres("a_repeat_that_says_the_same").await else { return };
    fresh.engines.directory.put_tenant(&tenant("acme")).await.unwrap();
    let mut app = connect(&fresh).await;
    let text = Content::from_json(antiphon_protocol::ContentKind::Text, "\"\\u00e9\\/\"", 100).unwrap();
    let by_a_node = antiphon_protocol::Draft { content: text, ..support::keyed("news", None, "k", "") };
    support::append(&*fresh.engines.store, vec![by_a_node]).await;
    assert!(publish_to(&mut app, "news", "é/", Some("k")).await.unwrap().2);
    for (body, duplicate) in [("{\"a b\" : [1,\n2]}", false), ("{\"a b\":[1,2]}", true)] {
        let row = sqlx::query(
            "select duplicate from antiphon.publish('acme', 'news', body => $1::json, key => 'b')",
        )
        .bind(body)
        .fetch_one(&mut app)
        .await
        .unwrap();
        assert_eq!(row.get::<bool, _>(0), duplicate);
    }
    let other = "select antiphon.publish('acme', 'news', body => '{\"ab\":[1,2]}', key => 'b')";
    assert!(sqlx::query(other).execute(&mut app).await.is_err());
}

#[tokio::test]
async fn a_call_waits_for_a_topic_or_a_tenant_no_longer_than_its_lock_timeout_or_two_seconds() {
    let Some(fresh) = postgres("a_call_waits_for_a_topic").await else { return };
    fresh.engines.directory.put_tenant(&tenant("acme")).await.unwrap();
    let (mut app, mut other) = (connect(&fresh).await, connect(&fresh).await);
    let timeout = "select current_setting('lock_timeout')";
    let mut held = other.begin().await.unwrap();
    publish(&mut held, "held").await.unwrap();
    sqlx::query("select from antiphon.tenants where id = 'acme' for no key update")
        .execute(&mut *held)
        .await
        .unwrap();
    for own in ["0", "50ms"] {
        sqlx::query("select set_config('lock_timeout', $1, false)")
            .bind(own)
            .execute(&mut app)
            .await
            .unwrap();
        let waited = tokio::time::timeout(PATIENCE, publish(&mut app, "waits")).await.unwrap().unwrap_err();
        assert_eq!(waited.as_database_error().unwrap().code().unwrap(), "55P03", "{waited}");
        // Its own stands again afterwards, also within a transaction, and for another topic nobody waits.
        let mut tx = app.begin().await.unwrap();
        publish_to(&mut tx, "free", "x", None).await.unwrap();
        assert_eq!(sqlx::query_scalar::<_, String>(timeout).fetch_one(&mut *tx).await.unwrap(), own);
        tx.commit().await.unwrap();
    }
    held.rollback().await.unwrap();
    // A deletion that is not committed.
    let mut held = other.begin().await.unwrap();
    sqlx::query("select from antiphon.tenants where id = 'acme' for update")
        .execute(&mut *held)
        .await
        .unwrap();
    let waited = publish(&mut app, "waits").await.unwrap_err();
    assert_eq!(waited.as_database_error().unwrap().code().unwrap(), "55P03", "{waited}");
}
