//! Settings decide from memory: a thousand entries to a thousand subscribers, of whom half do not want them.

#![allow(missing_docs, clippy::unwrap_used)]

mod crowd;
mod support;

use std::time::Duration;

use antiphon_core::{Directory, Limits, MemberSettings};
use crowd::{Ear, listen_until, number_said};
use serde_json::json;
use support::{Cluster, Running, project, tenant, user};

const USERS: usize = 1000;
const ENTRIES: usize = 1000;
/// Entries between two looks at the sockets.
const BATCH: usize = 50;

/// A cluster in which only a decision could ask the directory anything: there is no tick, and nobody is told of a
/// position.
fn cluster() -> Cluster {
    let never = Duration::from_secs(3600);
    Cluster::with(Limits {
        rate_per_second: 0,
        tick: never,
        position_interval: never,
        keep_alive: never,
        ..Limits::default()
    })
}

/// All of them are members; every other one wants the project's entries, from this one on.
fn put_members(cluster: &Cluster, first: usize) {
    let member = |number: usize| MemberSettings {
        user: user(&format!("u{number}")),
        deliver: Some(number % 2 == first),
        push: None,
    };
    let members: Vec<MemberSettings> = (0..USERS).map(member).collect();
    let put = async { cluster.directory.put_members(&tenant("acme"), &project("apollo"), &members).await };
    cluster.runtime.block_on(put).unwrap();
}

fn subscribed(node: &Running) -> Vec<Ear> {
    let mut ears: Vec<Ear> = (0..USERS).map(|_| Ear::connect(node)).collect();
    for (number, ear) in ears.iter_mut().enumerate() {
        ear.say(&json!({"type": "SUBSCRIBE", "token": format!("acme/u{number}")}));
    }
    listen_until(&mut ears, "all are subscribed", |ears| ears.iter().all(|ear| ear.heard.len() == 1));
    for ear in &mut ears {
        let answer = ear.heard.remove(0);
        assert!(answer.contains("SUBSCRIPTION_SUCCESSFUL"), "{answer}");
    }
    ears
}

#[test]
fn a_thousand_entries_reach_the_willing_half_of_a_thousand_and_nothing_is_asked() {
    let cluster = cluster();
    put_members(&cluster, 0);
    cluster.member("apollo", "ann", true);
    let node = cluster.node();
    let mut author = node.connect();
    author.say(json!({"type": "PING", "token": "acme/ann"}));
    author.expect("PONG");
    let mut outsider = node.subscribed("acme/cleo");
    let mut ears = subscribed(&node);
    let mut heard = vec![Vec::new(); USERS];
    let mut asked = Vec::new();
    for half in 0..2 {
        if half == 1 {
            // Every one of them changes its mind, and no node is told.
            put_members(&cluster, 1);
        }
        let before = cluster.directory.queries();
        let first = half * ENTRIES / 2;
        for first in (first..first + ENTRIES / 2).step_by(BATCH) {
            for number in first..first + BATCH {
                author.say(json!({"type": "MESSAGE", "text": number.to_string(), "projectId": "apollo"}));
            }
            for _ in 0..BATCH {
                author.expect("ACCEPTED");
            }
            let count = |ears: &[Ear]| ears.iter().map(|ear| ear.heard.len()).sum::<usize>();
            listen_until(&mut ears, "a batch has come", |ears| count(ears) >= BATCH * USERS / 2);
            for (heard, ear) in heard.iter_mut().zip(&mut ears) {
                heard.extend(ear.heard.drain(..).map(|text| number_said(&text).expect("a MESSAGE")));
            }
        }
        asked.push(cluster.directory.queries() - before);
        // What was sent before its answer is here: nothing was on its way to those who did not want it.
        ears.iter_mut().for_each(|ear| ear.say(&json!({"type": "PING"})));
        listen_until(&mut ears, "all have answered", |ears| ears.iter().all(|ear| !ear.heard.is_empty()));
        for ear in &mut ears {
            assert!(ear.heard.len() == 1 && ear.heard[0].contains("PONG"), "{:?}", ear.heard);
            ear.heard.clear();
        }
    }
    for (number, heard) in heard.iter().enumerate() {
        let wanted = if number % 2 == 0 { 0..ENTRIES / 2 } else { ENTRIES / 2..ENTRIES };
        assert!(heard.iter().copied().eq(wanted), "u{number} heard {heard:?}");
    }
    outsider.expect_silence();
    outsider.say(json!({"type": "MESSAGE", "text": "no member", "projectId": "apollo"}));
    assert_eq!(outsider.expect("ERROR")["code"], "FORBIDDEN");
    // A million decisions: nothing was asked for them, and once what the change had changed.
    assert_eq!(asked, [0, 1]);
}
