//! A directory that went back, as after a restored backup: its numbers stand for other changes now.

#![allow(missing_docs, clippy::unwrap_used)]

mod support;

use std::time::Duration;

use antiphon_core::{Directory, Limits, Store};
use antiphon_protocol::{Content, Draft, Topic};
use serde_json::json;
use support::{Cluster, project, tenant, user};

fn cluster(tick: Duration) -> Cluster {
    Cluster::with(Limits { rate_per_second: 0, tick, ..Limits::default() })
}

#[test]
fn a_bell_that_tells_of_less_than_is_held_makes_a_node_look_itself() {
    // No tick: the bell alone tells.
    let cluster = cluster(Duration::from_secs(3600));
    cluster.member("kitchen", "bob", true);
    let nodes = [cluster.node(), cluster.node()];
    let copy = cluster.directory.copy();
    for round in 0..3 {
        cluster.member("attic", "cleo", round % 2 == 0);
    }
    let mut ann = nodes[0].subscribed("acme/ann");
    let mut bob = nodes[1].subscribed("acme/bob");
    cluster.directory.restore(&copy);
    // The next change gets a number that both nodes know of another one.
    let (acme, kitchen, who) = (tenant("acme"), project("kitchen"), user("bob"));
    let remove = cluster.directory.delete_member(&acme, &kitchen, &who);
    cluster.runtime.block_on(remove).unwrap();
    cluster.runtime.block_on(nodes[0].node.tenant_changed(&acme));
    for client in [&mut ann, &mut bob] {
        client.expect_close(1012);
    }
    let mut bob = nodes[1].subscribed("acme/bob");
    let mut author = nodes[0].connect();
    cluster.member("kitchen", "ann", true);
    author
        .say(json!({"type": "MESSAGE", "token": "acme/ann", "text": "not for bob", "projectId": "kitchen"}));
    author.expect("ACCEPTED");
    bob.expect_silence();
}

#[test]
fn an_entry_whose_stamp_the_directory_never_reaches_is_delivered_with_what_is_true_now() {
    let cluster = cluster(Duration::from_millis(50));
    let node = cluster.node();
    let mut bob = node.subscribed("acme/bob");
    let topic = Topic::of_tenant(&tenant("acme"));
    let draft = |text| Draft {
        topic: topic.clone(),
        author: None,
        named_project: None,
        key: None,
        content: Content::text(text).unwrap(),
    };
    // Another node had read a change that was lost with the directory, and rings nobody.
    let append =
        |stamp, text| cluster.runtime.block_on(cluster.store.append(&[(stamp, vec![draft(text)])])).unwrap();
    append(1_000_000, "first");
    append(1, "second");
    for text in ["first", "second"] {
        assert_eq!(bob.expect("MESSAGE")["text"], text);
    }
}
