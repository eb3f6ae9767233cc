//! Two bells as one, on a real Redis and a real PostgreSQL: what every broker owes, also while one of the two is away.
#![allow(clippy::unwrap_used)]

use std::{
    sync::Arc,
    time::{Duration, Instant},
};

use antiphon_contract::broker::{echo, outage, suite};
use antiphon_core::{Broker, BrokerState, Channel, Inbox, Tasks};
use antiphon_memory::MemoryBus;
use antiphon_node::Bells;
use antiphon_protocol::ClusterSecret;
use antiphon_redis::{RedisBroker, RedisOptions};
use antiphon_sql::{PostgresBroker, PostgresUrl};
use antiphon_testkit::{FaultProxy, postgres_or_skip, redis_or_skip, shared_postgres, wait_until};
use bytes::Bytes;
use parking_lot::Mutex;

const PATIENCE: Duration = Duration::from_secs(30);
/// Nobody listens there.
const NOWHERE: &str = "redis://127.0.0.1:1";

fn secret() -> ClusterSecret {
    ClusterSecret::new([7; 32])
}

fn tasks() -> Tasks {
    Tasks::new(tokio::runtime::Handle::current())
}

fn on(redis: &str, postgres: &str, tasks: &Tasks) -> Arc<Bells> {
    let first = RedisBroker::start(&RedisOptions::new(redis), tasks).unwrap();
    let spare = PostgresBroker::start(&PostgresUrl::parse(postgres).unwrap(), &secret(), tasks);
    Bells::start(first, spare, &secret(), tasks)
}

#[tokio::test(flavor = "multi_thread")]
async fn the_bells_keep_the_promises_of_a_broker() {
    let test = "the_bells_keep_the_promises_of_a_broker";
    let (Some(redis), Some(postgres)) = (redis_or_skip(test), shared_postgres(test)) else { return };
    let tasks = tasks();
    let bells = || on(&redis.url(), &postgres.url(), &tasks);
    assert_eq!(suite(bells(), bells()).await, 19);
    assert!(tasks.end(PATIENCE).await, "with their node the bells are gone");
}

#[tokio::test(flavor = "multi_thread")]
async fn redis_and_postgres_bring_back_what_a_node_posts_to_itself() {
    let test = "redis_and_postgres_bring_back_what_a_node_posts_to_itself";
    let (Some(redis), Some(postgres)) = (redis_or_skip(test), shared_postgres(test)) else { return };
    let tasks = tasks();
    assert_eq!(echo(RedisBroker::start(&RedisOptions::new(redis.url()), &tasks).unwrap()).await, 2);
    let url = PostgresUrl::parse(&postgres.url()).unwrap();
    assert_eq!(echo(PostgresBroker::start(&url, &secret(), &tasks)).await, 2);
}

#[tokio::test(flavor = "multi_thread")]
async fn without_redis_the_bells_keep_them_all_the_same() {
    let test = "without_redis_the_bells_keep_them_all_the_same";
    let Some(postgres) = shared_postgres(test) else { return };
    let tasks = tasks();
    let bells = || on(NOWHERE, &postgres.url(), &tasks);
    assert_eq!(suite(bells(), bells()).await, 19);
}

#[tokio::test(flavor = "multi_thread")]
async fn where_one_node_has_redis_and_the_other_has_not_they_keep_them_too() {
    let test = "where_one_node_has_redis_and_the_other_has_not";
    let (Some(redis), Some(postgres)) = (redis_or_skip(test), shared_postgres(test)) else { return };
    let (tasks, url) = (tasks(), PostgresUrl::parse(&postgres.url()).unwrap());
    let (with, without) = (on(&redis.url(), &postgres.url(), &tasks), on(NOWHERE, &postgres.url(), &tasks));
    // Once it rings both bells, for which there is no other sign.
    let (spy, by_spare) = (PostgresBroker::start(&url, &secret(), &tasks), Arc::new(Heard::default()));
    spy.attach(by_spare.clone());
    spy.listen(&Channel::Nodes);
    // Where every node listens.
    with.listen(&Channel::Nodes);
    wait_until(PATIENCE, "the deaf one is known", || {
        with.post(&Channel::Nodes, Bytes::from_static(b"by both"));
        by_spare.has(b"by both")
    });
    assert_eq!(suite(with, without).await, 19);
}

#[tokio::test(flavor = "multi_thread")]
async fn both_killed_and_back_they_are_used_as_before() {
    let test = "both_killed_and_back_they_are_used_as_before";
    let (Some(mut redis), Some(mut postgres)) = (redis_or_skip(test), postgres_or_skip(test)) else { return };
    let tasks = tasks();
    let (redis_url, postgres_url) = (redis.url(), postgres.url());
    let bells = || on(&redis_url, &postgres_url, &tasks);
    let set_there = async |is_there| {
        if is_there {
            redis.restart().unwrap();
            postgres.restart().unwrap();
        } else {
            redis.kill9();
            postgres.kill9();
        }
    };
    assert_eq!(outage(bells(), bells(), set_there).await, 20);
}

