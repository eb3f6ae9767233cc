//! Many who come back at once, and one who reads slowly: each gets all that it has missed, and the store is asked little.

#![allow(missing_docs, clippy::unwrap_used)]

mod crowd;
mod support;

use std::{
    sync::{
        Arc,
        atomic::{AtomicUsize, Ordering},
    },
    time::Duration,
};

use antiphon_core::{
    Directory, GroupOutcome, HistoryPage, Limits, Located, Retention, SeamError, Store, TrimCursor, Trimmed,
};
use antiphon_memory::MemoryStore;
use antiphon_protocol::{Content, Draft, Entry, Position, Topic, TopicName};
use async_trait::async_trait;
use crowd::{Ear, listen_until, number_said};
use serde_json::{Value, json};
use support::{Client, Cluster, Heard, PATIENCE, tenant, user, wait_until};
use tokio::sync::Semaphore;

const CLIENTS: usize = 1000;
const ENTRIES: usize = 300;

/// Nothing but what a test does asks the store.
fn quiet() -> Limits {
    let never = Duration::from_secs(3600);
    Limits { rate_per_second: 0, tick: never, position_interval: never, retention: None, ..Limits::default() }
}

fn topic(name: &str) -> Topic {
    Topic::new(tenant("acme"), TopicName::parse(name).unwrap())
}

/// Appends entries that say their numbers; their positions.
fn append(cluster: &Cluster, name: &str, numbers: std::ops::Range<usize>) -> Vec<Position> {
    append_texts(cluster, name, numbers.map(|number| number.to_string()))
}

fn append_texts(cluster: &Cluster, name: &str, texts: impl Iterator<Item = String>) -> Vec<Position> {
    let draft = |text: String| Draft {
        topic: topic(name),
        author: None,
        named_project: None,
        key: None,
        content: Content::text(&text).unwrap(),
    };
    let group = [(1, texts.map(draft).collect())];
    let appended = cluster.runtime.block_on(cluster.store.append(&group)).unwrap().remove(0).unwrap();
    appended.iter().map(|one| one.entry.position).collect()
}

fn subscribe(name: &str, from: Position) -> Value {
    json!({"type": "SUBSCRIBE", "token": "acme/bob", "topics": [name], "positions": {name: from.to_string()}})
}

