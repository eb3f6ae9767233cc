//! A node and its PostgreSQL: not migrated, not there, back again.

mod support;

use antiphon_testkit::{postgres_or_skip, shared_postgres};
use support::{
    antiphon,
    node::{Node, eventually},
};

#[test]
fn a_database_that_is_behind_ends_serve_with_the_command_to_run() {
    let Some(database) = shared_postgres("a_database_that_is_behind") else { return };
    let url = database.url();
    for command in [&["serve", "--listen", "127.0.0.1:0"][..], &["key", "list"]] {
        let behind = antiphon(command).args(&["--database", &url]).run();
        assert_eq!(behind.code, 1, "{command:?}");
        assert!(behind.stderr.contains("antiphon migrate"), "{}", behind.stderr);
    }
    let migrated = antiphon(&["migrate", "--database", &url]).run();
    assert_eq!(migrated.code, 0, "{}", migrated.stderr);
    let node = Node::serve(&["--database", &url]);
    assert_eq!(node.status("/health/ready"), Some(200));
}

#[test]
fn a_database_that_is_not_there_at_start_is_named_without_its_password_and_waited_for() {
    let Some(mut postgres) = postgres_or_skip("a_database_that_is_not_there") else { return };
    let database = postgres.create_database();
    assert_eq!(antiphon(&["migrate", "--database", &database.url()]).run().code, 0);
    let mut url: url::Url = database.url().parse().unwrap();
    url.set_password(Some("canary")).unwrap();
    postgres.kill9();

    let node = Node::serve(&["--database", url.as_str()]);
    assert_eq!((node.status("/health/live"), node.status("/health/ready")), (Some(200), Some(503)));
    assert!(node.get("/ws").to_lowercase().contains("retry-after"));
    let line = node.logged("not ready");
    assert!(line.contains(database.name()) && !line.contains("canary"), "{line}");

    postgres.restart().unwrap();
    eventually("ready", || node.status("/health/ready") == Some(200));
    node.signal("TERM");
    let log = node.end_with_log();
    assert!(!log.contains("canary"), "{log}");
}

#[test]
fn a_node_that_waits_for_its_database_ends_at_the_first_signal() {
    let node = Node::serve(&["--database", "postgres://app:canary@127.0.0.1:1/d"]);
    assert_eq!(node.status("/health/ready"), Some(503));
    node.signal("TERM");
    assert_eq!(node.end().0, 0);
}