#[tokio::test(flavor = "multi_thread")]
async fn both_frozen_and_back_they_are_used_as_before() {
    let test = "both_frozen_and_back_they_are_used_as_before";
    let (Some(mut redis), Some(mut postgres)) = (redis_or_skip(test), postgres_or_skip(test)) else { return };
    let tasks = tasks();
    let (redis_url, postgres_url) = (redis.url(), postgres.url());
    let bells = || on(&redis_url, &postgres_url, &tasks);
    let set_there = async |is_there| {
        if is_there {
            redis.cont();
            postgres.cont();
        } else {
            redis.stop();
            postgres.stop();
        }
    };
    assert_eq!(outage(bells(), bells(), set_there).await, 20);
}

#[derive(Default)]
struct Heard {
    posts: Mutex<Vec<Bytes>>,
    states: Mutex<Vec<BrokerState>>,
}

impl Inbox for Heard {
    fn received(&self, bytes: Bytes) {
        self.posts.lock().push(bytes);
    }
    fn confirmed(&self, _: &Channel) {}
    fn state(&self, state: BrokerState) {
        self.states.lock().push(state);
    }
}

impl Heard {
    fn on(bells: &Bells) -> Arc<Self> {
        let heard = Arc::new(Self::default());
        bells.attach(heard.clone());
        bells.listen(&Channel::Nodes);
        heard
    }

    fn has(&self, bytes: &[u8]) -> bool {
        self.posts.lock().iter().any(|heard| heard == bytes)
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_silent_redis_is_doubted_and_the_spare_rings_both_ways() {
    let test = "a_silent_redis_is_doubted";
    let (Some(redis), Some(postgres)) = (redis_or_skip(test), shared_postgres(test)) else { return };
    let tasks = tasks();
    // Only one of the two is cut off from Redis, and nothing tells it.
    let proxy = FaultProxy::start(([127, 0, 0, 1], redis.port()).into()).unwrap();
    let cut_off = on(&proxy.url_for(&redis.url()), &postgres.url(), &tasks);
    let other = on(&redis.url(), &postgres.url(), &tasks);
    let (cut_off_ear, other_ear) = (Heard::on(&cut_off), Heard::on(&other));
    let up = || cut_off.current_state() == BrokerState::Up && other.current_state() == BrokerState::Up;
    wait_until(PATIENCE, "both trust Redis", up);
    proxy.pause();
    let since = Instant::now();
    wait_until(PATIENCE, "doubted", || cut_off.current_state() == BrokerState::Spare);
    // How late a probe has to be for that, the tests of trust show.
    println!("doubted after {:?}", since.elapsed());
    cut_off.post(&Channel::Nodes, Bytes::from_static(b"from the deaf"));
    wait_until(PATIENCE, "the deaf one is heard", || other_ear.has(b"from the deaf"));
    wait_until(PATIENCE, "the deaf one hears", || {
        other.post(&Channel::Nodes, Bytes::from_static(b"to the deaf"));
        cut_off_ear.has(b"to the deaf")
    });
    assert_eq!(other.current_state(), BrokerState::Up);
    proxy.resume();
    wait_until(PATIENCE, "trusted again", up);
    assert_eq!(*cut_off_ear.states.lock().last().unwrap(), BrokerState::Up);
}

#[tokio::test(flavor = "multi_thread")]
async fn while_the_first_is_trusted_the_spare_is_silent_and_not_for_long_after_it_was_needed() {
    let (tasks, first, spare) = (tasks(), MemoryBus::new(), MemoryBus::new());
    let bells = |first: &Arc<MemoryBus>| {
        Bells::start(Arc::new(first.broker()), Arc::new(spare.broker()), &secret(), &tasks)
    };
    let (one, two) = (bells(&first), bells(&first));
    let by_spare = Heard::default();
    let by_spare = Arc::new(by_spare);
    let ear = spare.broker();
    ear.attach(by_spare.clone());
    ear.listen(&Channel::Nodes);
    let (_one, heard) = (Heard::on(&one), Heard::on(&two));
    let up = || one.current_state() == BrokerState::Up && two.current_state() == BrokerState::Up;
    wait_until(PATIENCE, "both trust", up);
    let rings = |text: &'static [u8]| {
        wait_until(PATIENCE, "heard", || {
            one.post(&Channel::Nodes, Bytes::from_static(text));
            heard.has(text)
        });
    };
    // Whoever was not trusted yet has said so a moment ago; and a busy machine's probes may be late.
    let spare_falls_silent = || {
        wait_until(PATIENCE, "the spare is not rung any more", || {
            let text = Bytes::from(format!("{:?}", Instant::now()));
            one.post(&Channel::Nodes, text.clone());
            wait_until(PATIENCE, "heard", || heard.has(&text));
            !by_spare.has(&text)
        });
    };
    spare_falls_silent();
    first.set_down(true);
    rings(b"by the spare");
    wait_until(PATIENCE, "the spare's own ear", || by_spare.has(b"by the spare"));
    first.set_down(false);
    wait_until(PATIENCE, "both trust again", up);
    spare_falls_silent();
    let states = heard.states.lock().clone();
    assert!(states.contains(&BrokerState::Spare), "{states:?}");
    assert!(states.windows(2).all(|two| two[0] != two[1]), "each change is told once: {states:?}");
}
