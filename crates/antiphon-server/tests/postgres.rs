//! A node and its PostgreSQL: not migrated, not there, back again.

mod support;

use std::time::{Duration, Instant};

use antiphon_client::Raw;
use antiphon_testkit::{postgres_or_skip, shared_postgres, shared_redis};
use serde_json::json;
use support::{
    antiphon,
    node::{Node, PATIENCE, eventually},
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
fn a_database_or_a_role_that_was_never_made_is_said_with_how_to_make_it() {
    let Some(database) = shared_postgres("a_database_or_a_role") else { return };
    let mut url: url::Url = database.url().parse().unwrap();
    url.set_path("/never_made");
    for command in [&["migrate"][..], &["serve", "--listen", "127.0.0.1:0"]] {
        let missing = antiphon(command).args(&["--database", url.as_str()]).run();
        assert_eq!(missing.code, 1, "{command:?}");
        assert!(missing.stderr.contains("`createdb never_made`"), "{}", missing.stderr);
        assert!(!missing.stderr.contains("line"), "{}", missing.stderr);
    }
    let mut url: url::Url = database.url().parse().unwrap();
    url.set_username("never_made").unwrap();
    let refused = antiphon(&["migrate", "--database", url.as_str()]).run();
    assert_eq!(refused.code, 1);
    assert!(refused.stderr.contains("`createuser`"), "{}", refused.stderr);
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

#[test]
fn a_redis_that_is_away_does_not_make_a_node_unready_and_its_password_is_nowhere() {
    let Some(database) = shared_postgres("a_redis_that_is_away") else { return };
    assert_eq!(antiphon(&["migrate", "--database", &database.url()]).run().code, 0);
    let node = Node::serve(&["--database", &database.url(), "--redis", "redis://u:canary@127.0.0.1:1"]);
    assert_eq!(node.status("/health/ready"), Some(200));
    assert!(node.get("/health/ready").contains("broker"));
    node.signal("TERM");
    let log = node.end_with_log();
    assert!(!log.contains("canary"), "{log}");
}

#[tokio::test(flavor = "multi_thread")]
async fn what_is_said_at_one_node_is_heard_at_the_other_with_redis_and_without() {
    let test = "what_is_said_at_one_node";
    let (Some(database), Some(redis)) = (shared_postgres(test), shared_redis(test)) else { return };
    let (database, redis) = (database.url(), redis.url());
    assert_eq!(antiphon(&["migrate", "--database", &database]).run().code, 0);
    let token = |user: &str| {
        let issue = ["token", "issue", "--tenant", "acme", "--user", user, "--database", &database];
        antiphon(&issue).run().stdout.trim_end().to_owned()
    };
    let (ann, ben) = (token("ann"), token("ben"));
    for args in [&["--database", &database][..], &["--database", &database, "--redis", &redis]] {
        let nodes = [Node::serve(args), Node::serve(args)];
        for node in &nodes {
            eventually("the bell is there", || node.get("/health/ready").contains("\"broker\":true"));
        }
        let mut hears = Raw::connect(&nodes[1].ws()).await.unwrap();
        hears.send_json(&json!({"type": "SUBSCRIBE", "token": ben})).await.unwrap();
        hears.frame_of("SUBSCRIPTION_SUCCESSFUL").await.unwrap();
        let mut says = Raw::connect(&nodes[0].ws()).await.unwrap();
        let text = args.len().to_string();
        says.send_json(&json!({"type": "SUBSCRIBE", "token": ann})).await.unwrap();
        says.send_json(&json!({"type": "MESSAGE", "text": text})).await.unwrap();
        assert_eq!(hears.frame_of("MESSAGE").await.unwrap()["text"], text);
        let long = "x".repeat(40_000);
        says.send_json(&json!({"type": "MESSAGE", "text": long})).await.unwrap();
        assert_eq!(hears.frame_of("MESSAGE").await.unwrap()["text"], long);
        says.send_json(&json!({"type": "SIGNAL", "text": text})).await.unwrap();
        assert_eq!(hears.frame_of("SIGNAL").await.unwrap()["text"], text);
        // That a node is there is told by its lease, not by the bell.
        let (mut told, until) = (json!(null), Instant::now() + PATIENCE);
        while told != json!(["ann", "ben"]) {
            assert!(Instant::now() < until, "{told}");
            says.send_json(&json!({"type": "PRESENCE"})).await.unwrap();
            told = says.frame_of("PRESENCE").await.unwrap()["users"].clone();
            // poll: a lease comes with the next renewal, and asking faster is a flood.
            tokio::time::sleep(Duration::from_millis(100)).await;
        }
    }
}
