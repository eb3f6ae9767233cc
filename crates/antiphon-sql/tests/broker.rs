//! The broker on a real PostgreSQL: what it owes as every broker does, and what is its own.
#![allow(clippy::unwrap_used)]

use std::{sync::Arc, time::Duration};

use antiphon_core::{Broker, BrokerState, Channel, Inbox, Tasks};
use antiphon_protocol::ClusterSecret;
use antiphon_sql::{PostgresBroker, PostgresUrl};
use antiphon_testkit::wait_until;
use bytes::Bytes;
use parking_lot::Mutex;

const PATIENCE: Duration = Duration::from_secs(30);

fn secret() -> ClusterSecret {
    ClusterSecret::new([7; 32])
}

fn tasks() -> Tasks {
    Tasks::new(tokio::runtime::Handle::current())
}

#[tokio::test(flavor = "multi_thread")]
async fn the_broker_keeps_its_promises() {
    let Some(server) = antiphon_testkit::shared_postgres("the_broker_keeps_its_promises") else { return };
    let (url, tasks) = (PostgresUrl::parse(&server.url()).unwrap(), tasks());
    let broker = || PostgresBroker::start(&url, &secret(), &tasks);
    assert_eq!(antiphon_contract::broker::suite(broker(), broker()).await, 19);
    assert!(tasks.end(PATIENCE).await, "with its node the broker leaves PostgreSQL");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_killed_postgres_that_comes_back_is_used_as_before() {
    let Some(mut server) =
        antiphon_testkit::postgres_or_skip("a_killed_postgres_that_comes_back_is_used_as_before")
    else {
        return;
    };
    let (url, tasks) = (PostgresUrl::parse(&server.url()).unwrap(), tasks());
    let broker = || PostgresBroker::start(&url, &secret(), &tasks);
    let set_there = async |there: bool| if there { server.restart().unwrap() } else { server.kill9() };
    assert_eq!(antiphon_contract::broker::outage(broker(), broker(), set_there).await, 20);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_frozen_postgres_that_goes_on_is_used_as_before() {
    let Some(mut server) =
        antiphon_testkit::postgres_or_skip("a_frozen_postgres_that_goes_on_is_used_as_before")
    else {
        return;
    };
    let (url, tasks) = (PostgresUrl::parse(&server.url()).unwrap(), tasks());
    let broker = || PostgresBroker::start(&url, &secret(), &tasks);
    let set_there = async |there: bool| if there { server.cont() } else { server.stop() };
    assert_eq!(antiphon_contract::broker::outage(broker(), broker(), set_there).await, 20);
}

#[derive(Default)]
struct Heard(Mutex<Vec<Bytes>>);

impl Inbox for Heard {
    fn received(&self, bytes: Bytes) {
        self.0.lock().push(bytes);
    }
    fn confirmed(&self, _: &Channel) {}
    fn state(&self, _: BrokerState) {}
}

#[tokio::test(flavor = "multi_thread")]
async fn equal_posts_are_as_many_rings_and_garbage_on_the_channel_harms_nobody() {
    let Some(server) = antiphon_testkit::shared_postgres("equal_posts_are_as_many_rings") else { return };
    let (url, tasks) = (PostgresUrl::parse(&server.url()).unwrap(), tasks());
    let (one, two) =
        (PostgresBroker::start(&url, &secret(), &tasks), PostgresBroker::start(&url, &secret(), &tasks));
    let heard = Arc::new(Heard::default());
    two.attach(heard.clone());
    two.listen(&Channel::Nodes);
    let up = || one.current_state() == BrokerState::Up && two.current_state() == BrokerState::Up;
    wait_until(PATIENCE, "both up", up);
    for garbage in
        ["", "nodes", "1 0 1 AAAA other", "zz 0 2 AAAA nodes", "7 1 2 AAAA nodes", "1 0 1 %%% nodes"]
    {
        server.sql(&format!("select pg_notify('antiphon', '{garbage}')"));
    }
    let large = Bytes::from(vec![7; 100_000]);
    for _ in 0..50 {
        one.post(&Channel::Nodes, large.clone());
        one.post(&Channel::Nodes, Bytes::from_static(b"same"));
    }
    wait_until(PATIENCE, "all came", || heard.0.lock().len() >= 100);
    let heard = heard.0.lock();
    let count = |wanted: &[u8]| heard.iter().filter(|bytes| *bytes == wanted).count();
    assert_eq!((count(&large), count(b"same"), heard.len()), (50, 50, 100));
    assert_eq!((one.dropped(), two.dropped()), (0, 0));
}
