//! The broker on a Redis that sentinels watch, through its failovers.

#![allow(missing_docs, clippy::unwrap_used)]

mod support;

use std::time::Instant;

use antiphon_core::{Broker, BrokerState, Channel, Tasks};
use antiphon_redis::{RedisBroker, RedisOptions};
use antiphon_testkit::{RedisSentinel, or_skip, wait_until};
use bytes::Bytes;
use support::{Node, PATIENCE, channel, node};

const PASSWORDS: (&str, &str) = ("redis-pass", "sentinel pass");

fn url(sentinel: &RedisSentinel) -> String {
    let url = sentinel.url().replace("://", "://:redis-pass@");
    format!("{url}?sentinel_password=sentinel%20pass")
}

fn start(test: &str) -> Option<RedisSentinel> {
    or_skip(test, RedisSentinel::start(Some(PASSWORDS.0), Some(PASSWORDS.1)))
}

fn channels() -> Vec<Channel> {
    (0..100).map(|number| channel(&format!("t{number}"))).collect()
}

/// Each channel is heard with the first post after its confirmation.
fn hears_each(from: &Node, to: &Node, channels: &[Channel], text: &str) {
    wait_until(PATIENCE, "both are up", || from.is_up() && to.is_up());
    for (at, channel) in channels.iter().enumerate() {
        let text = format!("{text} {at}");
        wait_until(PATIENCE, &text, || {
            from.broker.post(channel, Bytes::from(text.clone()));
            to.ear.heard(text.as_bytes())
        });
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn behind_sentinels_the_broker_keeps_its_promises() {
    let Some(sentinel) = start("behind_sentinels_the_broker_keeps_its_promises") else { return };
    // Users who may do no more than the docs say.
    let docs = include_str!("../../../docs/operations/redis.md");
    let of_sentinels = "+sentinel|master +sentinel|get-master-addr-by-name";
    let of_redis = "+subscribe +unsubscribe +publish +ping";
    assert!(docs.contains(of_sentinels) && docs.contains(of_redis) && docs.contains("`+role`"));
    let user = |rules: &'static str| {
        let user = ["ACL", "SETUSER", "node", "on", ">acl", "resetchannels", "&antiphon*", "-@all"];
        user.into_iter().chain(rules.split(' ')).collect::<Vec<&str>>()
    };
    sentinel.all_sentinels(&user(of_sentinels));
    for server in &sentinel.servers {
        server.cli(&[user(of_redis), vec!["+role"]].concat());
    }
    let url = sentinel.url().replace("://", "://node:acl@") + "?sentinel_user=node&sentinel_password=acl";
    let tasks = Tasks::new(tokio::runtime::Handle::current());
    let broker = || RedisBroker::start(&RedisOptions::new(url.clone()), &tasks).unwrap();
    assert_eq!(antiphon_contract::broker::suite(broker(), broker()).await, 19);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_master_and_its_replica_that_freeze_and_go_on_are_used_as_before() {
    let test = "a_master_and_its_replica_that_freeze_and_go_on_are_used_as_before";
    let Some(mut sentinel) = start(test) else { return };
    let tasks = Tasks::new(tokio::runtime::Handle::current());
    let options = RedisOptions::new(url(&sentinel));
    let broker = || RedisBroker::start(&options, &tasks).unwrap();
    let set_there = async |is_there| {
        for server in &mut sentinel.servers {
            if is_there { server.cont() } else { server.stop() }
        }
    };
    assert_eq!(antiphon_contract::broker::outage(broker(), broker(), set_there).await, 20);
}

#[tokio::test(flavor = "multi_thread")]
async fn the_master_is_followed_when_it_dies_and_when_it_is_changed_and_left_when_it_is_none() {
    let Some(mut sentinel) = start("the_master_is_followed") else { return };
    // One that does not answer takes nothing from the others' word.
    sentinel.freeze_sentinel(1, true);
    let (one, two) = (node(&url(&sentinel)), node(&url(&sentinel)));
    let channels = channels();
    channels.iter().for_each(|channel| two.broker.listen(channel));
    hears_each(&one, &two, &channels, "at first");
    sentinel.freeze_sentinel(1, false);

    // A replica still answers each ping, and brings what nobody publishes.
    let before = sentinel.master();
    let (master, other) = (&sentinel.servers[before], &sentinel.servers[1 - before]);
    two.ear.states.lock().clear();
    master.cli(&["REPLICAOF", "127.0.0.1", &other.port().to_string()]);
    wait_until(PATIENCE, "left", || two.ear.states.lock().first() == Some(&BrokerState::Down));
    master.cli(&["REPLICAOF", "NO", "ONE"]);
    hears_each(&one, &two, &channels, "of a master again");

    two.ear.confirmed.lock().clear();
    let since = Instant::now();
    sentinel.failover();
    let other = &sentinel.servers[1 - before];
    let listened = || other.try_cli(&["PUBSUB", "CHANNELS", "antiphon*"]).lines().count() == channels.len();
    wait_until(PATIENCE, "all listened to at the new master", listened);
    eprintln!("the master was changed: heard again after {:?}", since.elapsed());
    wait_until(PATIENCE, "confirmed", || channels.iter().all(|c| two.ear.confirmed.lock().contains(c)));
    hears_each(&one, &two, &channels, "after the change");

    two.ear.confirmed.lock().clear();
    let since = Instant::now();
    sentinel.servers[1 - before].kill9();
    wait_until(PATIENCE, "down", || !two.is_up());
    wait_until(PATIENCE, "up on the other one", || two.is_up());
    eprintln!("the master was killed: heard again after {:?}", since.elapsed());
    wait_until(PATIENCE, "confirmed", || channels.iter().all(|c| two.ear.confirmed.lock().contains(c)));
    // Each sentinel hears of it in its own time.
    wait_until(PATIENCE, "the one that is asked knows", || sentinel.master() == before);
    hears_each(&one, &two, &channels, "after its death");
}
