//! What breaks: one thing after the other, each for a while, in an order that the seed decides. Some overlap, since
//! commits are cut from their answers all the time.

use std::collections::BTreeMap;

use super::{
    Rng,
    cluster::{Cluster, PATIENCE},
    pause_here,
    recorder::Recorder,
};

/// A kind of fault.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub enum Fault {
    NodeKilled,
    NodeStopped,
    RedisKilled,
    RedisStopped,
    RedisFlushed,
    PubsubKilled,
    PostgresKilled,
    PostgresQuit,
    RedisPartitioned,
    PostgresPartitioned,
    LinksReset,
    TopicsHeld,
}

/// How often each comes in one round.
pub const ROUND: &[(Fault, usize)] = &[
    (Fault::NodeKilled, 4),
    (Fault::NodeStopped, 2),
    (Fault::RedisKilled, 2),
    (Fault::RedisStopped, 1),
    (Fault::RedisFlushed, 1),
    (Fault::PubsubKilled, 2),
    (Fault::PostgresKilled, 1),
    (Fault::PostgresQuit, 1),
    (Fault::RedisPartitioned, 1),
    (Fault::PostgresPartitioned, 1),
    (Fault::LinksReset, 1),
    (Fault::TopicsHeld, 1),
];

/// Goes through the rounds; tells how often each fault came.
pub fn run(
    cluster: &mut Cluster,
    recorder: &Recorder,
    rng: &mut Rng,
    rounds: usize,
) -> BTreeMap<String, u64> {
    let mut counts = BTreeMap::new();
    for _ in 0..rounds {
        let mut round: Vec<Fault> =
            ROUND.iter().flat_map(|(fault, times)| std::iter::repeat_n(*fault, *times)).collect();
        for last in (1..round.len()).rev() {
            round.swap(last, rng.below(last + 1));
        }
        for fault in round {
            cluster.sites.iter().for_each(|site| site.cutter.cut_next(1));
            let number = rng.below(cluster.sites.len());
            recorder.fault(format!("{fault:?}, node {number}"));
            cause(cluster, number, fault, rng);
            recorder.fault(format!("{fault:?} is over"));
            *counts.entry(format!("{fault:?}")).or_insert(0) += 1;
            pause_here(rng.millis(200, 2_500));
        }
    }
    cluster.sites.iter().for_each(|site| site.cutter.cut_no_more());
    counts.insert("CommitCut".to_owned(), cluster.sites.iter().map(|site| site.cutter.cuts()).sum());
    counts
}

/// Breaks something, and mends it.
fn cause(cluster: &mut Cluster, number: usize, fault: Fault, rng: &mut Rng) {
    let short = rng.millis(100, 1_500);
    let long = rng.millis(1_000, 5_000);
    let site = &mut cluster.sites[number];
    match fault {
        Fault::NodeKilled => {
            site.node.kill9();
            pause_here(short);
            site.node.restart().unwrap();
        }
        Fault::NodeStopped => {
            site.node.stop();
            pause_here(long);
            site.node.cont();
        }
        Fault::RedisKilled => {
            cluster.redis.kill9();
            pause_here(short);
            cluster.redis.restart().unwrap();
        }
        Fault::RedisStopped => {
            cluster.redis.stop();
            pause_here(long);
            cluster.redis.cont();
        }
        Fault::RedisFlushed => drop(cluster.redis.cli(&["FLUSHALL"])),
        Fault::PubsubKilled => drop(cluster.redis.cli(&["CLIENT", "KILL", "TYPE", "pubsub"])),
        Fault::PostgresKilled => {
            cluster.postgres.kill9();
            pause_here(short);
            cluster.postgres.restart().unwrap();
        }
        Fault::PostgresQuit => {
            cluster.postgres.quit(PATIENCE).expect("it ends");
            pause_here(short);
            cluster.postgres.restart().unwrap();
        }
        Fault::RedisPartitioned => {
            site.to_redis.pause();
            pause_here(long);
            site.to_redis.resume();
        }
        Fault::PostgresPartitioned => {
            site.to_database.pause();
            pause_here(long);
            site.to_database.resume();
        }
        Fault::LinksReset => {
            site.to_redis.refuse();
            site.to_database.refuse();
            site.to_redis.cut();
            site.to_database.cut();
            pause_here(short);
            site.to_redis.resume();
            site.to_database.resume();
        }
        Fault::TopicsHeld => {
            // As an application in a long transaction, the busiest ones.
            let hold = "select 1 from antiphon.topics order by head desc limit 5 for no key update";
            let pause = format!("select pg_sleep({})", long.as_secs_f64());
            cluster.database.sql(&["begin", hold, &pause, "commit"].join("; "));
        }
    }
}
