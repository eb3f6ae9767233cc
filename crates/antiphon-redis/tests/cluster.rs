//! The broker on a Redis Cluster: shard channels, through failover and reshard.

#![allow(missing_docs, clippy::unwrap_used)]

mod support;

use std::{collections::HashSet, time::Instant};

use antiphon_core::{Broker, Channel, PlainChannel, Tasks};
use antiphon_redis::{RedisBroker, RedisOptions};
use antiphon_testkit::{RedisCluster, or_skip, wait_until};
use bytes::Bytes;
use support::{LOAD, Node, PATIENCE, channel, node, tenant};

fn start(test: &str) -> Option<RedisCluster> {
    or_skip(test, RedisCluster::start(Some("cluster-pass"), None))
}

/// Enough topics for every partition.
fn channels() -> Vec<Channel> {
    (0..1000).map(|number| channel(&format!("t{number}"))).collect()
}

fn all_confirmed(node: &Node, channels: &[Channel]) -> bool {
    let confirmed = node.ear.confirmed.lock();
    let confirmed: HashSet<&Channel> = confirmed.iter().collect();
    channels.iter().all(|channel| confirmed.contains(channel))
}

/// Each channel is heard with one post.
fn hears_each(from: &Node, to: &Node, channels: &[Channel], text: &str) {
    wait_until(PATIENCE, "both are up", || from.is_up() && to.is_up());
    to.ear.received.lock().clear();
    for (at, channel) in channels.iter().enumerate() {
        from.broker.post(channel, Bytes::from(format!("{text} {at}")));
    }
    let heard = || {
        let received = to.ear.received.lock();
        let received: HashSet<&[u8]> = received.iter().map(AsRef::as_ref).collect();
        (0..channels.len()).all(|at| received.contains(format!("{text} {at}").as_bytes()))
    };
    wait_until(PATIENCE, text, heard);
}

/// The shard channels that each server has, and how many there are.
fn partitions(cluster: &RedisCluster) -> (Vec<HashSet<String>>, usize) {
    let of_each: Vec<HashSet<String>> = cluster
        .all(&["PUBSUB", "SHARDCHANNELS"])
        .iter()
        .map(|names| names.lines().map(str::to_owned).collect())
        .collect();
    let count = of_each.iter().map(HashSet::len).sum();
    (of_each, count)
}

