//! A publish is stored once, whatever happens to its answer; and nobody's slowness stops it.

mod support;

use std::time::Duration;

use antiphon_client::{Content, Draft, Error, ErrorCode, Event, HistoryPage, Raw};
use serde_json::{Value, json};
use support::{FakeNode, Peer, message, next, next_offset, position, subscribe};

async fn accept_message(peer: &mut Peer, duplicate: bool) -> Value {
    let asked = peer.hear("MESSAGE").await;
    let answer = json!({"type": "ACCEPTED", "position": position(3), "offset": 3, "entry": {"id": "e3"},
                        "duplicate": duplicate});
    peer.answer(&asked, answer).await;
    asked
}

#[tokio::test]
async fn a_publish_without_an_answer_is_said_again_with_the_same_key() {
    let node = FakeNode::start().await;
    let (client, mut peer) = node.connect(node.builder()).await;
    let answered = async {
        let first = peer.hear("MESSAGE").await;
        drop(peer);
        let second = accept_message(&mut node.accept().await, true).await;
        (first, second)
    };
    let draft = Draft::text("hi").topic("news").project("apollo");
    let (accepted, (first, second)) = tokio::join!(client.publish(draft), answered);
    assert_eq!((&first["key"], &first["text"]), (&second["key"], &second["text"]));
    assert!(first["key"].as_str().is_some_and(|key| key.len() == 36));
    assert_eq!(
        (&first["topic"], &first["projectId"], &first["text"]),
        (&json!("news"), &json!("apollo"), &json!("hi"))
    );
    let accepted = accepted.unwrap();
    assert!(accepted.duplicate);
    assert_eq!((accepted.position, accepted.offset, accepted.id), (position(3), 3, "e3".into()));
}

#[tokio::test]
async fn what_is_published_without_a_connection_goes_out_in_order_after_the_topics() {
    let node = FakeNode::start().await;
    let (client, mut peer) = node.connect(node.builder()).await;
    let mut news = subscribe(&client, &mut peer, &["news"]).await;
    drop(peer);
    assert!(matches!(next(&mut news).await, Some(Event::Disconnected { .. })));
    let publish = |text: &str| client.publish(Draft::text(text).key(text));
    let heard = async {
        let mut peer = node.accept().await;
        peer.subscribe().await;
        let mut keys = Vec::new();
        for _ in 0..3 {
            keys.push(accept_message(&mut peer, false).await["key"].clone());
        }
        keys
    };
    let (a, b, c, keys) = tokio::join!(publish("a"), publish("b"), publish("c"), heard);
    assert!(a.is_ok() && b.is_ok() && c.is_ok());
    assert_eq!(keys, [json!("a"), json!("b"), json!("c")]);
}

#[tokio::test]
async fn publishes_of_a_topic_keep_their_order_though_one_is_refused_for_now() {
    let node = FakeNode::start().await;
    let (client, mut peer) = node.connect(node.builder()).await;
    let publish = |topic: &str, key: &str| client.enqueue(Draft::text("x").topic(topic).key(key)).unwrap();
    let (first, second, other) = (publish("news", "1"), publish("news", "2"), publish("weather", "3"));
    let mut said = [peer.hear("MESSAGE").await, peer.hear("MESSAGE").await];
    said.sort_by_key(|frame| frame["key"].to_string());
    assert_eq!((&said[0]["key"], &said[1]["key"]), (&json!("1"), &json!("3")));
    let later = json!({"type": "ERROR", "code": "UNAVAILABLE", "text": "later", "retryAfterMs": 1});
    peer.answer(&said[0], later).await;
    let accepted = json!({"type": "ACCEPTED", "position": position(1), "offset": 1, "entry": {"id": "e"}});
    peer.answer(&said[1], accepted).await;
    assert_eq!(accept_message(&mut peer, false).await["key"], "1");
    assert_eq!(accept_message(&mut peer, false).await["key"], "2");
    let (first, second, other) = tokio::join!(first, second, other);
    assert!(first.is_ok() && second.is_ok() && other.is_ok());
}

