//! Schemas that are behind, changed, newer, or migrated by two at once.

mod support;

use antiphon_sql::{Database, OpenOptions, SchemaStatus, SqlError};
use support::sqlite;

fn options() -> OpenOptions {
    OpenOptions::default()
}

#[tokio::test]
async fn a_sqlite_file_is_behind_until_it_is_opened_and_keeps_its_secret() {
    let folder = tempfile::tempdir().unwrap();
    let database =
        Database::parse_url(&format!("sqlite:{}", folder.path().join("new.db").display())).unwrap();
    assert_eq!(database.status(&options()).await.unwrap(), SchemaStatus::Behind { missing: vec![1, 2, 3] });
    assert!(database.migrate(&options()).await.unwrap() && !database.migrate(&options()).await.unwrap());
    assert_eq!(database.status(&options()).await.unwrap(), SchemaStatus::UpToDate);
    let topic = support::topic("news");
    let first = database.open(options()).await.unwrap().secret.first_epoch(&topic);
    assert_eq!(database.open(options()).await.unwrap().secret.first_epoch(&topic), first);
    let other = sqlite().await;
    assert_ne!(other.engines.secret.first_epoch(&topic), first);
}

#[tokio::test]
async fn a_sqlite_file_that_holds_the_secret_is_nobody_elses_to_read() {
    use std::os::unix::fs::PermissionsExt;
    let fresh = sqlite().await;
    let Database::Sqlite(path) = &fresh.database else { panic!("not SQLite") };
    assert_eq!(std::fs::metadata(path).unwrap().permissions().mode() & 0o077, 0);
}

#[tokio::test]
async fn a_changed_migration_and_a_newer_schema_are_refused_with_what_to_do() {
    let fresh = sqlite().await;
    fresh.say("insert into schema_migrations values (7, 'later', x'00', 0)").await;
    let newer = fresh.database.open(options()).await.err().unwrap();
    assert!(matches!(&newer, SqlError::Newer { unknown, known: 3, .. } if *unknown == [7]), "{newer}");
    assert!(
        newer.to_string().contains("version 7") && newer.to_string().contains("restore a backup"),
        "{newer}"
    );
    fresh.say("update schema_migrations set checksum = x'00' where version = 1").await;
    let changed = fresh.database.open(options()).await.err().unwrap();
    assert!(matches!(changed, SqlError::Changed { version: 1, .. }), "{changed}");
}

#[tokio::test]
async fn a_postgres_that_is_behind_is_refused_with_the_command_and_two_migrate_it_once() {
    let Some(server) = antiphon_testkit::shared_postgres("a_postgres_that_is_behind") else { return };
    let database = Database::parse_url(&server.url()).unwrap();
    let behind = database.open(options()).await.err().unwrap();
    assert!(matches!(&behind, SqlError::Behind { missing, .. } if *missing == [1, 2, 3]), "{behind}");
    assert!(behind.to_string().contains("antiphon migrate --database"), "{behind}");
    let (one, other) = tokio::join!(async { database.migrate(&options()).await.unwrap() }, async {
        database.migrate(&options()).await.unwrap()
    });
    assert!(one != other, "exactly one had something to do: {one} {other}");
    assert_eq!(database.status(&options()).await.unwrap(), SchemaStatus::UpToDate);
    let topic = support::topic("news");
    let (one, other) = tokio::join!(database.open(options()), database.open(options()));
    assert_eq!(one.unwrap().secret.first_epoch(&topic), other.unwrap().secret.first_epoch(&topic));
}

#[tokio::test]
async fn two_who_open_a_new_sqlite_file_at_once_agree_on_its_secret() {
    let folder = tempfile::tempdir().unwrap();
    let database = Database::Sqlite(folder.path().join("a.db"));
    let (one, other) = tokio::join!(database.open(options()), database.open(options()));
    let topic = support::topic("news");
    assert_eq!(one.unwrap().secret.first_epoch(&topic), other.unwrap().secret.first_epoch(&topic));
}

#[tokio::test]
async fn a_changed_migration_and_a_newer_schema_of_postgres_are_refused() {
    let test = "a_changed_migration_and_a_newer_schema_of_postgres_are_refused";
    let Some(server) = antiphon_testkit::shared_postgres(test) else { return };
    let database = Database::parse_url(&server.url()).unwrap();
    database.migrate(&options()).await.unwrap();
    server.sql("insert into antiphon.schema_migrations values (7, 'later', '', 0)");
    for refused in [database.open(options()).await.err(), database.migrate(&options()).await.err()] {
        assert!(matches!(refused, Some(SqlError::Newer { known: 3, .. })), "{refused:?}");
    }
    assert_eq!(database.status(&options()).await.unwrap(), SchemaStatus::Newer { unknown: vec![7] });
    server.sql("update antiphon.schema_migrations set checksum = '' where version = 1");
    assert!(matches!(database.open(options()).await.err(), Some(SqlError::Changed { version: 1, .. })));
}

#[tokio::test]
async fn one_serve_owns_a_sqlite_file() {
    let fresh = sqlite().await;
    let claim = fresh.database.claim().unwrap();
    assert!(matches!(fresh.database.claim(), Err(SqlError::Owned { .. })));
    drop(claim);
    fresh.database.claim().unwrap();
}

#[tokio::test]
async fn a_database_that_is_not_there_is_named_without_its_password() {
    let port = antiphon_testkit::free_port();
    let database = Database::parse_url(&format!("postgres://app:s3cret@127.0.0.1:{port}/chat")).unwrap();
    let error = database.open(options()).await.err().unwrap();
    assert!(matches!(error, SqlError::Unavailable { .. }), "{error}");
    let text = format!("{error} {error:?} {database} {database:?}");
    assert!(!text.contains("s3cret") && text.contains(&port.to_string()), "{text}");
    for wrong in ["", "sqlite:", "sqlite::memory:", "mysql://app:s3cret@h/d", "postgres://app:s3cret@h:x/d"] {
        let error = Database::parse_url(wrong).err().unwrap();
        assert!(matches!(error, SqlError::Url(_)) && !error.to_string().contains("s3cret"), "{error}");
    }
}
