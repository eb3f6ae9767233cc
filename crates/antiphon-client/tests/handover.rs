//! The way from one node to another: the new connection is there before the old one is left, and a failure of the new one
//! costs nothing.

mod support;

use antiphon_client::{Draft, Event, State};
use serde_json::json;
use support::{FakeNode, message, next, next_offset, position, subscribe};

#[tokio::test]
async fn an_entry_that_both_connections_say_comes_once_and_the_old_one_is_left_when_the_new_one_has_answered()
{
    let (first, second) = (FakeNode::start().await, FakeNode::start().await);
    let (client, mut old) = first.connect(first.builder().url(second.url())).await;
    let mut news = subscribe(&client, &mut old, &["news"]).await;
    old.say(message("news", 1)).await;
    assert_eq!(next_offset(&mut news).await, 1);
    old.say(json!({"type": "RECONNECT", "afterMs": 1})).await;
    let mut new = second.accept().await;
    let asked = new.hear("SUBSCRIBE").await;
    assert_eq!(asked["positions"], json!({"news": position(1)}));
    old.say(message("news", 2)).await;
    assert_eq!(next_offset(&mut news).await, 2);
    new.answer_subscribe(&asked).await;
    assert!(old.ends().await);
    for offset in [2, 3] {
        new.say(message("news", offset)).await;
    }
    // No news of the connection between them: there was no gap.
    assert!(matches!(next(&mut news).await, Some(Event::Message(message)) if message.offset == 3));
    assert!(matches!(&*client.state().borrow(), State::Online { url } if *url == second.url() + "/ws"));
}

#[tokio::test]
async fn a_successor_that_fails_before_it_has_answered_leaves_the_old_connection_as_it_was() {
    let (first, second) = (FakeNode::start().await, FakeNode::start().await);
    let builder = first.builder().url(second.url()).backoff(support::never());
    let (client, mut old) = first.connect(builder).await;
    let mut news = subscribe(&client, &mut old, &["news"]).await;
    old.say(json!({"type": "RECONNECT", "afterMs": 1})).await;
    let mut new = second.accept().await;
    new.hear("SUBSCRIBE").await;
    drop(new);
    old.say(message("news", 1)).await;
    assert!(matches!(next(&mut news).await, Some(Event::Message(message)) if message.offset == 1));
    // It is the one to speak on again, and is not asked for what it says already.
    let url = first.url() + "/ws";
    let back = |state: &State| matches!(state, State::Online { url: of } if *of == url);
    client.state().wait_for(back).await.unwrap();
    client.signal(&Draft::text("x")).await.unwrap();
    old.hear("SIGNAL").await;
}

#[tokio::test]
async fn what_a_failed_successor_had_taken_over_begins_anew_on_the_old_connection() {
    let (first, second) = (FakeNode::start().await, FakeNode::start().await);
    let builder = first.builder().url(second.url()).backoff(support::never());
    let (client, mut old) = first.connect(builder).await;
    let mut both = subscribe(&client, &mut old, &["news", "weather"]).await;
    old.say(json!({"type": "RECONNECT", "afterMs": 1})).await;
    let mut new = second.accept().await;
    let asked = new.hear("SUBSCRIBE").await;
    let busy = json!({"code": "UNAVAILABLE", "text": "later", "retryAfterMs": 60_000});
    let topics = json!({"news": {"position": position(0), "recovered": true}, "weather": {"error": busy}});
    let answer = json!({"type": "SUBSCRIPTION_SUCCESSFUL", "text": "acme", "userId": "ann", "expiresAt": null,
                        "topics": topics});
    new.answer(&asked, answer).await;
    new.say(message("news", 1)).await;
    assert_eq!(next_offset(&mut both).await, 1);
    old.say(message("news", 1)).await;
    old.say(message("news", 2)).await;
    drop(new);
    assert_eq!(old.unsubscribe().await["topics"], json!(["news"]));
    assert_eq!(old.subscribe().await["positions"], json!({"news": position(1)}));
    old.say(message("news", 2)).await;
    assert!(matches!(next(&mut both).await, Some(Event::Message(message)) if message.offset == 2));
}

#[tokio::test]
async fn a_publish_that_is_under_way_is_answered_by_the_old_connection_and_what_follows_goes_to_the_new_one()
{
    let (first, second) = (FakeNode::start().await, FakeNode::start().await);
    let (client, mut old) = first.connect(first.builder().url(second.url())).await;
    let publish = |key: &str| client.enqueue(Draft::text("x").topic("news").key(key)).unwrap();
    let (one, two) = (publish("1"), publish("2"));
    let asked = old.hear("MESSAGE").await;
    client.move_to(&second.url()).await.unwrap();
    let mut new = second.accept().await;
    let url = second.url() + "/ws";
    let moved = |state: &State| matches!(state, State::Online { url: of } if *of == url);
    client.state().wait_for(moved).await.unwrap();
    let accepted = |offset: u64| json!({"type": "ACCEPTED", "position": position(offset), "offset": offset, "entry": {"id": "e"}});
    old.answer(&asked, accepted(1)).await;
    assert_eq!(one.await.unwrap().offset, 1);
    let asked = new.hear("MESSAGE").await;
    assert_eq!(asked["key"], "2");
    new.answer(&asked, accepted(2)).await;
    assert_eq!(two.await.unwrap().offset, 2);
    assert!(old.ends().await);
}