#[tokio::test(flavor = "multi_thread")]
async fn on_a_cluster_the_broker_keeps_its_promises() {
    let Some(mut cluster) = start("on_a_cluster_the_broker_keeps_its_promises") else { return };
    let tasks = Tasks::new(tokio::runtime::Handle::current());
    let options = RedisOptions::new(cluster.url());
    let broker = || RedisBroker::start(&options, &tasks).unwrap();
    assert_eq!(antiphon_contract::broker::suite(broker(), broker()).await, 19);
    let set_there = async |is_there| {
        for server in &mut cluster.servers {
            if is_there { server.cont() } else { server.stop() }
        }
    };
    assert_eq!(antiphon_contract::broker::outage(broker(), broker(), set_there).await, 20);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_cluster_has_exactly_the_partitions_that_are_wanted_and_plain_channels_reach_everywhere() {
    let Some(cluster) = start("a_cluster_has_exactly_the_partitions_that_are_wanted") else { return };
    let (one, two) = (node(&cluster.url()), node(&cluster.url()));
    let channels = channels();
    channels.iter().for_each(|channel| two.broker.listen(channel));
    wait_until(PATIENCE, "all confirmed", || all_confirmed(&two, &channels));
    let (of_each, count) = partitions(&cluster);
    assert_eq!(count, 128, "{of_each:?}");
    assert!(of_each[..3].iter().all(|names| names.len() >= 30), "each master has its share: {of_each:?}");
    hears_each(&one, &two, &channels, "at first");

    // A program publishes at one server, and another listens at a third.
    for node in [&one, &two] {
        node.broker.listen_plain(&tenant("acme"));
    }
    let listeners = || cluster.all(&["PUBSUB", "NUMSUB", "acme"]).iter().filter(|s| s.ends_with('2')).count();
    wait_until(PATIENCE, "both listen", || listeners() == 1);
    for server in &cluster.servers {
        server.cli(&["PUBLISH", "acme", "{}"]);
    }
    one.broker.post_plain(&tenant("acme"), Bytes::from_static(b"{}"));
    wait_until(PATIENCE, "each is heard by both", || {
        [&one, &two].iter().all(|node| node.ear.plain.lock().len() == 7)
    });

    two.ear.confirmed.lock().clear();
    for server in &cluster.servers {
        server.cli(&["CLIENT", "KILL", "TYPE", "pubsub"]);
    }
    wait_until(PATIENCE, "all confirmed again", || all_confirmed(&two, &channels));
    hears_each(&one, &two, &channels, "after a kill of all subscriptions");

    channels[1..].iter().for_each(|channel| two.broker.ignore(channel));
    wait_until(PATIENCE, "one partition is left", || partitions(&cluster).1 == 1);
    hears_each(&one, &two, &channels[..1], "the one that is left");
    two.broker.ignore(&channels[0]);
    [&one, &two].iter().for_each(|node| node.broker.ignore_plain(&tenant("acme")));
    wait_until(PATIENCE, "none is left", || {
        partitions(&cluster).1 == 0 && cluster.all(&["PUBSUB", "CHANNELS"]).iter().all(String::is_empty)
    });
    for node in [one, two] {
        assert!(node.tasks.end(PATIENCE).await);
    }
    let clients = || cluster.all(&["CLIENT", "LIST"]).join("\n").matches("user=default").count();
    wait_until(PATIENCE, "only replicas and the asking ones are connected", || clients() <= 9);
}

#[tokio::test(flavor = "multi_thread")]
async fn partitions_are_followed_through_reshard_and_failover_under_load() {
    let Some(mut cluster) = start("partitions_are_followed") else { return };
    let (one, two) = (node(&cluster.url()), node(&cluster.url()));
    let channels = channels();
    channels.iter().for_each(|channel| two.broker.listen(channel));
    wait_until(PATIENCE, "all confirmed", || all_confirmed(&two, &channels));
    hears_each(&one, &two, &channels, "at first");

    let is_over = std::sync::atomic::AtomicBool::new(false);
    std::thread::scope(|threads| {
        threads.spawn(|| {
            while !is_over.load(std::sync::atomic::Ordering::Relaxed) {
                for channel in channels.iter().step_by(5) {
                    one.broker.post(channel, Bytes::from_static(LOAD));
                }
                // poll: a pace, not a wait.
                std::thread::sleep(std::time::Duration::from_millis(20));
            }
        });
        two.ear.confirmed.lock().clear();
        // A slot of its own for each partition: those between are empty.
        let moved: Vec<String> = partitions(&cluster).0[0].iter().take(15).cloned().collect();
        let slots: Vec<String> =
            moved.iter().map(|name| cluster.servers[0].cli(&["CLUSTER", "KEYSLOT", name])).collect();
        let since = Instant::now();
        cluster.reshard(&slots, 0, 1);
        let took = since.elapsed();
        let moved = || partitions(&cluster).1 == 128 && two.is_up();
        wait_until(PATIENCE, "each partition is heard again", moved);
        eprintln!("15 partitions moved in {took:?}: all heard {:?} later", since.elapsed() - took);
        is_over.store(true, std::sync::atomic::Ordering::Relaxed);
    });
    assert!(!two.ear.confirmed.lock().is_empty(), "what moved is confirmed anew");
    let dropped = one.broker.dropped();
    hears_each(&one, &two, &channels, "after the reshard");
    eprintln!("posts dropped by the reshard: {dropped}");

    cluster.await_whole();
    two.ear.confirmed.lock().clear();
    let since = Instant::now();
    cluster.servers[2].kill9();
    wait_until(PATIENCE, "down", || !two.is_up());
    eprintln!("a master was killed: noticed after {:?}", since.elapsed());
    wait_until(PATIENCE, "up again", || two.is_up());
    eprintln!("a master was killed: heard again after {:?}", since.elapsed());
    hears_each(&one, &two, &channels, "after the failover");
    cluster.servers[2].restart().unwrap();
    cluster.await_whole();

    // A master that becomes a replica by its own will still answers each ping.
    let replica = (3..6).find(|at| !cluster.is_master(*at)).unwrap();
    cluster.servers[replica].cli(&["CLUSTER", "FAILOVER"]);
    wait_until(PATIENCE, "it is the master", || cluster.is_master(replica));
    // Until it has been noticed they are all heard where they were: only then do they move.
    wait_until(PATIENCE, "each partition is heard at the new master", || {
        let (of_each, count) = partitions(&cluster);
        count == 128 && !of_each[replica].is_empty() && two.is_up()
    });
    hears_each(&one, &two, &channels, "after the change of roles");
}
