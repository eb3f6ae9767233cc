//! Redis dies, freezes, forgets, or is out of reach of one node, under traffic: nobody is told an error, nobody is disconnected,
//! everything arrives once and in order, and signals too.
#![allow(clippy::unwrap_used)]

mod support;
mod traffic;

use std::time::Duration;

use traffic::{Cluster, Phase, Traffic};

/// How soon at the latest signals come again: a doubt, a note, and a machine that is busy with other tests.
const SOON: Duration = Duration::from_secs(2);
const LONG: Duration = Duration::from_secs(3);

#[tokio::test(flavor = "multi_thread")]
async fn a_redis_that_is_away_costs_nobody_an_entry_an_error_or_a_connection() {
    let test = "a_redis_that_is_away_costs_nobody";
    let Some(mut cluster) = Cluster::start(test) else { return };
    let mut traffic = Traffic::start(&cluster, 100).await;
    traffic.phase("before", SOON).await;

    cluster.redis.kill9();
    traffic.phase("killed", SOON).await;
    traffic.phase("dead for a while", LONG).await;
    cluster.redis.restart().unwrap();
    traffic.phase_until_trusted("restarted", &cluster).await;

    cluster.redis.stop();
    traffic.phase("frozen", SOON).await;
    traffic.phase("frozen for a while", LONG).await;
    cluster.redis.cont();
    traffic.phase_until_trusted("goes on", &cluster).await;

    cluster.redis.cli(&["FLUSHALL"]);
    cluster.redis.cli(&["CLIENT", "KILL", "TYPE", "pubsub"]);
    traffic.phase("flushed, listeners killed", SOON).await;
    traffic.phase_until_trusted("listened to again", &cluster).await;

    cluster.ways[1].pause();
    traffic.phase("one node is cut off", SOON).await;
    traffic.phase("cut off for a while", LONG).await;
    cluster.ways[1].resume();
    traffic.phase_until_trusted("healed", &cluster).await;
    let ready = cluster.nodes[1].get("/health/ready");
    assert!(ready.contains("200"), "{ready}");

    let phases = traffic.end().await;
    phases.iter().for_each(|phase| println!("{phase}"));
    for phase in phases.iter().filter(|phase| phase.name.ends_with("for a while")) {
        signals_come(phase);
    }
}

fn signals_come(phase: &Phase) {
    let Phase { name, signals_sent, signals_heard, .. } = phase;
    assert!(signals_heard * 10 >= signals_sent * 9, "{name}: {signals_heard} of {signals_sent} signals");
}
