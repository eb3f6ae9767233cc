//! When a client comes back with another token, and when it does not come back at all.

#![allow(clippy::unwrap_used, reason = "a test that can not go on should stop")]

mod support;

use std::sync::{
    Arc,
    atomic::{AtomicUsize, Ordering},
};

use antiphon_client::{ClientBuilder, Draft, Error, Event, TerminateReason};
use serde_json::json;
use support::{FakeNode, Peer, next, subscribe};

async fn terminate(mut peer: Peer, reason: &str) {
    peer.say(json!({"type": "TERMINATE_CONNECTION", "text": reason, "entry": {"id": "x"}})).await;
    peer.close(4401).await;
}

/// Gives t1, t2, ... up to the last, which it gives again and again.
fn counting(builder: ClientBuilder, last: usize) -> ClientBuilder {
    let given = Arc::new(AtomicUsize::new(0));
    builder.token_source(move || {
        let n = (given.fetch_add(1, Ordering::SeqCst) + 1).min(last);
        async move { Ok::<_, std::io::Error>(format!("t{n}")) }
    })
}

#[tokio::test]
async fn a_terminated_client_does_not_come_back() {
    for (reason, known) in [
        ("TOKEN_REVOKED", Some(TerminateReason::TokenRevoked)),
        ("INVALID_TOKEN", Some(TerminateReason::InvalidToken)),
        ("TOKEN_EXPIRED", Some(TerminateReason::TokenExpired)),
        ("NEW_REASON", None),
    ] {
        let node = FakeNode::start().await;
        let (client, mut peer) = node.connect(node.builder()).await;
        let mut news = subscribe(&client, &mut peer, &["news"]).await;
        terminate(peer, reason).await;
        let ended = next(&mut news).await;
        assert!(matches!(ended, Some(Event::Terminated { reason }) if reason == known), "{reason}");
        assert!(next(&mut news).await.is_none());
        let refused = client.publish(Draft::text("late")).await;
        assert!(matches!(refused, Err(Error::Terminated { reason }) if reason == known));
        assert!(!node.is_called(), "{reason}");
    }
}

#[tokio::test]
async fn a_close_with_4401_alone_is_final_too() {
    let node = FakeNode::start().await;
    let (client, mut peer) = node.connect(node.builder()).await;
    let mut news = subscribe(&client, &mut peer, &["news"]).await;
    peer.close(4401).await;
    assert!(matches!(next(&mut news).await, Some(Event::Terminated { reason: None })));
    assert!(!node.is_called());
}

#[tokio::test]
async fn every_other_close_is_worth_a_reconnect() {
    let node = FakeNode::start().await;
    let (client, mut peer) = node.connect(node.builder()).await;
    let mut news = subscribe(&client, &mut peer, &["news"]).await;
    for code in [1000, 1002, 1009, 1012, 4008, 4029] {
        peer.close(code).await;
        peer = node.accept().await;
        peer.subscribe().await;
        assert!(matches!(next(&mut news).await, Some(Event::Disconnected { code: Some(of) }) if of == code));
        assert!(matches!(next(&mut news).await, Some(Event::Reconnected { .. })));
    }
}

#[tokio::test]
async fn an_expired_token_is_renewed_from_its_source() {
    let node = FakeNode::start().await;
    let (client, mut peer) = node.connect(counting(node.builder(), 99)).await;
    assert_eq!(peer.token, "t1");
    let _news = subscribe(&client, &mut peer, &["news"]).await;
    terminate(peer, "TOKEN_EXPIRED").await;
    let mut peer = node.accept().await;
    assert_eq!(peer.token, "t2");
    peer.subscribe().await;
}

#[tokio::test]
async fn a_source_that_gives_the_refused_token_again_ends_the_client_for_what_it_was_refused_for() {
    for (said, known) in
        [("TOKEN_EXPIRED", TerminateReason::TokenExpired), ("INVALID_TOKEN", TerminateReason::InvalidToken)]
    {
        let node = FakeNode::start().await;
        let (client, mut peer) = node.connect(counting(node.builder(), 1)).await;
        let mut news = subscribe(&client, &mut peer, &["news"]).await;
        terminate(peer, said).await;
        assert!(matches!(next(&mut news).await, Some(Event::Disconnected { code: Some(4401) })));
        let ended = next(&mut news).await;
        assert!(matches!(ended, Some(Event::Terminated { reason: Some(of) }) if of == known), "{said}");
        assert!(!node.is_called());
    }
}

