//! What leaves, and what waits, while a node can't know who may still hear what.

#![allow(missing_docs, clippy::unwrap_used)]

mod support;

use std::{
    sync::{Arc, Barrier, mpsc},
    time::Duration,
};

use antiphon_core::{FenceAction, Limits};
use antiphon_protocol::{ResetReason, Topic};
use serde_json::json;
use support::{Client, Cluster, Heard, Running, tenant, wait_until};

/// Two workers, as the cluster's runtime has.
const WORKERS: usize = 2;

fn cluster() -> Cluster {
    Cluster::with(Limits {
        rate_per_second: 0,
        tick: Duration::from_millis(20),
        fence: Duration::from_secs(2),
        fence_action: FenceAction::Hold,
        position_interval: Duration::from_secs(3600),
        ..Limits::default()
    })
}

/// Lets the fence fall: no task of the node does anything until what this returns is dropped. The shards have threads of their own.
fn freeze(cluster: &Cluster, node: &Running) -> Vec<mpsc::Sender<()>> {
    let all_stand = Arc::new(Barrier::new(WORKERS + 1));
    let mut held = Vec::new();
    for _ in 0..WORKERS {
        let (holds, waits) = mpsc::channel::<()>();
        let all_stand = all_stand.clone();
        cluster.runtime.spawn(async move {
            all_stand.wait();
            let _ = waits.recv();
        });
        held.push(holds);
    }
    all_stand.wait();
    wait_until("the fence falls", || !node.node.is_verified());
    held
}

/// All that was done before has been looked at by its shard: each PONG is from another turn.
fn a_turn_later(client: &mut Client) {
    client.expect_silence();
    client.expect_silence();
}

#[test]
fn a_reset_waits_behind_a_fallen_fence() {
    let cluster = cluster();
    let node = cluster.node();
    let mut bob = node.subscribed("acme/bob");
    let topic = Topic::of_tenant(&tenant("acme"));
    let feed = node.node.hub().feed(&topic).unwrap();
    let (head, copy) = (feed.high().unwrap(), cluster.store.copy(&topic));
    node.subscribed("acme/ann").publish("lost");
    bob.expect("MESSAGE");
    let frozen = freeze(&cluster, &node);
    cluster.store.restore(&topic, &copy);
    assert!(feed.restart(feed.high().unwrap(), head, ResetReason::Ahead));
    a_turn_later(&mut bob);
    drop(frozen);
    bob.expect("RESET");
}

#[test]
fn a_position_waits_behind_a_fallen_fence() {
    let cluster = cluster();
    cluster.member("apollo", "ann", true);
    let node = cluster.node();
    let (mut ann, mut bob) = (node.subscribed("acme/ann"), node.subscribed("acme/bob"));
    ann.say(json!({"type": "MESSAGE", "text": "not for bob", "projectId": "apollo"}));
    ann.find("MESSAGE");
    a_turn_later(&mut bob);
    let frozen = freeze(&cluster, &node);
    // Whoever is sent away is told of it, but not of positions.
    node.reactor.drain(Duration::ZERO);
    bob.expect("RECONNECT");
    drop(frozen);
}

#[test]
fn what_a_socket_did_not_take_in_time_stays_behind_a_fallen_fence_and_leaves_once_it_stands() {
    const ENTRIES: usize = 20;
    let cluster = cluster();
    let node = cluster.node();
    let (mut ann, mut bob) = (node.subscribed("acme/ann"), node.subscribed("acme/bob"));
    let text = "x".repeat(50_000);
    for number in 0..ENTRIES {
        ann.say(json!({"type": "MESSAGE", "text": format!("{number} {text}")}));
        ann.find("MESSAGE");
    }
    let frozen = freeze(&cluster, &node);
    let mut heard = Vec::new();
    // What the kernel had of it comes; then, for a while, nothing.
    while let Heard::Text(frame) = bob.hear(Duration::from_millis(200)) {
        heard.push(frame);
    }
    assert!(heard.len() < ENTRIES - 1, "{} entries", heard.len());
    let before = heard.len();
    bob.say(json!({"type": "PING"}));
    assert_eq!(bob.hear(Duration::from_millis(200)), Heard::Nothing);
    drop(frozen);
    while heard.len() < ENTRIES {
        match bob.hear(support::PATIENCE) {
            Heard::Text(frame) if frame["type"] == "MESSAGE" => heard.push(frame),
            Heard::Text(_) | Heard::Ping => {}
            other => panic!("{other:?} after {}, {before} of them before", heard.len()),
        }
    }
    for (number, frame) in heard.iter().enumerate() {
        assert!(frame["text"].as_str().unwrap().starts_with(&format!("{number} ")), "the {number}th");
    }
}
