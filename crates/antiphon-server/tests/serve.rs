//! A node's beginning and end, as an operator and a load balancer see them.

mod support;

use std::{io::Write, net::TcpListener};

use support::{
    antiphon,
    node::{Node, eventually, exchange},
};

#[test]
fn port_0_prints_the_real_address_and_a_signal_ends_with_status_0() {
    for signal in ["TERM", "INT"] {
        let node = Node::serve(&[]);
        assert_eq!(node.first_line, format!("listening on http://{}\n", node.address));
        assert_eq!((node.status("/health/live"), node.status("/health/ready")), (Some(200), Some(200)));
        node.signal(signal);
        assert_eq!(node.end(), (0, String::new()));
    }
}

#[test]
fn the_first_line_of_the_log_says_what_serves_where_on_what_and_how_others_are_heard() {
    let node = Node::serve(&[]);
    let line = node.logged("listening on");
    for part in [node.address.to_string().as_str(), env!("CARGO_PKG_VERSION"), "sqlite:", "one node"] {
        assert!(line.contains(part), "no {part} in: {line}");
    }
    node.signal("TERM");
    let log = node.end_with_log();
    assert!(!log.contains("heard") && !log.contains("broker"), "who is alone hears nobody: {log}");
    let node = Node::serve(&["--database", "postgres://app:canary@127.0.0.1:1/d"]);
    let line = node.logged("listening on");
    assert!(
        line.contains("LISTEN/NOTIFY") && line.contains("app:***@") && !line.contains("canary"),
        "{line}"
    );
    let with_redis = ["--database", "postgres://app@127.0.0.1:1/d", "--redis", "redis://:canary@127.0.0.1:1"];
    let line = Node::serve(&with_redis).logged("listening on");
    assert!(line.contains("Redis at redis://:***@127.0.0.1:1") && !line.contains("canary"), "{line}");
}

#[test]
fn a_node_in_its_drain_delay_is_not_ready_but_answers() {
    let node = Node::serve(&["--drain-delay", "2s", "--drain", "0s"]);
    node.signal("TERM");
    eventually("not ready", || node.status("/health/ready") == Some(503));
    assert_eq!(node.status("/health/live"), Some(200));
    eventually("not listening", || node.get("/health/live").is_empty());
    assert_eq!(node.end().0, 0);
}

#[test]
fn a_second_signal_ends_at_once() {
    let node = Node::serve(&["--drain-delay", "1h"]);
    node.signal("TERM");
    node.logged("draining");
    node.signal("TERM");
    assert_eq!(node.end().0, 1);
}

#[test]
fn a_port_in_use_is_status_1_in_words() {
    let taken = TcpListener::bind("127.0.0.1:0").unwrap();
    let address = taken.local_addr().unwrap().to_string();
    let folder = tempfile::tempdir().unwrap();
    let database = format!("sqlite:{}", folder.path().join("a.db").display());
    let finished = antiphon(&["serve", "--listen", &address, "--database", &database]).run();
    assert_eq!((finished.code, finished.stdout.as_str()), (1, ""));
    assert!(finished.stderr.contains(&address) && finished.stderr.contains("in use"), "{}", finished.stderr);
}

#[test]
fn redis_beside_sqlite_is_status_2_in_words() {
    let finished = antiphon(&["serve", "--redis", "redis://:canary@127.0.0.1:1"]).run();
    assert_eq!(finished.code, 2);
    assert!(finished.stderr.contains("SQLite") && !finished.stderr.contains("canary"), "{}", finished.stderr);
}

#[test]
fn a_sqlite_file_has_one_serving_process() {
    let folder = tempfile::tempdir().unwrap();
    let database = format!("sqlite:{}", folder.path().join("a.db").display());
    let node = Node::serve(&["--database", &database]);
    let second = antiphon(&["serve", "--listen", "127.0.0.1:0", "--database", &database]).run();
    assert_eq!(second.code, 1);
    assert!(second.stderr.contains("another process"), "{}", second.stderr);
    // Others may use it beside.
    let token = antiphon(&["token", "issue", "--tenant", "t", "--user", "u", "--database", &database]).run();
    assert_eq!(token.code, 0, "{}", token.stderr);
    drop(node);
}

#[test]
fn metrics_and_health_have_a_listener_of_their_own_where_wanted() {
    let node = Node::serve(&["--admin-listen", "127.0.0.1:0"]);
    let line = node.logged("health and metrics on");
    let admin = line.rsplit_once("//").unwrap().1.trim_end_matches('"');
    let socket = std::net::TcpStream::connect(admin).unwrap();
    let answer = exchange(socket, "GET /health/ready HTTP/1.1\r\nhost: a\r\nconnection: close\r\n\r\n");
    assert!(answer.starts_with("HTTP/1.1 200"), "{answer}");
}

#[test]
fn a_log_line_is_json_where_wanted_and_never_on_standard_output() {
    let node = Node::serve(&["--log", "json"]);
    node.signal("TERM");
    let line = node.logged("draining");
    let event: serde_json::Value = serde_json::from_str(&line).unwrap();
    assert_eq!((event["signal"].as_str(), event["level"].as_str()), (Some("SIGTERM"), Some("INFO")));
    assert_eq!(node.end().1, "");
}

#[test]
fn a_request_that_is_being_sent_when_the_drain_comes_does_not_hold_it_up() {
    let node = Node::serve(&["--drain", "0s"]);
    let mut half = node.connect();
    half.write_all(b"GET /health/live HTTP/1.1\r\nhost: a\r\n").unwrap();
    node.signal("TERM");
    assert_eq!(node.end().0, 0);
}
