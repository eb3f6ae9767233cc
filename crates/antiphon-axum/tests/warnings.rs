//! What the operator is told of those who show no valid token. A binary of its own: it takes the log of its process.

#![allow(clippy::unwrap_used, missing_docs)]

mod support;

use std::{
    io::Write,
    sync::{Arc, Mutex},
    time::Duration,
};

use antiphon_axum::HttpOptions;
use axum::{body::Body, http::Request};
use serde_json::{Value, json};
use support::{
    House, Plan,
    line::{served, status, upgraded},
};
use tower::ServiceExt;

#[derive(Clone, Default)]
struct Lines(Arc<Mutex<Vec<u8>>>);

impl Write for Lines {
    fn write(&mut self, bytes: &[u8]) -> std::io::Result<usize> {
        self.0.lock().unwrap().extend_from_slice(bytes);
        Ok(bytes.len())
    }

    fn flush(&mut self) -> std::io::Result<()> {
        Ok(())
    }
}

impl Lines {
    /// The next warning with this message.
    async fn next(&self, message: &str) -> Value {
        for _ in 0..500 {
            let text = String::from_utf8(self.0.lock().unwrap().clone()).unwrap();
            let events = text.lines().map(|line| serde_json::from_str::<Value>(line).unwrap());
            if let Some(found) = events.into_iter().find(|event| event["message"] == message) {
                self.0.lock().unwrap().clear();
                return found;
            }
            // poll: the log tells nobody that it has grown.
            tokio::time::sleep(Duration::from_millis(10)).await;
        }
        panic!("nobody said: {message}")
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_warning_says_who_showed_no_valid_token_and_not_more_than_that() {
    let lines = Lines::default();
    let writer = lines.clone();
    tracing_subscriber::fmt().json().flatten_event(true).with_writer(move || writer.clone()).init();
    let trusted_proxies = vec!["127.0.0.0/8".parse().unwrap()];
    let options = HttpOptions { shards: 1, trusted_proxies, ..HttpOptions::default() };
    let house = House::of(Plan { options, ..Plan::default() }).await;
    let router =
        house.router.clone().layer(axum::Extension(antiphon_axum::PeerAddress([127, 0, 0, 1].into())));
    let address = served(router).await;
    let agent = format!("Odd/1.0 \"{}", "x".repeat(500));
    let headers = [("user-agent", agent.as_str()), ("x-forwarded-for", "203.0.113.9")];
    let ann = house.token("acme", "ann").await;
    let bob = house.token("acme", "bob").await;

    for (frame, message, reason) in [
        (json!({"type": "PING"}), "no token was provided", "the first frame has none"),
        (
            json!({"type": "PING", "token": "ant_canary"}),
            "a socket message shows no valid token",
            "not of the form of a token",
        ),
    ] {
        let (mut line, _) = upgraded(address, &headers).await;
        line.say(frame).await;
        line.expect("TERMINATE_CONNECTION").await;
        let said = lines.next(message).await;
        assert_eq!(said["reason"], reason);
        assert_eq!(said["agent"].as_str().unwrap(), &agent[..256], "bounded, and quoted once");
        assert_eq!(
            (&said["forwarded_for"], &said["address"]),
            (&json!("203.0.113.9"), &json!("203.0.113.9"))
        );
        assert!(said.get("user").is_none() && !said.to_string().contains("canary"), "{said}");
    }

    // One that is known already is named, not what it once claimed.
    let (mut line, _) = upgraded(address, &headers).await;
    line.converse(Some(&ann)).await;
    line.say(json!({"type": "PING", "token": bob})).await;
    line.expect("TERMINATE_CONNECTION").await;
    let said = lines.next("a socket message shows no valid token").await;
    assert_eq!((&said["tenant"], &said["user"]), (&json!("acme"), &json!("ann")));
    assert_eq!(said["reason"], "it is another user's");

    let bearer = [("authorization", "Bearer ant_canary"), headers[0]];
    assert_eq!(status(&upgraded(address, &bearer).await.1), 401);
    let said = lines.next("an upgrade shows no valid token").await;
    assert_eq!(said["agent"].as_str().unwrap(), &agent[..256]);
    assert!(!said.to_string().contains("canary"), "{said}");

    for bearer in ["Bearer ant_canary", "Bearer antkey_canary", "Basic canary"] {
        let mut request = Request::get("/api/v1/connections").header("authorization", bearer);
        for (name, value) in headers {
            request = request.header(name, value);
        }
        let answer = house.router.clone().oneshot(request.body(Body::empty()).unwrap()).await.unwrap();
        assert_eq!(answer.status(), 401);
        let said = lines.next("a request shows no valid key or token").await;
        assert_eq!((&said["level"], &said["path"]), (&json!("WARN"), &json!("/api/v1/connections")));
        assert_eq!(said["agent"].as_str().unwrap(), &agent[..256]);
        assert_eq!(said["forwarded_for"], "203.0.113.9");
        assert!(!said.to_string().contains("canary"), "{said}");
    }
}
