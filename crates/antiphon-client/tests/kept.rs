//! Positions are kept once their events were dealt with, and a subscription begins from them.

#![allow(clippy::unwrap_used, reason = "a test that can not go on should stop")]

mod support;

use std::{
    collections::BTreeMap,
    sync::{Arc, Mutex},
};

use antiphon_client::{Error, Event, Kept, PositionStore};
use serde_json::json;
use support::{FakeNode, message, next, next_offset, position};

#[derive(Clone, Default)]
struct Store(Arc<Mutex<BTreeMap<String, String>>>);

impl Store {
    fn kept(&self, topic: &str) -> Option<String> {
        self.0.lock().unwrap().get(topic).cloned()
    }
}

impl PositionStore for Store {
    fn get<'a>(&'a self, topic: &'a str) -> Kept<'a, Option<String>> {
        Box::pin(async move { Ok(self.kept(topic)) })
    }

    fn set<'a>(&'a self, topic: &'a str, position: &'a str) -> Kept<'a, ()> {
        self.0.lock().unwrap().insert(topic.to_owned(), position.to_owned());
        Box::pin(async { Ok(()) })
    }
}

#[tokio::test]
async fn a_position_is_kept_when_the_next_event_is_asked_for_and_not_before() {
    let node = FakeNode::start().await;
    let store = Store::default();
    let (client, mut peer) = node.connect(node.builder().positions(store.clone())).await;
    let mut news = support::subscribe(&client, &mut peer, &["news"]).await;
    assert_eq!(store.kept("news"), Some(position(0)), "a new topic keeps where it begins");
    peer.say(message("news", 1)).await;
    assert_eq!(next_offset(&mut news).await, 1);
    assert_eq!((news.position("news"), store.kept("news")), (Some(position(0).as_str()), Some(position(0))));
    peer.say(message("news", 2)).await;
    assert_eq!(next_offset(&mut news).await, 2);
    assert_eq!(news.position("news"), Some(position(1).as_str()));
    peer.say(json!({"type": "RESET", "topic": "news", "reason": "FORK", "position": position(7)})).await;
    assert!(matches!(next(&mut news).await, Some(Event::Reset { .. })));
    drop(news);
    peer.unsubscribe().await;
    let begins = async { peer.subscribe().await };
    let (again, asked) = tokio::join!(client.subscribe(["news"]), begins);
    assert_eq!(asked["positions"], json!({"news": position(2)}));
    again.unwrap();
}

#[tokio::test]
async fn a_handler_that_fails_has_not_dealt_with_its_event() {
    let node = FakeNode::start().await;
    let store = Store::default();
    let (client, mut peer) = node.connect(node.builder().positions(store.clone())).await;
    let mut news = support::subscribe(&client, &mut peer, &["news"]).await;
    for offset in 1..=3 {
        peer.say(message("news", offset)).await;
    }
    let mut dealt = Vec::new();
    let failed = news
        .for_each(async |event| {
            let Event::Message(message) = event else { return Ok(()) };
            dealt.push(message.offset);
            if message.offset == 2 { Err("broken") } else { Ok(()) }
        })
        .await;
    assert_eq!((failed, dealt), (Err("broken"), vec![1, 2]));
    assert_eq!((news.position("news"), store.kept("news")), (Some(position(1).as_str()), Some(position(1))));
}

#[tokio::test]
async fn a_store_that_can_not_be_read_is_an_error_and_not_a_beginning_at_the_head() {
    struct Broken;
    impl PositionStore for Broken {
        fn get<'a>(&'a self, _: &'a str) -> Kept<'a, Option<String>> {
            Box::pin(async { Err("disk".into()) })
        }
        fn set<'a>(&'a self, _: &'a str, _: &'a str) -> Kept<'a, ()> {
            Box::pin(async { Ok(()) })
        }
    }
    let node = FakeNode::start().await;
    let (client, _peer) = node.connect(node.builder().positions(Broken)).await;
    assert!(matches!(client.subscribe(["news"]).await, Err(Error::Positions(_))));
}
