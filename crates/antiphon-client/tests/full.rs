//! A server that has no room, and says for how long.

#![allow(missing_docs, clippy::unwrap_used)]

mod support;

use std::time::{Duration, SystemTime};

use antiphon_client::{Client, Error, State};
use support::FakeNode;
use tokio::time::timeout;

const FULL: &str = "HTTP/1.1 503 Service Unavailable\r\nretry-after: 30\r\ncontent-length: 0\r\n\r\n";

/// When the client comes back after the upgrade was refused.
async fn comes_back_at(client: &Client) -> SystemTime {
    let mut state = client.state();
    let refused =
        state.wait_for(|state| matches!(state, State::Waiting { error: Some(Error::Upgrade(503)), .. }));
    let state = timeout(Duration::from_secs(10), refused).await.expect("it was not refused").unwrap().clone();
    let State::Waiting { retry_at, .. } = state else { panic!("{state:?}") };
    retry_at
}

#[tokio::test]
async fn a_client_that_was_refused_for_want_of_room_stays_away_for_as_long_as_the_server_says() {
    let node = FakeNode::start().await;
    let (client, peer) = node.connect(node.builder()).await;
    let before = SystemTime::now();
    drop(peer);
    node.refuse(FULL).await;
    let wait = comes_back_at(&client).await.duration_since(before).unwrap();
    // The backoff of this client is 20 ms at most.
    assert!(wait >= Duration::from_secs(30), "{wait:?}");
}

#[tokio::test]
async fn one_of_two_nodes_without_room_does_not_keep_a_client_from_the_other() {
    let (first, second) = (FakeNode::start().await, FakeNode::start().await);
    let (_client, peer) = first.connect(first.builder().url(second.url())).await;
    drop(peer);
    second.refuse(FULL).await;
    first.accept().await;
}
