//! Ten thousand tokens that end while connected, in two waves, with others among them that do not.

#![allow(missing_docs, clippy::unwrap_used)]

mod crowd;
mod support;

use antiphon_core::{Channel, Limits};
use antiphon_protocol::{Topic, now_ms};
use crowd::{Ear, number_said};
use serde_json::{Value, json};
use support::{Cluster, tenant, wait_until};

const WAVES: usize = 2;
const WAVE: usize = 5000;
/// Of two whose tokens end so far apart or more the earlier is gone before the later, by the same thread of the node: so the end
/// of a token is seen to the second, however busy the machine is.
const SECOND_MS: i64 = 1000;
/// Threads of the node, which take new connections in turn.
const SHARDS: usize = 2;

/// A client, and what is to become of it.
struct Fate {
    ear: Ear,
    /// Its token had ended before it was shown.
    is_late: bool,
    expires_at: Option<i64>,
    /// When its end was seen here, and why.
    ended: Option<(i64, String)>,
    entries: usize,
}

impl Fate {
    fn listen(&mut self) {
        self.ear.listen();
        for text in std::mem::take(&mut self.ear.heard) {
            assert!(self.ended.is_none(), "after its end: {text}");
            if number_said(&text).is_some() {
                self.entries += 1;
                continue;
            }
            let frame: Value = serde_json::from_str(&text).unwrap();
            match frame["type"].as_str() {
                Some("SUBSCRIPTION_SUCCESSFUL") => self.expires_at = frame["expiresAt"].as_i64(),
                Some("TERMINATE_CONNECTION") => {
                    self.ended = Some((now_ms(), frame["text"].as_str().unwrap().to_owned()));
                }
                _ => panic!("{text}"),
            }
        }
    }

    /// It does not end in this test.
    fn is_long_lived(&self) -> bool {
        self.expires_at.is_some_and(|ends| ends > now_ms() + 600_000)
    }

    /// It is known what it is to be.
    fn is_known(&self) -> bool {
        self.ended.is_some() || self.expires_at.is_some()
    }
}

#[test]
fn of_ten_thousand_tokens_those_that_end_take_their_connections_with_them_in_their_second_and_no_others() {
    let seed = crowd::seed();
    let mut random = crowd::Random(seed);
    let cluster = Cluster::with(Limits { rate_per_second: 0, ..Limits::default() });
    let node = cluster.node();
    let mut author = node.connect();
    author.say(json!({"type": "PING", "token": "acme/bob"}));
    author.expect("PONG");
    let mut worst = 0;
    for _ in 0..WAVES {
        let mut fates: Vec<Fate> = (0..WAVE)
            .map(|_| {
                // A tenth has ended already, half ends in some seconds, the rest in an hour.
                let ttl = match random.below(10) {
                    0 => -1 - random.below(1_000_000) as i64,
                    1..=5 => 1500 + random.below(3000) as i64,
                    _ => 3_600_000,
                };
                let mut ear = Ear::connect(&node);
                ear.say(&json!({"type": "SUBSCRIBE", "token": format!("acme/ann/{ttl}")}));
                Fate { ear, is_late: ttl < 0, expires_at: None, ended: None, entries: 0 }
            })
            .collect();
        let all = |fates: &mut Vec<Fate>, what: &str, holds: &dyn Fn(&Fate) -> bool| {
            wait_until(what, || {
                fates.iter_mut().for_each(Fate::listen);
                fates.iter().all(holds)
            });
        };
        all(&mut fates, "all have an answer", &|fate| fate.is_known());
        author.publish("1");
        all(&mut fates, "all hear", &|fate| fate.ended.is_some() || fate.entries > 0);
        let mut ended_by = [i64::MIN; SHARDS];
        wait_until("those due have ended", || {
            let before = ended_by;
            for (number, fate) in fates.iter_mut().enumerate() {
                fate.listen();
                let (shard, expires_at) = (number % SHARDS, fate.expires_at.unwrap_or(i64::MIN));
                if fate.ended.is_some() {
                    ended_by[shard] = ended_by[shard].max(expires_at);
                } else {
                    let early = before[shard].saturating_sub(expires_at);
                    assert!(early < SECOND_MS, "outlived by {early} ms, seed {seed}");
                }
            }
            fates.iter().all(|fate| fate.ended.is_some() || fate.is_long_lived())
        });
        // Whoever is left hears what is said now, and nobody else does.
        for fate in &mut fates {
            fate.entries = 0;
        }
        author.publish("2");
        all(&mut fates, "the others hear on", &|fate| fate.ended.is_some() || fate.entries > 0);
        for fate in &fates {
            match &fate.ended {
                None => assert_eq!(fate.entries, 1),
                Some((_, reason)) if fate.is_late => assert_eq!(reason, "INVALID_TOKEN"),
                // So busy was the machine that it ended before it was answered.
                Some((_, reason)) if fate.expires_at.is_none() => {
                    assert!(reason == "TOKEN_EXPIRED" || reason == "INVALID_TOKEN", "{reason}");
                }
                Some((at, reason)) => {
                    let late = at - fate.expires_at.expect("it was subscribed");
                    assert_eq!(reason, "TOKEN_EXPIRED");
                    assert!(late >= 0, "ended {} ms before its token, seed {seed}", -late);
                    worst = worst.max(late);
                }
            }
        }
        all(&mut fates, "each has its close frame", &|fate| {
            fate.ended.is_none() || fate.ear.closed == Some(4401) && fate.ear.is_over
        });
        let left = fates.iter().filter(|fate| fate.ended.is_none()).count();
        assert!((WAVE / 4..WAVE / 2).contains(&left), "{left} are left, seed {seed}");
        wait_until("the ended are counted out", || node.node.metrics().connections.get() == left as u64 + 1);
    }
    println!("at most {worst} ms after its token");
    drop(author);
    let channel = Channel::Topic(Topic::of_tenant(&tenant("acme")));
    let metrics = node.node.metrics();
    wait_until("every map is empty", || {
        [metrics.connections.get(), metrics.identified.get(), metrics.subscriptions.get()] == [0; 3]
            && node.node.hub().feed_count() == 0
            && cluster.bus.listeners(&channel) == 0
            && node.node.encode_metrics().contains("antiphon_tenants 0")
    });
    assert_eq!((node.reactor.connections(), node.reactor.half_open()), (0, 0));
}
