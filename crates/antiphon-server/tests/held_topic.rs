//! An application that holds a topic in a long transaction delays that topic alone: not its tenant's others, not those who say
//! the held one too.
#![allow(clippy::unwrap_used)]

mod support;

use std::time::{Duration, Instant};

use antiphon_client::Raw;
use serde_json::{Value, json};
use support::{
    node::{Node, PATIENCE},
    sql::{Ear, Place},
};

const HELD_FOR: Duration = Duration::from_secs(10);
/// A tenth of what a publish waits for a lock, and much more than one takes.
const NOTICED: Duration = Duration::from_secs(1);

/// Publishes and waits for the answer.
async fn say(raw: &mut Raw, topic: &str, text: &str) -> Value {
    let frame = json!({"type": "MESSAGE", "topic": topic, "text": text, "key": text, "ref": text});
    raw.send_json(&frame).await.unwrap();
    loop {
        let answer = raw.frame().await.unwrap();
        if answer["ref"] == text {
            return answer;
        }
    }
}

async fn connect(node: &Node, token: &str) -> Raw {
    let mut raw = Raw::connect(&node.ws()).await.unwrap().deadline(PATIENCE);
    raw.send_json(&json!({"type": "PING", "token": token})).await.unwrap();
    raw.frame_of("PONG").await.unwrap();
    raw
}

/// Says these to a topic that is held, each until it is taken; how often it was told to come again.
async fn insists(mut raw: Raw, topic: &'static str, texts: Vec<String>) -> usize {
    let mut refused = 0;
    for text in texts {
        loop {
            let answer = say(&mut raw, topic, &text).await;
            if answer["type"] == "ACCEPTED" {
                break;
            }
            assert_eq!(answer["code"], "UNAVAILABLE", "{answer}");
            refused += 1;
            // poll: as long as the node has asked for.
            tokio::time::sleep(Duration::from_millis(answer["retryAfterMs"].as_u64().unwrap())).await;
        }
    }
    refused
}

#[tokio::test(flavor = "multi_thread")]
async fn a_topic_that_an_application_holds_for_ten_seconds_delays_no_other_of_its_tenant() {
    let Some(place) = Place::new("a_topic_that_an_application_holds") else { return };
    let node = place.node(&["--rate-limit", "0"]);
    let token = place.token("acme", "ann");
    let mut ears = [Ear::at(&node, &token, &["held"]).await, Ear::at(&node, &token, &["unborn"]).await];
    let mut free = connect(&node, &token).await;
    assert_eq!(say(&mut free, "held", "first").await["type"], "ACCEPTED");
    assert_eq!(ears[0].text().await, "first");

    // One topic that is there, and one that is only made by the transaction.
    let mut apps = [place.app(), place.app()];
    for (app, topic) in apps.iter_mut().zip(["held", "unborn"]) {
        app.say("begin");
        app.publish(topic, "of the transaction");
    }
    let mut insist = Vec::new();
    for topic in ["held", "unborn"] {
        let texts = (0..5).map(|number| format!("{topic} {number}")).collect();
        insist.push(tokio::spawn(insists(connect(&node, &token).await, topic, texts)));
    }
    let (since, mut late) = (Instant::now(), Vec::new());
    while since.elapsed() < HELD_FOR {
        let (number, said) = (late.len(), Instant::now());
        // A new topic now and then.
        let topic = if number % 20 == 0 { format!("new-{number}") } else { "free".to_owned() };
        let answer = say(&mut free, &topic, &format!("free {number}")).await;
        assert_eq!(answer["type"], "ACCEPTED", "{answer}");
        late.push(said.elapsed());
        // poll: the pace of a load is a time.
        tokio::time::sleep(Duration::from_millis(5)).await;
    }
    late.sort_unstable();
    let (median, longest) = (late[late.len() / 2], *late.last().unwrap());
    println!("{} publishes beside the held topics: p50 {median:?}, longest {longest:?}", late.len());
    assert!(longest < NOTICED, "{longest:?}");

    for app in &mut apps {
        app.say("commit");
    }
    for (insist, (ear, topic)) in insist.into_iter().zip(ears.iter_mut().zip(["held", "unborn"])) {
        let refused = insist.await.unwrap();
        println!("{topic}: told {refused} times to come again");
        assert!(refused > 0, "it was held");
        assert_eq!(ear.text().await, "of the transaction");
        for number in 0..5 {
            assert_eq!(ear.text().await, format!("{topic} {number}"));
        }
    }
}