#[tokio::test]
async fn the_queue_of_publishes_is_bounded_by_count_and_bytes_and_works_before_the_first_connection() {
    let node = FakeNode::start().await;
    let client = node.builder().publish_queue(2, 1000).start().unwrap();
    let large = client.enqueue(Draft::text("x".repeat(1000)));
    assert!(matches!(large, Err(Error::QueueFull { publishes: 0, .. })));
    let waiting = [client.enqueue(Draft::text("1")).unwrap(), client.enqueue(Draft::text("2")).unwrap()];
    assert!(matches!(client.enqueue(Draft::text("3")), Err(Error::QueueFull { publishes: 2, .. })));
    let mut peer = node.accept().await;
    for publishing in waiting {
        let (accepted, _) = tokio::join!(publishing, accept_message(&mut peer, false));
        assert!(accepted.is_ok());
    }
    let (accepted, _) = tokio::join!(client.publish(Draft::text("4")), accept_message(&mut peer, false));
    assert!(accepted.is_ok());
}

#[tokio::test]
async fn a_refusal_for_now_is_tried_again_and_one_for_good_is_told() {
    let node = FakeNode::start().await;
    let (client, mut peer) = node.connect(node.builder()).await;
    let heard = async {
        let first = peer.hear("MESSAGE").await;
        let later = json!({"type": "ERROR", "code": "UNAVAILABLE", "text": "later", "retryAfterMs": 1});
        peer.answer(&first, later).await;
        let second = peer.hear("MESSAGE").await;
        assert_eq!(first["key"], second["key"]);
        peer.answer(&second, json!({"type": "ERROR", "code": "CONFLICT", "text": "no"})).await;
    };
    let (refused, ()) = tokio::join!(client.publish(Draft::text("x")), heard);
    assert!(matches!(refused, Err(Error::Refused(refusal)) if refusal.code == ErrorCode::Conflict));
}

#[tokio::test]
async fn everything_that_is_asked_can_be_asked_from_a_task() {
    fn can_be_spawned<T: Send + 'static>(_: T) {}
    let node = FakeNode::start().await;
    let client = node.builder().start().unwrap();
    for client in [client.clone(), client] {
        can_be_spawned(async move {
            let mut news = client.subscribe(["news"]).await?;
            client.publish(Draft::text("x")).await?;
            client.history(HistoryPage::newest()).await?;
            client.presence(None).await?;
            news.next().await;
            client.unsubscribe(["news"]).await
        });
    }
}

#[tokio::test]
async fn a_frame_that_would_end_the_connection_is_refused_here() {
    let node = FakeNode::start().await;
    let (client, mut peer) = node.connect(node.builder()).await;
    let refused = client.publish(Draft::text("x".repeat(64 * 1024))).await;
    assert!(matches!(refused, Err(Error::Refused(refusal)) if refusal.code == ErrorCode::TooLarge));
    let (accepted, _) = tokio::join!(client.publish(Draft::text("x")), accept_message(&mut peer, false));
    assert!(accepted.is_ok());
}

#[tokio::test]
async fn an_answer_that_does_not_come_is_a_timeout() {
    let node = FakeNode::start().await;
    let (client, _peer) = node.connect(node.builder().publish_timeout(Duration::from_millis(20))).await;
    assert!(matches!(client.publish(Draft::text("x")).await, Err(Error::Timeout)));
}

#[tokio::test]
async fn a_signal_goes_now_or_not_at_all() {
    let node = FakeNode::start().await;
    let (client, mut peer) = node.connect(node.builder().backoff(support::never())).await;
    let mut news = subscribe(&client, &mut peer, &["news"]).await;
    let typing = Draft::body(&json!({"typing": true})).unwrap().topic("news");
    client.signal(&typing).await.unwrap();
    let heard = peer.hear("SIGNAL").await;
    assert_eq!(heard, json!({"type": "SIGNAL", "topic": "news", "body": {"typing": true}}));
    peer.say(json!({"type": "SIGNAL", "topic": "news", "text": "x", "userId": "bob", "projectId": null}))
        .await;
    let Some(Event::Signal(signal)) = next(&mut news).await else { panic!("no signal") };
    assert_eq!((signal.content, signal.user_id.as_deref()), (Content::Text("x".into()), Some("bob")));
    drop(peer);
    assert!(matches!(next(&mut news).await, Some(Event::Disconnected { .. })));
    assert!(matches!(client.signal(&typing).await, Err(Error::Disconnected)));
}

