//! Two nodes that hear each other through a Redis with sentinels, and through a cluster: what is published while that
//! changes its masters arrives all the same, in order.
#![allow(clippy::unwrap_used)]

mod support;

use std::time::{Duration, Instant};

use antiphon_client::Raw;
use antiphon_testkit::{RedisCluster, RedisSentinel, or_skip, shared_postgres};
use serde_json::json;
use support::{
    antiphon,
    node::{Node, eventually},
};

const MESSAGES: usize = 500;

struct Pair {
    nodes: [Node; 2],
    ann: String,
    ben: String,
}

fn pair(test: &str, redis: &str) -> Option<Pair> {
    let database = shared_postgres(test)?.url();
    assert_eq!(antiphon(&["migrate", "--database", &database]).run().code, 0);
    let token = |user: &str| {
        let issue = ["token", "issue", "--tenant", "acme", "--user", user, "--database", &database];
        antiphon(&issue).run().stdout.trim_end().to_owned()
    };
    let args = ["--database", &database, "--redis", redis, "--rate-limit", "0"];
    let nodes = [Node::serve(&args), Node::serve(&args)];
    let pair = Pair { ann: token("ann"), ben: token("ben"), nodes };
    pair.hear_each_other();
    Some(pair)
}

impl Pair {
    fn hear_each_other(&self) {
        for node in &self.nodes {
            eventually("the bell is there", || node.get("/health/ready").contains("\"broker\":true"));
        }
    }

    /// Publishes at one node and hears at the other while `fault` happens; then only the bell can have brought a signal.
    async fn survives<R: Send + 'static>(&self, fault: impl FnOnce() -> R + Send + 'static) {
        let mut hears = Raw::connect(&self.nodes[1].ws()).await.unwrap();
        hears.send_json(&json!({"type": "SUBSCRIBE", "token": self.ben})).await.unwrap();
        hears.frame_of("SUBSCRIPTION_SUCCESSFUL").await.unwrap();
        let mut says = Raw::connect(&self.nodes[0].ws()).await.unwrap();
        says.send_json(&json!({"type": "MESSAGE", "token": self.ann, "text": "0"})).await.unwrap();
        let mut slowest = Duration::ZERO;
        let talk = async {
            for number in 1..MESSAGES {
                let since = Instant::now();
                says.send_json(&json!({"type": "MESSAGE", "text": number.to_string()})).await.unwrap();
                says.frame_of("ACCEPTED").await.unwrap();
                slowest = slowest.max(since.elapsed());
                // poll: a pace of publishing.
                tokio::time::sleep(Duration::from_millis(8)).await;
            }
            says
        };
        let listen = async {
            for number in 0..MESSAGES {
                let heard = hears.frame_of("MESSAGE").await.unwrap();
                assert_eq!(heard["text"], number.to_string(), "none is lost, none is out of order");
            }
            hears
        };
        let fault = tokio::task::spawn_blocking(fault);
        let (mut says, mut hears) = tokio::join!(talk, listen);
        let _servers = fault.await.unwrap();
        eprintln!("{MESSAGES} published, none lost, in order; the slowest publish took {slowest:?}");
        self.hear_each_other();
        let until = Instant::now() + support::node::PATIENCE;
        loop {
            assert!(Instant::now() < until, "no signal comes");
            says.send_json(&json!({"type": "SIGNAL", "text": "by the bell"})).await.unwrap();
            let heard = tokio::time::timeout(Duration::from_millis(500), hears.frame_of("SIGNAL")).await;
            if let Ok(heard) = heard {
                assert_eq!(heard.unwrap()["text"], "by the bell");
                break;
            }
        }
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn nothing_is_lost_while_a_cluster_moves_slots_and_loses_a_master() {
    let test = "nothing_is_lost_while_a_cluster_moves_slots";
    let Some(mut cluster) = or_skip(test, RedisCluster::start(None, None)) else { return };
    let Some(pair) = pair(test, &cluster.url()) else { return };
    pair.survives(move || {
        for round in 0..3 {
            // Wherever the topic is, it moves once in three.
            let (from, to) = (round, (round + 1) % 3);
            let there = cluster.servers[from].cli(&["PUBSUB", "SHARDCHANNELS"]);
            let slot = |name| cluster.servers[0].cli(&["CLUSTER", "KEYSLOT", name]);
            let slots: Vec<String> = there.lines().map(slot).collect();
            cluster.reshard(&slots, from, to);
        }
        let has_some = |at: &usize| !cluster.servers[*at].cli(&["PUBSUB", "SHARDCHANNELS"]).is_empty();
        let busy = (0..3).find(has_some).unwrap_or_default();
        cluster.servers[busy].kill9();
        eventually("its replica is the master", || cluster.is_master(3 + busy));
        cluster.servers[busy].restart().unwrap();
        cluster.await_whole();
        cluster
    })
    .await;
}

#[tokio::test(flavor = "multi_thread")]
async fn nothing_is_lost_while_sentinels_change_the_master() {
    let test = "nothing_is_lost_while_sentinels_change_the_master";
    let Some(mut sentinel) = or_skip(test, RedisSentinel::start(None, None)) else { return };
    let Some(pair) = pair(test, &sentinel.url()) else { return };
    pair.survives(move || {
        sentinel.failover();
        let master = sentinel.master();
        sentinel.servers[master].kill9();
        eventually("the other one is the master", || sentinel.master() != master);
        sentinel
    })
    .await;
}
