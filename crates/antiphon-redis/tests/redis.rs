//! The broker on a real Redis, and on one that misbehaves.

#![allow(missing_docs, clippy::unwrap_used)]

mod support;

use std::time::{Duration, Instant};

use antiphon_core::{Broker, BrokerState, PlainChannel, Tasks};
use antiphon_redis::{RedisBroker, RedisOptions};
use antiphon_testkit::{redis_or_skip, wait_until};
use bytes::Bytes;
use support::{PATIENCE, channel, node, tenant};

#[tokio::test(flavor = "multi_thread")]
async fn what_is_posted_reaches_those_that_listen_and_nobody_else() {
    let Some(redis) = redis_or_skip("what_is_posted_reaches_those_that_listen_and_nobody_else") else {
        return;
    };
    let (one, two) = (node(&redis.url()), node(&redis.url()));
    two.broker.listen(&channel("news"));
    wait_until(PATIENCE, "confirmed", || !two.ear.confirmed.lock().is_empty() && one.is_up());
    one.broker.post(&channel("other"), Bytes::from_static(b"no"));
    one.broker.post(&channel("news"), Bytes::from_static(b"\x00\xff yes"));
    wait_until(PATIENCE, "received", || !two.ear.received.lock().is_empty());
    assert_eq!(*two.ear.received.lock(), [&b"\x00\xff yes"[..]]);
    assert_eq!(redis.cli(&["PUBSUB", "CHANNELS"]).lines().count(), 1);
    two.broker.ignore(&channel("news"));
    wait_until(PATIENCE, "Redis knows of no interest", || {
        redis.cli(&["PUBSUB", "CHANNELS"]).trim().is_empty()
    });
    assert!(one.ear.received.lock().is_empty());
}

#[tokio::test(flavor = "multi_thread")]
async fn a_restarted_redis_is_listened_to_again_and_each_channel_is_confirmed_again() {
    let name = "a_restarted_redis_is_listened_to_again_and_each_channel_is_confirmed_again";
    let Some(mut redis) = redis_or_skip(name) else { return };
    let node = node(&redis.url());
    for number in 0..1200 {
        node.broker.listen(&channel(&format!("t{number}")));
    }
    wait_until(PATIENCE, "all confirmed", || node.ear.confirmed.lock().len() == 1200);
    redis.kill9();
    wait_until(PATIENCE, "down", || !node.is_up());
    node.ear.confirmed.lock().clear();
    node.broker.listen(&channel("while-away"));
    redis.restart().unwrap();
    wait_until(PATIENCE, "all confirmed again", || node.ear.confirmed.lock().len() >= 1201);
    node.was_told(&[BrokerState::Up, BrokerState::Down, BrokerState::Up]);
    wait_until(PATIENCE, "the publisher is back", || {
        node.broker.post(&channel("t7"), Bytes::from_static(b"back"));
        !node.ear.received.lock().is_empty()
    });
}

