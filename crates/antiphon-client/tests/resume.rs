//! After a loss every topic goes on from where it was, and nothing comes twice.

mod support;

use antiphon_client::{Error, Event};
use serde_json::json;
use support::{FakeNode, message, next, next_offset, position, quick, subscribe};

#[tokio::test]
async fn topics_go_on_from_their_last_positions() {
    let node = FakeNode::start().await;
    let (client, mut peer) = node.connect(node.builder()).await;
    let mut news = subscribe(&client, &mut peer, &["news", "quiet"]).await;
    let mut own = subscribe(&client, &mut peer, &[]).await;
    peer.say(message("news", 1)).await;
    peer.say(message("news", 5)).await;
    peer.say(json!({"type": "POSITION", "topic": "acme", "position": position(9), "offset": 9})).await;
    assert_eq!((next_offset(&mut news).await, next_offset(&mut news).await), (1, 5));
    assert!(matches!(next(&mut own).await, Some(Event::Position { offset: 9, .. })));
    drop(peer);
    let mut peer = node.accept().await;
    let asked = peer.subscribe().await;
    assert_eq!(asked["topics"], json!(["acme", "news", "quiet"]));
    let expected = json!({"acme": position(9), "news": position(5), "quiet": position(0)});
    assert_eq!(asked["positions"], expected);
    assert!(matches!(next(&mut news).await, Some(Event::Disconnected { code: None })));
    assert!(matches!(next(&mut news).await, Some(Event::Reconnected { url }) if url == node.url() + "/ws"));
}

#[tokio::test]
async fn an_entry_that_was_seen_before_is_not_given_again() {
    let node = FakeNode::start().await;
    let (client, mut peer) = node.connect(node.builder()).await;
    let mut news = subscribe(&client, &mut peer, &["news"]).await;
    for offset in [1, 2, 2, 1, 3] {
        peer.say(message("news", offset)).await;
    }
    for offset in [1, 2, 3] {
        assert_eq!(next_offset(&mut news).await, offset);
    }
    drop(peer);
    let mut peer = node.accept().await;
    peer.subscribe().await;
    for offset in [2, 3, 4] {
        peer.say(message("news", offset)).await;
    }
    assert_eq!(next_offset(&mut news).await, 4);
}

#[tokio::test]
async fn after_a_reset_lower_offsets_are_new() {
    let node = FakeNode::start().await;
    let (client, mut peer) = node.connect(node.builder()).await;
    let mut news = subscribe(&client, &mut peer, &["news"]).await;
    peer.say(message("news", 9)).await;
    peer.say(json!({"type": "RESET", "topic": "news", "reason": "EPOCH", "position": position(2)})).await;
    peer.say(message("news", 3)).await;
    assert_eq!(next_offset(&mut news).await, 9);
    let reset = next(&mut news).await;
    assert!(
        matches!(reset, Some(Event::Reset { reason, position: at, .. }) if reason == "EPOCH" && at == position(2))
    );
    assert_eq!(next_offset(&mut news).await, 3);
}

#[tokio::test]
async fn a_position_that_is_given_is_shown_until_entries_move_it() {
    let node = FakeNode::start().await;
    let (client, mut peer) = node.connect(node.builder()).await;
    let (subscription, asked) =
        tokio::join!(client.subscribe_from(["news"], [("news", position(7))]), peer.subscribe());
    assert_eq!(asked["positions"], json!({"news": position(7)}));
    let start = subscription.as_ref().unwrap().topics()["news"].clone().unwrap();
    assert!(start.recovered);
    drop(peer);
    let mut peer = node.accept().await;
    assert_eq!(peer.subscribe().await["positions"], json!({"news": position(7)}));
}

#[tokio::test]
async fn a_subscribe_without_an_answer_is_asked_again() {
    let node = FakeNode::start().await;
    let (client, mut peer) = node.connect(node.builder()).await;
    let answered = async {
        peer.hear("SUBSCRIBE").await;
        drop(peer);
        node.accept().await.subscribe().await
    };
    let (subscription, asked) = tokio::join!(client.subscribe(["news"]), answered);
    assert_eq!(asked["topics"], json!(["news"]));
    assert_eq!(subscription.unwrap().tenant(), "acme");
}