#[tokio::test]
async fn who_does_not_read_loses_nothing_and_stops_nobody_from_writing() {
    let node = FakeNode::start().await;
    let (client, mut peer) = node.connect(node.builder().inbox(2, usize::MAX)).await;
    let mut news = subscribe(&client, &mut peer, &["news"]).await;
    for offset in 1..=500 {
        peer.say(message("news", offset)).await;
    }
    // What has no room is left at the node, which refuses for now to end it.
    let asked = peer.hear("UNSUBSCRIBE").await;
    let (accepted, _) =
        tokio::join!(client.publish(Draft::text("still here")), accept_message(&mut peer, false));
    assert!(accepted.is_ok());
    for offset in 1..=2 {
        assert_eq!(next_offset(&mut news).await, offset);
    }
    let slower = json!({"type": "ERROR", "code": "RATE_LIMITED", "text": "slower", "retryAfterMs": 1});
    peer.answer(&asked, slower).await;
    peer.unsubscribe().await;
    // Only now is it asked for again, from what was taken.
    assert_eq!(peer.subscribe().await["positions"], json!({"news": position(2)}));
    for offset in 3..=4 {
        peer.say(message("news", offset)).await;
        assert_eq!(next_offset(&mut news).await, offset);
    }
}

#[tokio::test]
async fn history_presence_and_plain_frames_are_read() {
    let node = FakeNode::start().await;
    let (client, mut peer) = node.connect(node.builder()).await;
    let mut own = subscribe(&client, &mut peer, &[]).await;
    let heard = async {
        let asked = peer.hear("HISTORY").await;
        assert_eq!((&asked["before"], &asked["limit"]), (&json!(position(9)), &json!(2)));
        let entries = json!([message("news", 7), message("news", 8)]);
        peer.answer(&asked, json!({"type": "HISTORY", "topic": "news", "entries": entries, "more": true}))
            .await;
        let asked = peer.hear("PRESENCE").await;
        peer.answer(&asked, json!({"type": "PRESENCE", "topic": "acme", "users": ["ann", "bob"]})).await;
        peer.say(json!({"type": "MESSAGE", "text": "from Redis", "project": {"id": "p"}})).await;
    };
    let page = HistoryPage::newest().topic("news").before(position(9)).limit(2);
    let asked = async { (client.history(page).await.unwrap(), client.presence(None).await.unwrap()) };
    let (((entries, more), users), ()) = tokio::join!(asked, heard);
    assert_eq!(entries.iter().map(|entry| entry.offset).collect::<Vec<_>>(), [7, 8]);
    assert!(more);
    assert_eq!(users, ["ann", "bob"]);
    assert!(matches!(next(&mut own).await, Some(Event::Plain(json)) if json.contains("from Redis")));
}

#[tokio::test]
async fn a_closed_client_says_goodbye_and_is_gone() {
    let node = FakeNode::start().await;
    let (client, peer) = node.connect(node.builder()).await;
    let ((), left) = tokio::join!(client.close(), peer.ends());
    assert!(left);
    assert!(matches!(client.publish(Draft::text("x")).await, Err(Error::Closed)));
    let (client, peer) = node.connect(node.builder()).await;
    drop(client);
    assert!(peer.ends().await);
}

#[tokio::test]
async fn a_raw_connection_shows_frames_and_the_close_code() {
    let node = FakeNode::start().await;
    let url = node.url();
    let (raw, peer) =
        tokio::join!(Raw::connect_with(&url, &[("origin", "http://x")]), node.accept_silently());
    let (mut raw, mut peer) = (raw.unwrap().deadline(Duration::from_secs(5)), peer);
    raw.send_json(&json!({"type": "PING", "ref": "1"})).await.unwrap();
    assert_eq!(peer.hear("PING").await["ref"], "1");
    peer.say(json!({"type": "OTHER"})).await;
    peer.say(json!({"type": "PONG", "ref": "1"})).await;
    assert_eq!(raw.frame_of("PONG").await.unwrap()["ref"], "1");
    let (closed, ()) = tokio::join!(raw.closed(), peer.close(4029));
    assert_eq!(closed.unwrap(), (vec![], Some(4029)));
}
