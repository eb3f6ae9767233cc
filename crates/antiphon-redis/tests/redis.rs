//! The broker on a real Redis, and on one that misbehaves.

#![allow(missing_docs, clippy::unwrap_used)]

use std::{sync::Arc, time::Duration};

use antiphon_core::{Broker, BrokerState, Channel, Inbox, PlainChannel, PlainInbox, Tasks};
use antiphon_protocol::{TenantId, Topic, TopicName};
use antiphon_redis::{RedisBroker, RedisOptions};
use antiphon_testkit::{redis_or_skip, wait_until};
use bytes::Bytes;
use parking_lot::Mutex;

const PATIENCE: Duration = Duration::from_secs(15);

#[derive(Default)]
struct Ear {
    received: Mutex<Vec<Bytes>>,
    confirmed: Mutex<Vec<Channel>>,
    states: Mutex<Vec<BrokerState>>,
    plain: Mutex<Vec<(TenantId, Bytes)>>,
}

impl Inbox for Ear {
    fn received(&self, bytes: Bytes) {
        self.received.lock().push(bytes);
    }
    fn confirmed(&self, channel: &Channel) {
        self.confirmed.lock().push(channel.clone());
    }
    fn state(&self, state: BrokerState) {
        self.states.lock().push(state);
    }
}

impl PlainInbox for Ear {
    fn plain(&self, tenant: &TenantId, bytes: Bytes) {
        self.plain.lock().push((tenant.clone(), bytes));
    }
}

struct Node {
    broker: Arc<RedisBroker>,
    ear: Arc<Ear>,
}

fn node(url: &str) -> Node {
    let tasks = Tasks::new(tokio::runtime::Handle::current());
    let broker = RedisBroker::start(&RedisOptions::new(url), &tasks).unwrap();
    let ear = Arc::new(Ear::default());
    broker.attach(ear.clone());
    broker.attach_plain(ear.clone());
    Node { broker, ear }
}

fn channel(name: &str) -> Channel {
    Channel::Topic(Topic::new(TenantId::parse("acme").unwrap(), TopicName::parse(name).unwrap()))
}

fn is_up(node: &Node) -> bool {
    node.broker.current_state() == BrokerState::Up
}

#[tokio::test(flavor = "multi_thread")]
async fn what_is_posted_reaches_those_that_listen_and_nobody_else() {
    let Some(redis) = redis_or_skip("what_is_posted_reaches_those_that_listen_and_nobody_else") else {
        return;
    };
    let (one, two) = (node(&redis.url()), node(&redis.url()));
    two.broker.listen(&channel("news"));
    wait_until(PATIENCE, "confirmed", || !two.ear.confirmed.lock().is_empty() && is_up(&one));
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
    wait_until(PATIENCE, "down", || !is_up(&node));
    node.ear.confirmed.lock().clear();
    node.broker.listen(&channel("while-away"));
    redis.restart().unwrap();
    wait_until(PATIENCE, "all confirmed again", || node.ear.confirmed.lock().len() >= 1201);
    assert_eq!(*node.ear.states.lock(), [BrokerState::Up, BrokerState::Down, BrokerState::Up]);
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
    wait_until(PATIENCE, "up", || is_up(&node));
    redis.stop();
    for _ in 0..50_000 {
        node.broker.post(&channel("news"), Bytes::from_static(b"x"));
    }
    wait_until(PATIENCE, "noticed", || !is_up(&node));
    assert!(node.broker.dropped() > 0);
    redis.cont();
    wait_until(PATIENCE, "up again", || is_up(&node));
}

#[tokio::test(flavor = "multi_thread")]
async fn plain_channels_carry_plain_bytes_both_ways() {
    let Some(redis) = redis_or_skip("plain_channels_carry_plain_bytes_both_ways") else { return };
    let node = node(&redis.url());
    let acme = TenantId::parse("acme").unwrap();
    node.broker.listen_plain(&acme);
    wait_until(PATIENCE, "listens", || redis.cli(&["PUBSUB", "CHANNELS"]).trim() == "acme");
    redis.cli(&["PUBLISH", "acme", "{\"text\":\"hi\"}"]);
    wait_until(PATIENCE, "heard", || !node.ear.plain.lock().is_empty());
    assert_eq!(node.ear.plain.lock()[0], (acme.clone(), Bytes::from_static(b"{\"text\":\"hi\"}")));
    node.broker.post_plain(&acme, Bytes::from_static(b"{}"));
    wait_until(PATIENCE, "its own too", || node.ear.plain.lock().len() == 2);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_wrong_password_is_told_without_it_and_tried_again() {
    let Some(redis) = redis_or_skip("a_wrong_password_is_told_without_it_and_tried_again") else { return };
    let node = node(&redis.url().replace("redis://", "redis://default:hunter2@"));
    assert!(!is_up(&node));
    redis.cli(&["ACL", "SETUSER", "default", "on", ">hunter2", "~*", "&*", "+@all"]);
    wait_until(PATIENCE, "up with the right one", || is_up(&node));
}

#[tokio::test(flavor = "multi_thread")]
async fn the_broker_keeps_its_promises() {
    let Some(redis) = redis_or_skip("the_broker_keeps_its_promises") else { return };
    let tasks = Tasks::new(tokio::runtime::Handle::current());
    let broker = || RedisBroker::start(&RedisOptions::new(redis.url()), &tasks).unwrap();
    assert_eq!(antiphon_contract::broker::suite(broker(), broker()).await, 10);
}