#[test]
fn a_thousand_who_come_back_to_a_topic_at_another_node_cost_three_readings_of_the_store() {
    let cluster = Cluster::with(quiet());
    let places = append(&cluster, "news", 1..ENTRIES + 1);
    let node = cluster.node();
    // Its first tick is over.
    wait_until("the store has been asked whether it is there", || cluster.store.queries() > 1);
    let asked = cluster.store.queries();
    let mut ears: Vec<Ear> = (0..CLIENTS).map(|_| Ear::connect(&node)).collect();
    // The node that ended had brought some a few entries further than others.
    let seen = |client: usize| 150 + client * 7 % 40;
    for (client, ear) in ears.iter_mut().enumerate() {
        ear.say(&subscribe("news", places[seen(client) - 1]));
    }
    let has_all = |(client, ear): (usize, &Ear)| ear.heard.len() == 1 + ENTRIES - seen(client);
    listen_until(&mut ears, "all have what they missed", |ears| ears.iter().enumerate().all(has_all));
    for (client, ear) in ears.iter_mut().enumerate() {
        let answer = ear.heard.remove(0);
        assert!(answer.contains(r#""recovered":true"#), "{answer}");
        let heard = ear.heard.drain(..).map(|text| number_said(&text).expect("a MESSAGE"));
        assert!(heard.eq(seen(client) + 1..=ENTRIES), "client {client}");
    }
    let asked = cluster.store.queries() - asked;
    let (pages, locates) = (node.node.metrics().pages.get(), node.node.metrics().locates.get());
    println!("{asked} readings, {pages} of them pages, for {CLIENTS} clients");
    assert!(asked <= 3, "{asked} readings");
    assert_eq!(asked, pages + locates, "the figures tell of each reading");
    let mut ann = node.connect();
    ann.say(json!({"type": "MESSAGE", "token": "acme/ann", "topic": "news", "text": "301"}));
    ann.expect("ACCEPTED");
    listen_until(&mut ears, "all are live", |ears| ears.iter().all(|ear| ear.heard.len() == 1));
    assert!(ears.iter().all(|ear| number_said(&ear.heard[0]) == Some(301)));
}

/// A store that looks for a position only when it is let.
struct Gated {
    inner: Arc<MemoryStore>,
    lets: Semaphore,
    waiting: AtomicUsize,
}

#[async_trait]
impl Store for Gated {
    async fn append(&self, groups: &[(u64, Vec<Draft>)]) -> Result<Vec<GroupOutcome>, SeamError> {
        self.inner.append(groups).await
    }

    async fn read(
        &self,
        topic: &Topic,
        after: u64,
        limit: u32,
        max_bytes: usize,
    ) -> Result<Vec<Entry>, SeamError> {
        self.inner.read(topic, after, limit, max_bytes).await
    }

    async fn read_before(
        &self,
        topic: &Topic,
        before: Option<u64>,
        limit: u32,
    ) -> Result<HistoryPage, SeamError> {
        self.inner.read_before(topic, before, limit).await
    }

    async fn entry(&self, topic: &Topic, id: uuid::Uuid) -> Result<Option<Entry>, SeamError> {
        self.inner.entry(topic, id).await
    }

    async fn locate(&self, topic: &Topic, at: Option<u64>) -> Result<Located, SeamError> {
        self.waiting.fetch_add(1, Ordering::SeqCst);
        self.lets.acquire().await.unwrap().forget();
        self.waiting.fetch_sub(1, Ordering::SeqCst);
        self.inner.locate(topic, at).await
    }

    async fn heads(&self, topics: &[Topic]) -> Result<Vec<Position>, SeamError> {
        self.inner.heads(topics).await
    }

    async fn trim(&self, keep: &Retention, from: TrimCursor) -> Result<Trimmed, SeamError> {
        self.inner.trim(keep, from).await
    }

    async fn ping(&self) -> Result<(), SeamError> {
        self.inner.ping().await
    }
}

#[test]
fn who_comes_while_too_many_read_is_told_a_time_of_its_own_before_anything_is_asked_and_gets_all_later() {
    const LATE: usize = 40;
    let cluster = Cluster::with(Limits { catch_up_reads: 2, ..quiet() });
    let store = Arc::new(Gated {
        inner: cluster.store.clone(),
        lets: Semaphore::new(0),
        waiting: AtomicUsize::new(0),
    });
    let node = cluster.node_on(store.clone(), &cluster.secret);
    let first = ["a", "b"].map(|name| append(&cluster, name, 1..6)[1]);
    let late: Vec<Position> = (0..LATE).map(|n| append(&cluster, &format!("late-{n}"), 1..6)[1]).collect();
    let mut readers = ["a", "b"].map(|_| node.connect());
    for (reader, (name, from)) in readers.iter_mut().zip(["a", "b"].into_iter().zip(first)) {
        reader.say(subscribe(name, from));
    }
    wait_until("two are reading", || store.waiting.load(Ordering::SeqCst) == 2);
    let mut crowd: Vec<Client> = (0..LATE).map(|_| node.connect()).collect();
    for client in &mut crowd {
        client.say(json!({"type": "PING", "token": "acme/bob"}));
        client.expect("PONG");
    }
    let asked = (cluster.store.queries(), cluster.directory.queries());
    let mut told = Vec::new();
    for (number, client) in crowd.iter_mut().enumerate() {
        client.say(subscribe(&format!("late-{number}"), late[number]));
        let error = client.expect("ERROR");
        assert_eq!(error["code"], "UNAVAILABLE", "{error}");
        told.push(error["retryAfterMs"].as_u64().unwrap());
    }
    assert_eq!((cluster.store.queries(), cluster.directory.queries()), asked, "nothing was asked for them");
    assert!(told.iter().all(|ms| (500..4000).contains(ms)), "{told:?}");
    told.sort_unstable();
    told.dedup();
    assert!(told.len() > LATE / 2, "they would come back together: {told:?}");
    store.lets.add_permits(100_000);
    let others = crowd.iter_mut().enumerate().map(|(number, client)| {
        wait_until("it is admitted", || {
            client.say(subscribe(&format!("late-{number}"), late[number]));
            matches!(client.hear(PATIENCE), Heard::Text(frame) if frame["type"] == "SUBSCRIPTION_SUCCESSFUL")
        });
        client
    });
    readers.iter_mut().for_each(|client| drop(client.expect("SUBSCRIPTION_SUCCESSFUL")));
    for client in readers.iter_mut().chain(others) {
        for number in 3..6 {
            assert_eq!(client.expect("MESSAGE")["text"], number.to_string());
        }
    }
}

/// Bytes of a socket as they are, at the test's own pace.
fn read_some(client: &mut Client, bytes: &mut [u8]) -> usize {
    std::io::Read::read(&mut client.socket, bytes).unwrap_or(0)
}

#[test]
fn one_who_reads_slowly_goes_on_from_the_log_and_only_one_who_reads_nothing_is_closed() {
    let progress = Duration::from_secs(1);
    let cluster = Cluster::with(Limits { progress_timeout: progress, ..quiet() });
    cluster.runtime.block_on(cluster.directory.put_user(&tenant("acme"), &user("dan"))).unwrap();
    let node = cluster.node();
    let long = "x".repeat(4000);
    // Far more than the ring and the sockets hold.
    const COUNT: usize = 1000;
    let places = append_texts(&cluster, "acme", (0..=COUNT).map(|number| format!("{number} {long}")));
    let [mut slow, mut stuck] = ["acme/bob", "acme/dan"].map(|token| {
        let mut client = node.connect();
        client
            .say(json!({"type": "SUBSCRIBE", "token": token, "positions": {"acme": places[0].to_string()}}));
        client.expect("SUBSCRIPTION_SUCCESSFUL");
        client
    });
    let read = || node.node.metrics().pages.get();
    // Some bytes now and then, for several times the patience.
    let began = std::time::Instant::now();
    let mut taken = Vec::new();
    while began.elapsed() < progress * 4 {
        let mut some = [0; 8 * 1024];
        let len = read_some(&mut slow, &mut some);
        taken.extend_from_slice(&some[..len]);
        std::thread::sleep(progress / 16); // poll: a reader's own pace.
    }
    slow.put_back(taken);
    for number in 1..=COUNT {
        let frame = slow.find("MESSAGE");
        assert!(frame["text"].as_str().unwrap().starts_with(&format!("{number} ")), "at {number}");
    }
    assert!(read() > 3, "it was read from the log: {}", read());
    let mut ann = node.subscribed("acme/ann");
    ann.publish("live");
    assert_eq!(slow.find("MESSAGE")["text"], "live");
    // The other one took nothing: what was on its way comes, and then the close, or the end where it came too late.
    let (mut heard, mut code) = (1, None);
    loop {
        match stuck.hear(PATIENCE) {
            Heard::Text(frame) => {
                let text = frame["text"].as_str().unwrap();
                assert!(text.starts_with(&format!("{heard} ")), "at {heard}");
                heard += 1;
            }
            Heard::Close(is) => code = Some(is),
            Heard::End => break,
            Heard::Ping | Heard::Pong => {}
            Heard::Nothing => panic!("it is still open after {heard}"),
        }
    }
    assert!(heard < COUNT && code.is_none_or(|code| code == 4008), "{heard} {code:?}");
    let ended = || node.node.metrics().ended_for(antiphon_node::EndReason::NoProgress);
    wait_until("it is counted", || ended() == 1);
}