#[tokio::test]
async fn a_fresh_token_that_is_refused_ends_the_client() {
    let node = FakeNode::start().await;
    let (client, mut peer) = node.connect(counting(node.builder(), 99)).await;
    let mut news = subscribe(&client, &mut peer, &["news"]).await;
    terminate(peer, "TOKEN_EXPIRED").await;
    terminate(node.accept_silently().await, "TOKEN_EXPIRED").await;
    assert!(matches!(next(&mut news).await, Some(Event::Disconnected { .. })));
    assert!(matches!(next(&mut news).await, Some(Event::Terminated { .. })));
    assert!(!node.is_called());
}

#[tokio::test]
async fn connecting_with_a_wrong_token_says_so() {
    let node = FakeNode::start().await;
    let refused = async { terminate(node.accept_silently().await, "INVALID_TOKEN").await };
    let (connected, ()) = tokio::join!(node.builder().connect(), refused);
    let reason = Some(TerminateReason::InvalidToken);
    assert!(matches!(connected, Err(Error::Terminated { reason: of }) if of == reason));
}

#[tokio::test]
async fn a_node_that_can_not_check_the_token_now_is_asked_again_when_it_says() {
    let node = FakeNode::start().await;
    let (_client, peer) = node.connect(node.builder().backoff(support::never())).await;
    drop(peer);
    // The first way back would take for ever by backoff, were it not for a drain that sets the time.
    let node = FakeNode::start().await;
    let (_client, mut peer) = node.connect(node.builder().backoff(support::never())).await;
    peer.say(json!({"type": "RECONNECT", "afterMs": 1})).await;
    let mut next = node.accept_silently().await;
    let ping = next.hear("PING").await;
    let later = json!({"type": "ERROR", "code": "UNAVAILABLE", "text": "later", "retryAfterMs": 1});
    next.answer(&ping, later).await;
    let _last = node.accept().await;
    assert!(peer.ends().await);
}

fn now_ms() -> u64 {
    let now = std::time::SystemTime::now().duration_since(std::time::UNIX_EPOCH).unwrap();
    u64::try_from(now.as_millis()).unwrap()
}

#[tokio::test]
async fn a_token_that_ends_is_replaced_shortly_before_on_the_same_connection() {
    let node = FakeNode::start().await;
    let (client, mut peer) = node.connect(counting(node.builder(), 99)).await;
    let begins = async {
        let asked = peer.hear("SUBSCRIBE").await;
        let topics = json!({"news": {"position": support::position(0), "recovered": false}});
        let answer = json!({"type": "SUBSCRIPTION_SUCCESSFUL", "text": "acme", "userId": "ann",
                            "expiresAt": now_ms() + 1000, "topics": topics});
        peer.answer(&asked, answer).await;
    };
    let (news, ()) = tokio::join!(client.subscribe(["news"]), begins);
    let _news = news.unwrap();
    let asked = peer.hear("SUBSCRIBE").await;
    assert_eq!((&asked["token"], &asked["topics"]), (&json!("t2"), &json!(["news"])));
    // A refusal for now brings the same token again.
    let slower = json!({"type": "ERROR", "code": "RATE_LIMITED", "text": "slower", "retryAfterMs": 1});
    peer.answer(&asked, slower).await;
    assert_eq!(peer.hear("SUBSCRIBE").await["token"], "t2");
    assert!(!node.is_called());
}

#[tokio::test]
async fn an_invalid_token_is_worth_one_fresh_one_also_at_first() {
    let node = FakeNode::start().await;
    let refused = async {
        terminate(node.accept_silently().await, "INVALID_TOKEN").await;
        node.accept().await
    };
    let (connected, peer) = tokio::join!(counting(node.builder(), 99).connect(), refused);
    assert!(connected.is_ok());
    assert_eq!(peer.token, "t2");
}
