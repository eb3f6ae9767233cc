//! What is said of wrong frames, over a real socket.

#![allow(clippy::unwrap_used, missing_docs)]

mod support;

use antiphon_core::Limits;
use serde_json::{Value, json};
use support::{
    House, Plan,
    line::{Line, served, upgraded},
};
use tokio::net::TcpStream;

/// Ann, who is known already.
async fn ann(house: &House) -> Line<TcpStream> {
    let bearer = format!("Bearer {}", house.token("acme", "ann").await);
    upgraded(served(house.router.clone()).await, &[("authorization", &bearer)]).await.0
}

async fn refused(line: &mut Line<TcpStream>, frame: Value) -> Value {
    line.say(frame).await;
    line.expect("ERROR").await
}

#[tokio::test(flavor = "multi_thread")]
async fn a_frame_over_the_rate_is_refused_with_its_ref() {
    let limits = Limits { rate_per_second: 1, rate_burst_seconds: 1, ..Limits::default() };
    let house = House::of(Plan { limits, ..Plan::default() }).await;
    let mut ann = ann(&house).await;
    ann.say(json!({"type": "PING", "ref": "a"})).await;
    let error = refused(&mut ann, json!({"type": "PING", "ref": "b"})).await;
    assert_eq!((&error["code"], &error["ref"]), (&json!("RATE_LIMITED"), &json!("b")));
    assert!(error["retryAfterMs"].as_u64().unwrap() > 0);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_topic_of_nobodys_project_or_user_is_refused_and_named() {
    let house = House::new().await;
    let mut ann = ann(&house).await;
    for topic in ["project:", "user:"] {
        for frame in [
            json!({"type": "SUBSCRIBE", "topics": [topic]}),
            json!({"type": "MESSAGE", "topic": topic, "text": "x"}),
            json!({"type": "SIGNAL", "topic": topic, "text": "x"}),
            json!({"type": "HISTORY", "topic": topic}),
            json!({"type": "PRESENCE", "topic": topic}),
        ] {
            let error = refused(&mut ann, frame.clone()).await;
            assert_eq!((&error["code"], &error["topic"]), (&json!("INVALID"), &json!(topic)), "{frame}");
        }
        let path = format!("/tenants/acme/topics/{topic}/entries");
        house.api("POST", &path, r#"{"text":"x"}"#).await.is_problem(400, "INVALID");
        house.api("GET", &path, "").await.is_problem(400, "INVALID");
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_bad_name_or_position_refuses_its_own_topic_alone() {
    let house = House::new().await;
    let mut ann = ann(&house).await;
    let topics = json!(["news", "a b", "user:", "sport", "project:p1", "news"]);
    let positions = json!({"sport": "garbage", "news": null, "elsewhere": 5});
    ann.say(json!({"type": "SUBSCRIBE", "topics": topics, "positions": positions})).await;
    let answer = ann.expect("SUBSCRIPTION_SUCCESSFUL").await;
    assert!(answer["topics"]["news"]["position"].is_string(), "{answer}");
    for bad in ["a b", "user:", "sport", "elsewhere"] {
        assert_eq!(answer["topics"][bad]["error"]["code"], "INVALID", "{bad}: {answer}");
    }
    assert_eq!(answer["topics"]["project:p1"]["error"]["code"], "FORBIDDEN", "{answer}");
    assert_eq!(answer["topics"].as_object().unwrap().len(), 6, "{answer}");
    let present = house.api("GET", "/tenants/acme/topics/sport/presence", "").await.is(200).json();
    assert_eq!(present["users"], json!([]), "a refused topic is not subscribed");
}

#[tokio::test(flavor = "multi_thread")]
async fn where_every_topic_is_refused_the_error_names_one() {
    let house = House::new().await;
    let mut ann = ann(&house).await;
    for (frame, topic) in [
        (json!({"topics": ["news"], "positions": {"news": "garbage"}}), "news"),
        (json!({"positions": {"acme": "garbage"}}), "acme"),
        (json!({"topic": "news", "positions": {"news": 7}}), "news"),
        (json!({"topics": ["a b"]}), "a b"),
        (json!({"topic": "a b"}), "a b"),
    ] {
        let mut frame = frame;
        frame["type"] = "SUBSCRIBE".into();
        frame["ref"] = "r".into();
        let error = refused(&mut ann, frame.clone()).await;
        let said = (&error["code"], &error["topic"], &error["ref"]);
        assert_eq!(said, (&json!("INVALID"), &json!(topic), &json!("r")), "{frame}");
    }
    ann.converse(None).await;
}