#[tokio::test(flavor = "multi_thread")]
async fn a_killed_subscription_comes_back() {
    let Some(redis) = redis_or_skip("a_killed_subscription_comes_back") else { return };
    let node = node(&redis.url());
    node.broker.listen(&channel("news"));
    wait_until(PATIENCE, "confirmed", || !node.ear.confirmed.lock().is_empty());
    redis.cli(&["CLIENT", "KILL", "TYPE", "pubsub"]);
    wait_until(PATIENCE, "confirmed again", || node.ear.confirmed.lock().len() == 2);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_redis_that_stopped_is_noticed_and_posts_do_not_block() {
    let Some(mut redis) = redis_or_skip("a_redis_that_stopped_is_noticed_and_posts_do_not_block") else {
        return;
    };
    let node = node(&redis.url());
    wait_until(PATIENCE, "up", || node.is_up());
    redis.stop();
    for _ in 0..50_000 {
        node.broker.post(&channel("news"), Bytes::from_static(b"x"));
    }
    wait_until(PATIENCE, "noticed", || !node.is_up());
    assert!(node.broker.dropped() > 0);
    redis.cont();
    wait_until(PATIENCE, "up again", || node.is_up());
}

#[tokio::test(flavor = "multi_thread")]
async fn plain_channels_carry_plain_bytes_both_ways() {
    let Some(redis) = redis_or_skip("plain_channels_carry_plain_bytes_both_ways") else { return };
    let node = node(&redis.url());
    let acme = tenant("acme");
    node.broker.listen_plain(&acme);
    wait_until(PATIENCE, "listens", || redis.cli(&["PUBSUB", "CHANNELS"]).trim() == "acme");
    redis.cli(&["PUBLISH", "acme", "{\"text\":\"hi\"}"]);
    wait_until(PATIENCE, "heard", || !node.ear.plain.lock().is_empty());
    assert_eq!(node.ear.plain.lock()[0], (acme.clone(), Bytes::from_static(b"{\"text\":\"hi\"}")));
    node.broker.post_plain(&acme, Bytes::from_static(b"{}"));
    wait_until(PATIENCE, "its own too", || node.ear.plain.lock().len() == 2);
}

#[tokio::test(flavor = "multi_thread")]
async fn the_broker_keeps_its_promises() {
    let Some(redis) = redis_or_skip("the_broker_keeps_its_promises") else { return };
    let tasks = Tasks::new(tokio::runtime::Handle::current());
    let broker = || RedisBroker::start(&RedisOptions::new(redis.url()), &tasks).unwrap();
    assert_eq!(antiphon_contract::broker::suite(broker(), broker()).await, 19);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_killed_redis_that_comes_back_is_used_as_before() {
    let Some(mut redis) = redis_or_skip("a_killed_redis_that_comes_back_is_used_as_before") else { return };
    let tasks = Tasks::new(tokio::runtime::Handle::current());
    let options = RedisOptions::new(redis.url());
    let broker = || RedisBroker::start(&options, &tasks).unwrap();
    let set_there = async |is_there| if is_there { redis.restart().unwrap() } else { redis.kill9() };
    assert_eq!(antiphon_contract::broker::outage(broker(), broker(), set_there).await, 20);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_frozen_redis_that_goes_on_is_used_as_before() {
    let Some(mut redis) = redis_or_skip("a_frozen_redis_that_goes_on_is_used_as_before") else { return };
    let tasks = Tasks::new(tokio::runtime::Handle::current());
    let options = RedisOptions::new(redis.url());
    let broker = || RedisBroker::start(&options, &tasks).unwrap();
    let set_there = async |is_there| if is_there { redis.cont() } else { redis.stop() };
    assert_eq!(antiphon_contract::broker::outage(broker(), broker(), set_there).await, 20);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_frozen_redis_is_noticed_in_about_three_seconds() {
    let Some(mut redis) = redis_or_skip("a_frozen_redis_is_noticed_in_about_three_seconds") else { return };
    let node = node(&redis.url());
    node.hear(&channel("news"));
    redis.stop();
    let since = Instant::now();
    wait_until(PATIENCE, "noticed", || !node.is_up());
    // A ping each second, two for its answer; the rest is for a machine that is busy with other tests.
    assert!(since.elapsed() < Duration::from_secs(6), "{:?}", since.elapsed());
}

#[tokio::test(flavor = "multi_thread")]
async fn five_thousand_channels_come_and_go_and_redis_knows_exactly_those() {
    let Some(redis) = redis_or_skip("five_thousand_channels_come_and_go") else { return };
    let node = node(&redis.url());
    let channels: Vec<_> = (0..5000).map(|number| channel(&format!("t{number}"))).collect();
    channels.iter().for_each(|channel| node.broker.listen(channel));
    wait_until(PATIENCE, "all confirmed", || node.ear.confirmed.lock().len() == 5000);
    let known = || redis.cli(&["PUBSUB", "CHANNELS"]).lines().map(str::to_owned).collect::<Vec<_>>();
    assert_eq!(known().len(), 5000);
    channels[1..].iter().for_each(|channel| node.broker.ignore(channel));
    wait_until(PATIENCE, "one is left", || known() == ["antiphon:topic acme t0"]);
    node.is_heard_on(&channels[0], "still heard");
    node.broker.ignore(&channels[0]);
    wait_until(PATIENCE, "none is left", || redis.cli(&["PUBSUB", "CHANNELS"]).is_empty());
    node.was_told(&[BrokerState::Up]);
}

#[tokio::test(flavor = "multi_thread")]
async fn with_its_node_the_broker_leaves_redis() {
    let Some(redis) = redis_or_skip("with_its_node_the_broker_leaves_redis") else { return };
    let node = node(&redis.url());
    node.hear(&channel("news"));
    assert!(node.tasks.end(PATIENCE).await);
    wait_until(PATIENCE, "no connection but the asking one", || {
        redis.cli(&["CLIENT", "LIST"]).lines().count() == 1
    });
}
