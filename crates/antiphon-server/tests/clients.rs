//! The conversations of clients/conformance.json, between the Rust client and real nodes: the same list that the
//! JavaScript client keeps to.

#![allow(clippy::unwrap_used)]

mod clients {
    pub mod conversation;
    pub mod node;
    pub mod peer;
}

use clients::{conversation::Conversation, node::Nodes};
use serde_json::Value;
use tokio::runtime::Runtime;

#[test]
fn every_conversation_of_the_list_holds_with_the_rust_client() {
    let list: Value = serde_json::from_str(include_str!("../../../clients/conformance.json")).unwrap();
    let shared = Nodes::start(&[], None);
    let mut failed = Vec::new();
    for (number, case) in list["cases"].as_array().unwrap().iter().enumerate() {
        let name = case["name"].as_str().unwrap();
        let Some(nodes) = Nodes::of_case(case, &shared) else { continue };
        let steps = case["steps"].as_array().unwrap().clone();
        let conversation = Conversation::new(format!("case-{number}"), nodes);
        println!("{name}:");
        // On a thread of its own, so that one that fails does not hide the others.
        let talks = move || Runtime::new().unwrap().block_on(conversation.run(steps));
        if std::thread::spawn(talks).join().is_err() {
            failed.push(name);
        }
    }
    assert!(failed.is_empty(), "these did not hold: {failed:#?}");
}
