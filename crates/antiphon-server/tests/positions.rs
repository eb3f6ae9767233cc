//! A position that was forged, altered, or is of another topic or tenant, over every door: RESET or an error, and never an entry
//! that was not asked for.
#![allow(clippy::unwrap_used)]

mod crowd;
mod support;

use std::collections::BTreeMap;

use antiphon_client::Raw;
use crowd::Random;
use serde_json::{Value, json};
use support::node::{Node, PATIENCE, exchange};

const FORGED: usize = 1_000;
const ENTRIES: usize = 20;
const REASONS: [&str; 4] = ["RETENTION", "EPOCH", "FORK", "AHEAD"];

fn call(node: &Node, method: &str, path: &str, key: &str, body: &str) -> (u16, Value) {
    let len = body.len();
    let request = format!(
        "{method} /api/v1{path} HTTP/1.1\r\nhost: a\r\nauthorization: Bearer {key}\r\nconnection: close\r\n\
         content-type: application/json\r\ncontent-length: {len}\r\n\r\n{body}"
    );
    let answer = exchange(node.connect(), &request);
    let status = answer.split(' ').nth(1).unwrap().parse().unwrap();
    (status, serde_json::from_str(answer.split_once("\r\n\r\n").unwrap().1).unwrap_or_default())
}

/// One that looks like these, or like nothing.
fn forge(random: &mut Random, own: &[String], foreign: &[String]) -> String {
    let mut pick = |from: &[String]| from[random.below(from.len())].clone();
    let (mine, theirs) = (pick(own), pick(foreign));
    let [a, b]: [Vec<&str>; 2] = [&mine, &theirs].map(|position| position.split('-').collect());
    match random.below(9) {
        0 => theirs,
        // Parts of one in another.
        1 => format!("{}-{}-{}", a[0], b[1], b[2]),
        2 => format!("{}-{}-{}", a[0], a[1], b[2]),
        3 => format!("00000000000000aa-{}-{}", a[1], b[2]),
        // Far away, and beyond what a number holds.
        4 => format!("{}-{}-{}", a[0], 1_000 + random.below(9), a[2]),
        5 => format!("{}-{}{}-{}", a[0], u64::MAX, random.below(10), a[2]),
        // A sign of it is another one.
        6 => {
            let mut bytes = mine.into_bytes();
            let at = random.below(bytes.len());
            bytes[at] = b"0123456789abcdefg- "[random.below(19)];
            String::from_utf8(bytes).unwrap()
        }
        7 => mine[..random.below(mine.len())].to_owned(),
        _ => (0..random.below(60)).map(|_| char::from(33 + random.below(94) as u8)).collect(),
    }
}

fn percent(text: &str) -> String {
    text.bytes().map(|byte| format!("%{byte:02X}")).collect()
}

#[tokio::test(flavor = "multi_thread")]
async fn of_a_thousand_positions_that_are_not_the_topics_own_none_gives_an_entry() {
    let mut random = Random(crowd::seed());
    let node = Node::serve(&["--rate-limit", "0"]);
    let (token, key) = (node.token(), node.key("admin"));
    call(&node, "PUT", "/tenants/globex/users/gus", &key, "{}");
    let mut positions: BTreeMap<(&str, &str), Vec<String>> = BTreeMap::new();
    for number in 0..ENTRIES {
        for (tenant, topic) in [("acme", "news"), ("acme", "sport"), ("globex", "news")] {
            let path = format!("/tenants/{tenant}/topics/{topic}/entries");
            let body = json!({"text": format!("{tenant} {topic} {number}")}).to_string();
            let (status, made) = call(&node, "POST", &path, &key, &body);
            assert_eq!(status, 201, "{made}");
            positions.entry((tenant, topic)).or_default().push(made["position"].as_str().unwrap().to_owned());
        }
    }
    let own = positions[&("acme", "news")].clone();
    let foreign = [&positions[&("acme", "sport")][..], &positions[&("globex", "news")]].concat();
    let mut raw = Raw::connect(&node.ws()).await.unwrap().deadline(PATIENCE);
    raw.send_json(&json!({"type": "PING", "token": token})).await.unwrap();
    raw.frame_of("PONG").await.unwrap();

    let mut outcomes: BTreeMap<String, usize> = BTreeMap::new();
    for _ in 0..FORGED {
        let forged = forge(&mut random, &own, &foreign);
        // Whose link is the true one at its offset knows this history, whatever its epoch.
        let proof = |position: &str| position.split_once('-').map(|(_, proof)| proof.to_owned());
        if own.iter().any(|own| proof(own) == proof(&forged)) {
            continue;
        }
        raw.send_json(&json!({"type": "SUBSCRIBE", "topics": ["news"], "positions": {"news": forged}}))
            .await
            .unwrap();
        let answer = raw.frame().await.unwrap();
        let mut outcome = answer["code"].as_str().unwrap_or_default().to_owned();
        if answer["type"] == "SUBSCRIPTION_SUCCESSFUL" {
            assert_eq!(answer["topics"]["news"]["recovered"], false, "{forged}: {answer}");
            let reset = raw.frame().await.unwrap();
            outcome = reset["reason"].as_str().unwrap_or_default().to_owned();
            assert!(reset["type"] == "RESET" && REASONS.contains(&&*outcome), "{forged}: {reset}");
            raw.send_json(&json!({"type": "UNSUBSCRIBE", "topics": ["news"]})).await.unwrap();
            // Nothing but the answer: the stream would have gone on from the head.
            let left = raw.frame().await.unwrap();
            assert_eq!(left["type"], "UNSUBSCRIPTION_SUCCESSFUL", "{forged}: {left}");
        } else {
            assert_eq!((&answer["type"], &*outcome), (&json!("ERROR"), "INVALID"), "{forged}: {answer}");
        }
        *outcomes.entry(outcome).or_default() += 1;
        for side in ["before", "after"] {
            let path = format!("/tenants/acme/topics/news/entries?{side}={}", percent(&forged));
            let (status, said) = call(&node, "GET", &path, &token, "");
            assert_eq!((status, &said["code"]), (400, &json!("INVALID")), "{side} {forged}: {said}");
        }
    }
    println!("{outcomes:?}");
    assert!(["EPOCH", "FORK", "AHEAD", "INVALID"].iter().all(|kind| outcomes.contains_key(*kind)));
    // A true one gives what is behind it, of this topic alone.
    let path = format!("/tenants/acme/topics/news/entries?after={}", own[ENTRIES - 3]);
    let (status, page) = call(&node, "GET", &path, &token, "");
    let texts: Vec<&str> =
        page["entries"].as_array().unwrap().iter().map(|entry| entry["text"].as_str().unwrap()).collect();
    assert_eq!((status, texts), (200, vec!["acme news 18", "acme news 19"]));
}
