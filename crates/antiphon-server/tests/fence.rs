//! A node that is cut off from PostgreSQL while Redis and its clients are not: it can't know who is still allowed what, and
//! after a while it lets them go, or holds everything back.
#![allow(clippy::unwrap_used)]

mod support;
mod traffic;

use std::time::{Duration, Instant};

use antiphon_client::Raw;
use antiphon_testkit::FaultProxy;
use serde_json::json;
use support::node::{Node, PATIENCE, eventually, exchange};
use traffic::Cluster;

const LIMITS: &str = "[limits]\nfence = '3s'\nengine_timeout = '1s'\n";

/// The second node's way to the database leads through a proxy.
fn cluster(test: &str, config: &str) -> Option<(Cluster, FaultProxy)> {
    let mut proxy = None;
    let cluster = Cluster::start_with(test, config, |url| {
        let port = url::Url::parse(url).unwrap().port().unwrap();
        let made = FaultProxy::start(([127, 0, 0, 1], port).into()).unwrap();
        proxy.insert(made).url_for(url)
    })?;
    Some((cluster, proxy?))
}

fn delete(node: &Node, key: &str, path: &str) {
    let request = format!(
        "DELETE {path} HTTP/1.1\r\nhost: a\r\nauthorization: Bearer {key}\r\nconnection: close\r\n\r\n"
    );
    let answer = exchange(node.connect(), &request);
    assert!(answer.starts_with("HTTP/1.1 2"), "{path}: {answer}");
}

async fn say(raw: &mut Raw, text: &str) -> serde_json::Value {
    raw.send_json(&json!({"type": "MESSAGE", "text": text})).await.unwrap();
    loop {
        let frame = raw.frame().await.unwrap();
        if matches!(frame["type"].as_str(), Some("ACCEPTED" | "ERROR")) {
            return frame;
        }
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_node_cut_off_from_the_database_lets_its_clients_go_and_the_removed_hear_nothing_of_after_it() {
    let Some((cluster, proxy)) = cluster("a_node_cut_off_from_the_database", LIMITS) else { return };
    let [ann, ben, carl] = ["ann", "ben", "carl"].map(|user| cluster.token(user));
    let key = cluster.key();
    let mut author = cluster.listener(0, &ann).await;
    let mut cut_off = Vec::new();
    for token in [&ann, &ben, &carl] {
        cut_off.push(cluster.listener(1, token).await.deadline(PATIENCE));
    }
    proxy.pause();
    let since = Instant::now();
    // Redis is there: what was said before the removal comes.
    let before = say(&mut author, "before").await;
    for raw in &mut cut_off {
        assert_eq!(raw.frame_of("MESSAGE").await.unwrap()["text"], "before");
    }
    delete(&cluster.nodes[0], &key, "/api/v1/tenants/acme/users/ben/tokens");
    delete(&cluster.nodes[0], &key, "/api/v1/tenants/acme/users/carl");
    for number in 0..5 {
        assert_eq!(say(&mut author, &format!("after {number}")).await["type"], "ACCEPTED");
        author.send_json(&json!({"type": "SIGNAL", "text": "after"})).await.unwrap();
    }
    for raw in &mut cut_off {
        let (heard, code) = raw.closed().await.unwrap();
        assert_eq!(code, Some(1012), "{heard:?}");
        assert!(heard.iter().any(|text| text.contains("RECONNECT")), "{heard:?}");
        assert!(!heard.iter().any(|text| text.contains("\"text\":\"after")), "{heard:?}");
    }
    let closed = since.elapsed();
    println!("all closed {closed:?} after the cut, with a fence of 3 s");
    assert!(closed < Duration::from_secs(15), "{closed:?}");

    let node = &cluster.nodes[1];
    let ready = node.get("/health/ready");
    assert!(ready.contains("503") && ready.contains("verified"), "{ready}");
    node.logged("nothing could be verified");
    assert!(Raw::connect(&node.ws()).await.is_err(), "it takes no new clients");

    // Whoever may still hear goes on at the other node.
    let mut elsewhere = Raw::connect(&cluster.nodes[0].ws()).await.unwrap();
    let from = json!({"acme": before["position"]});
    elsewhere.send_json(&json!({"type": "SUBSCRIBE", "token": ann, "positions": from})).await.unwrap();
    for number in 0..5 {
        assert_eq!(elsewhere.frame_of("MESSAGE").await.unwrap()["text"], format!("after {number}"));
    }

    proxy.resume();
    node.logged("verified again");
    eventually("it takes work again", || node.status("/health/ready") == Some(200));
    let mut back = cluster.listener(1, &ann).await;
    say(&mut author, "healed").await;
    assert_eq!(back.frame_of("MESSAGE").await.unwrap()["text"], "healed");
    let mut removed = Raw::connect(&node.ws()).await.unwrap();
    removed.send_json(&json!({"type": "SUBSCRIBE", "token": ben})).await.unwrap();
    removed.frame_of("TERMINATE_CONNECTION").await.unwrap();
}

#[tokio::test(flavor = "multi_thread")]
async fn a_node_that_holds_its_clients_delivers_nothing_until_it_has_verified_and_then_all_in_order() {
    let config = format!("fence = 'hold'\n{LIMITS}");
    let Some((cluster, proxy)) = cluster("a_node_that_holds_its_clients", &config) else { return };
    let (ann, ben) = (cluster.token("ann"), cluster.token("ben"));
    let mut author = cluster.listener(0, &ann).await;
    let mut held = cluster.listener(1, &ben).await.deadline(PATIENCE);
    proxy.pause();
    let node = &cluster.nodes[1];
    tokio::task::block_in_place(|| node.logged("nothing could be verified"));
    for number in 0..5 {
        assert_eq!(say(&mut author, &number.to_string()).await["type"], "ACCEPTED");
    }
    author.send_json(&json!({"type": "SIGNAL", "text": "of another time"})).await.unwrap();
    let refused = say(&mut held, "now").await;
    assert_eq!((&refused["type"], &refused["code"]), (&json!("ERROR"), &json!("UNAVAILABLE")), "{refused}");
    assert!(refused["retryAfterMs"].as_u64().is_some(), "{refused}");
    held.send_json(&json!({"type": "PING"})).await.unwrap();
    // What came before the answer would have been in `say` or here.
    assert_eq!(held.frame().await.unwrap()["type"], "PONG");
    proxy.resume();
    for number in 0..5 {
        let frame = held.frame().await.unwrap();
        assert_eq!(
            (&frame["type"], &frame["text"]),
            (&json!("MESSAGE"), &json!(number.to_string())),
            "{frame}"
        );
    }
    assert_eq!(say(&mut held, "again").await["type"], "ACCEPTED");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_node_that_was_frozen_for_longer_than_its_fence_keeps_its_clients() {
    let Some((cluster, _proxy)) = cluster("a_node_that_was_frozen", LIMITS) else { return };
    let mut author = cluster.listener(0, &cluster.token("ann")).await;
    let mut listener = cluster.listener(1, &cluster.token("ben")).await.deadline(PATIENCE);
    cluster.nodes[1].signal("STOP");
    let since = Instant::now();
    let mut last = String::new();
    // Longer than the fence.
    while since.elapsed() < Duration::from_secs(4) {
        last = format!("{:?}", since.elapsed());
        say(&mut author, &last).await;
        tokio::time::sleep(Duration::from_millis(100)).await; // poll: the time has to pass.
    }
    cluster.nodes[1].signal("CONT");
    loop {
        let frame = listener.frame_of("MESSAGE").await.unwrap();
        if frame["text"] == last.as_str() {
            break;
        }
    }
}
