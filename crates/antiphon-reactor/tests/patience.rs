//! What is slow here is not held against who waits for it.

#![allow(missing_docs, clippy::unwrap_used)]

mod support;

use std::{sync::Arc, time::Duration};

use antiphon_core::{AuthError, Authenticator, Identity, Limits, SeamError, Tasks, TopicRules};
use antiphon_node::{Engines, Node};
use antiphon_reactor::{Reactor, ReactorOptions};
use async_trait::async_trait;
use serde_json::json;
use support::{Cluster, Heard, PATIENCE, Running, SaysWho};
use tokio::sync::Semaphore;

/// Answers about bob only when it is let, and first that it could not look.
struct Slow {
    knows: SaysWho,
    lets: Semaphore,
}

#[async_trait]
impl Authenticator for Slow {
    async fn authenticate(&self, tokens: &[&str]) -> Vec<Result<Identity, AuthError>> {
        if !tokens.contains(&"acme/bob") {
            return self.knows.authenticate(tokens).await;
        }
        self.lets.acquire().await.unwrap().forget();
        if self.lets.available_permits() == 0 {
            return self.knows.authenticate(tokens).await;
        }
        tokens.iter().map(|_| Err(SeamError::unavailable("tokens", "away").into())).collect()
    }
}

fn node(cluster: &Cluster, slow: &Arc<Slow>) -> Running {
    let engines = Engines {
        tail: None,
        store: cluster.store.clone(),
        broker: Arc::new(cluster.bus.broker()),
        plain: None,
        directory: cluster.directory.clone(),
        presence: cluster.presence.clone(),
        authenticator: slow.clone(),
        authorizer: Arc::new(TopicRules::default()),
        hook: None,
        tokens: None,
        keys: None,
    };
    let tasks = Tasks::new(cluster.runtime.handle().clone());
    let _runtime = cluster.runtime.enter();
    let node = Node::start(engines, cluster.secret.clone(), cluster.limits.clone(), tasks);
    let reactor = Reactor::start(&node, &ReactorOptions { shards: 2 }).unwrap();
    Running { node, reactor }
}

#[test]
fn who_has_shown_a_token_is_neither_without_one_nor_silent_while_it_is_checked() {
    let cluster = Cluster::with(Limits {
        first_token_timeout: Duration::from_millis(300),
        keep_alive: Duration::from_millis(300),
        pong_timeout: Duration::from_millis(300),
        ..Limits::default()
    });
    let slow = Arc::new(Slow { knows: SaysWho(cluster.directory.clone()), lets: Semaphore::new(0) });
    let node = node(&cluster, &slow);
    let mut bob = node.connect();
    // Those who came later are ended for what bob does not do.
    let mut ann = node.subscribed("acme/ann");
    bob.say(json!({"type": "SUBSCRIBE", "token": "acme/bob"}));
    let mut eve = node.connect();
    assert_eq!(eve.expect("TERMINATE_CONNECTION")["text"], "NO_TOKEN_PROVIDED");
    while ann.hear(PATIENCE) != Heard::End {}
    slow.lets.add_permits(2);
    let error = bob.expect("ERROR");
    assert_eq!((&error["code"], error["retryAfterMs"].is_u64()), (&json!("UNAVAILABLE"), true));
    bob.say(json!({"type": "SUBSCRIBE", "token": "acme/bob"}));
    bob.expect("SUBSCRIPTION_SUCCESSFUL");
}

#[test]
fn a_reader_that_stops_for_longer_than_a_pong_may_take_is_not_taken_for_a_silent_one() {
    let patience = Duration::from_millis(300);
    let cluster = Cluster::with(Limits {
        keep_alive: patience,
        pong_timeout: patience,
        rate_per_second: 0,
        ..Limits::default()
    });
    let node = cluster.node();
    let (mut ann, mut bob) = (node.subscribed("acme/ann"), node.subscribed("acme/bob"));
    let long = "x".repeat(60_000);
    // More than bob's socket holds: a ping would wait behind it.
    const COUNT: usize = 50;
    let began = std::time::Instant::now();
    let mut said = 0;
    while said < COUNT || began.elapsed() < patience * 6 {
        ann.publish(&format!("{said} {long}"));
        said += 1;
        std::thread::sleep(patience / 30); // poll: the time has to pass.
    }
    let mut number = 0;
    while number < said {
        match bob.hear(PATIENCE) {
            Heard::Text(frame) => {
                assert!(frame["text"].as_str().unwrap().starts_with(&format!("{number} ")), "at {number}");
                number += 1;
            }
            Heard::Ping => bob.raw(&antiphon_ws::client::frame(antiphon_ws::Opcode::Pong, b"")),
            other => panic!("at {number}: {other:?}"),
        }
    }
    assert_eq!(node.node.metrics().ended_for(antiphon_node::EndReason::Silent), 0);
}