#[tokio::test]
async fn a_topic_that_is_refused_on_the_way_back_is_asked_for_again_or_ended() {
    let node = FakeNode::start().await;
    let (client, mut peer) = node.connect(node.builder()).await;
    let mut topics = subscribe(&client, &mut peer, &["busy", "gone"]).await;
    drop(peer);
    let mut peer = node.accept().await;
    let asked = peer.hear("SUBSCRIBE").await;
    let refused = json!({"type": "SUBSCRIPTION_SUCCESSFUL", "text": "acme", "userId": "ann", "topics": {
        "busy": {"error": {"code": "UNAVAILABLE", "text": "later", "retryAfterMs": 1}},
        "gone": {"error": {"code": "FORBIDDEN", "text": "no"}}}});
    peer.answer(&asked, refused).await;
    assert_eq!(peer.subscribe().await["topics"], json!(["busy"]));
    assert!(matches!(next(&mut topics).await, Some(Event::Disconnected { .. })));
    assert!(matches!(next(&mut topics).await, Some(Event::Reconnected { .. })));
    let ended = next(&mut topics).await;
    assert!(
        matches!(ended, Some(Event::Unsubscribed { topic, reason }) if topic == "gone" && reason == "FORBIDDEN")
    );
    peer.say(message("busy", 1)).await;
    assert_eq!(next_offset(&mut topics).await, 1);
}

#[tokio::test]
async fn nodes_are_tried_in_turn() {
    let (first, second) = (FakeNode::start().await, FakeNode::start().await);
    let builder = first.builder().url(second.url());
    let (client, mut peer) = first.connect(builder).await;
    let _news = subscribe(&client, &mut peer, &["news"]).await;
    drop((peer, first));
    let mut peer = second.accept().await;
    peer.subscribe().await;
    drop(peer);
    // The first is gone, so the turn comes back to the second.
    second.accept().await.subscribe().await;
}

#[tokio::test]
async fn a_silent_connection_ends() {
    let node = FakeNode::start().await;
    let silence = std::time::Duration::from_millis(50);
    let (_client, peer) = node.connect(node.builder().silence(silence)).await;
    node.accept().await;
    assert!(peer.ends().await);
}

#[tokio::test]
async fn a_node_that_asks_to_come_back_ends_at_its_own_time_and_not_by_backoff() {
    let (first, second) = (FakeNode::start().await, FakeNode::start().await);
    let builder = first.builder().url(second.url()).backoff(support::never());
    let (client, mut peer) = first.connect(builder).await;
    let mut news = subscribe(&client, &mut peer, &["news"]).await;
    peer.say(json!({"type": "RECONNECT", "afterMs": 1})).await;
    let old = peer;
    let mut peer = second.accept().await;
    peer.subscribe().await;
    assert!(old.ends().await);
    peer.say(message("news", 1)).await;
    assert_eq!(next_offset(&mut news).await, 1);
    // A node that goes before that time is not left any sooner by jitter.
    peer.say(json!({"type": "RECONNECT", "afterMs": 20})).await;
    peer.close(1012).await;
    first.accept().await.subscribe().await;
}

#[tokio::test]
async fn one_topic_belongs_to_one_subscription() {
    let node = FakeNode::start().await;
    let (client, mut peer) = node.connect(node.builder().backoff(quick())).await;
    let news = subscribe(&client, &mut peer, &["news"]).await;
    let again = client.subscribe(["news"]).await;
    assert!(matches!(again, Err(Error::AlreadySubscribed(topic)) if topic == "news"));
    drop(news);
    assert_eq!(peer.unsubscribe().await["topics"], json!(["news"]));
    let mut news = subscribe(&client, &mut peer, &["news"]).await;
    let (ended, _) = tokio::join!(client.unsubscribe(["news"]), peer.unsubscribe());
    ended.unwrap();
    assert!(next(&mut news).await.is_none());
}
