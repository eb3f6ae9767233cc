//! A database whose disk is full: publishing stops and is said to have stopped, all else goes on, and with the first free space
//! it goes on by itself.
#![allow(clippy::unwrap_used)]

mod support;

use std::{
    collections::BTreeMap,
    time::{Duration, Instant},
};

use antiphon_client::Raw;
use antiphon_testkit::{Postgres, PostgresOptions, SmallDisk, or_skip, small_disk_or_skip};
use serde_json::{Value, json};
use support::{
    antiphon,
    node::{Node, PATIENCE, eventually, exchange},
};

/// Big enough for an empty database, small enough to be full soon.
const MIB: u32 = 48;
/// How much a publish carries: so that none of them fits into what is left of a page.
const TEXT: usize = 16 * 1024;
/// So many are refused one after the other.
const REFUSED: usize = 20;
/// At most so many find a place that was free before.
const ACCEPTED_MAX: usize = 2000;

/// A node, an author and a listener whose sockets stay the same all the time.
struct Place {
    node: Node,
    token: String,
    key: String,
    author: Raw,
    listener: Raw,
    /// What was accepted: texts by offset.
    accepted: BTreeMap<u64, String>,
    /// The last entry that the listener has heard.
    heard: u64,
    /// Where it stood at the beginning.
    first: Value,
    said: usize,
}

impl Place {
    async fn new(database: &str) -> Self {
        let node = Node::serve(&["--database", database, "--rate-limit", "0"]);
        let issue = ["token", "issue", "--tenant", "acme", "--user", "ann", "--database", database];
        let token = antiphon(&issue).run().stdout.trim_end().to_owned();
        let issue = ["key", "issue", "--scope", "metrics", "--database", database];
        let key = antiphon(&issue).run().stdout.trim_end().to_owned();
        let (author, _) = subscribe(&node, &token, &json!({})).await;
        let (listener, first) = subscribe(&node, &token, &json!({})).await;
        let (accepted, heard, said) = (BTreeMap::new(), 0, 0);
        Self { node, token, key, author, listener, accepted, heard, first, said }
    }

    /// Publishes this, and tells what was answered.
    async fn publish(&mut self, key: &str, text: &str) -> Value {
        let frame = json!({"type": "MESSAGE", "key": key, "ref": key, "text": text});
        self.author.send_json(&frame).await.unwrap();
        loop {
            let answer = self.author.frame().await.unwrap();
            if answer["ref"] == key {
                if answer["type"] == "ACCEPTED" {
                    self.accepted.insert(answer["offset"].as_u64().unwrap(), text.to_owned());
                }
                return answer;
            }
        }
    }

    /// One more text of this length, that nobody can make shorter; its key, itself and its answer.
    async fn next(&mut self, len: usize) -> (String, String, Value) {
        self.said += 1;
        let mut text = format!("{}:", self.said);
        let mut number = self.said as u64;
        while text.len() < len {
            number = number.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1_442_695_040_888_963_407);
            text += &format!("{number:016x}");
        }
        let key = format!("k{}", self.said);
        let answer = self.publish(&key, &text).await;
        (key, text, answer)
    }

    /// Publishes until so many in a row were refused: in order, and with a time to come back. Gives the first of them.
    async fn until_refused(&mut self, times: usize) -> (String, String) {
        let (mut refused, mut first) = (0, None);
        for _ in 0..ACCEPTED_MAX {
            let (key, text, answer) = self.next(TEXT).await;
            if answer["type"] == "ACCEPTED" {
                refused = 0;
                // At once: who is far behind reads on from the log.
                self.catch_up().await;
                continue;
            }
            assert_eq!(
                (&answer["type"], &answer["code"]),
                (&json!("ERROR"), &json!("UNAVAILABLE")),
                "{answer}"
            );
            assert!(answer["retryAfterMs"].is_number(), "{answer}");
            first.get_or_insert((key, text));
            refused += 1;
            if refused == times {
                return first.unwrap();
            }
        }
        panic!("the disk is not full");
    }

    /// The listener hears all that was accepted and it has not heard yet, and nothing else.
    async fn catch_up(&mut self) {
        let owed = self.accepted.range(self.heard + 1..).map(|(offset, text)| (*offset, text.clone()));
        for (offset, text) in owed.collect::<Vec<_>>() {
            let entry = self.listener.frame_of("MESSAGE").await.unwrap();
            assert_eq!(entry["offset"], offset, "in order, without a hole, once");
            assert!(entry["text"] == text.as_str(), "what was accepted");
            self.heard = offset;
        }
    }

    /// What needs no space on the disk goes on.
    async fn all_else_goes_on(&mut self) {
        self.catch_up().await;
        self.author.send_json(&json!({"type": "SIGNAL", "text": "typing"})).await.unwrap();
        assert_eq!(self.listener.frame_of("SIGNAL").await.unwrap()["text"], "typing");
        // From the beginning, over a new socket.
        let positions = json!({"acme": self.first});
        let (mut back, _) = subscribe(&self.node, &self.token, &positions).await;
        for (offset, text) in &self.accepted {
            let entry = back.frame_of("MESSAGE").await.unwrap();
            assert!(entry["offset"] == *offset && entry["text"] == text.as_str());
        }
        let page = self.get("/api/v1/tenants/acme/topics/acme/entries?limit=1", &self.token);
        let newest = self.accepted.last_key_value().unwrap().1;
        assert!(
            page.starts_with("HTTP/1.1 200") && page.contains(newest),
            "{}",
            &page[..page.len().min(300)]
        );
        assert_eq!(self.node.status("/health/live"), Some(200));
    }

    fn get(&self, path: &str, bearer: &str) -> String {
        let request = format!(
            "GET {path} HTTP/1.1\r\nhost: a\r\nauthorization: Bearer {bearer}\r\nconnection: close\r\n\r\n"
        );
        exchange(self.node.connect(), &request)
    }

    /// It may be given clients, since all but publishing goes on, and says what is wrong; all the time, whatever it refuses
    /// and looks at meanwhile.
    async fn is_ready_and_says_why_not_all_goes_on(&mut self) {
        for _ in 0..REFUSED {
            let (_, _, answer) = self.next(TEXT).await;
            let ready = self.node.get("/health/ready");
            let is_refused = answer["type"] == "ERROR";
            assert!(ready.contains("200 OK") && ready.contains("\"database\":true"), "{ready}");
            assert_eq!(ready.contains("its disk may be full"), is_refused, "{ready}");
            let figure = format!("antiphon_database_writable {}", u8::from(!is_refused));
            assert!(self.get("/metrics", &self.key).contains(&figure));
            // poll: ticks and renewals of the lease come between.
            tokio::time::sleep(Duration::from_millis(150)).await;
        }
    }

    /// What was refused is taken when it comes again with its key, and then all else too.
    async fn goes_on(&mut self, (key, text): (String, String)) {
        let until = Instant::now() + PATIENCE;
        loop {
            let answer = self.publish(&key, &text).await;
            if answer["type"] == "ACCEPTED" {
                break;
            }
            let pause = answer["retryAfterMs"].as_u64().unwrap_or_else(|| panic!("{answer}"));
            assert!(Instant::now() < until, "{answer}");
            // poll: as long as the node has asked for.
            tokio::time::sleep(Duration::from_millis(pause)).await;
        }
        for _ in 0..10 {
            let (_, _, answer) = self.next(TEXT).await;
            assert_eq!(answer["type"], "ACCEPTED", "{answer}");
        }
        self.catch_up().await;
        let node = &self.node;
        eventually("it is ready, with nothing to say", || {
            let ready = node.get("/health/ready");
            ready.contains("200 OK") && !ready.contains("reason")
        });
    }

    /// The log holds what was accepted, each once, and nothing else.
    fn log_is(&self, rows: &str) {
        let rows: Vec<&str> = rows.lines().collect();
        let accepted: Vec<String> = self
            .accepted
            .iter()
            .map(|(offset, text)| format!("{offset}|{}", text.split(':').next().unwrap()))
            .collect();
        assert_eq!(rows, accepted);
    }
}

async fn subscribe(node: &Node, token: &str, positions: &Value) -> (Raw, Value) {
    let mut raw = Raw::connect(&node.ws()).await.unwrap().deadline(PATIENCE);
    let frame = json!({"type": "SUBSCRIBE", "token": token, "positions": positions});
    raw.send_json(&frame).await.unwrap();
    let answer = raw.frame_of("SUBSCRIPTION_SUCCESSFUL").await.unwrap();
    let position = answer["topics"]["acme"]["position"].clone();
    (raw, position)
}

/// Offset and number of each entry of the log.
const ROWS: &str = "select \"offset\" || '|' || substr(content, 2, position(':' in content) - 2) \
                    from antiphon.entries order by \"offset\"";

async fn is_full_and_free_twice(place: &mut Place, disk: &SmallDisk) {
    for _ in 0..5 {
        assert_eq!(place.next(TEXT).await.2["type"], "ACCEPTED");
    }
    for _ in 0..2 {
        disk.fill();
        let refused = place.until_refused(REFUSED).await;
        place.is_ready_and_says_why_not_all_goes_on().await;
        place.all_else_goes_on().await;
        place.node.logged("the database takes nothing that is published");
        disk.free();
        place.goes_on(refused).await;
        place.node.logged("the database takes again");
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_sqlite_whose_disk_is_full_takes_nothing_delivers_all_and_goes_on_when_there_is_space() {
    let Some(disk) = small_disk_or_skip("a_sqlite_whose_disk_is_full", MIB) else { return };
    let database = format!("sqlite:{}", disk.path().join("a.db").display());
    let mut place = Place::new(&database).await;
    is_full_and_free_twice(&mut place, &disk).await;
    // The log is the accepted ones alone, from the first on: its page of history, and the offsets that were answered.
    place.all_else_goes_on().await;
    let last = *place.accepted.last_key_value().unwrap().0;
    assert_eq!(last, place.accepted.len() as u64, "each offset was answered once");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_postgres_whose_tables_have_no_space_takes_nothing_delivers_all_and_goes_on_when_there_is() {
    let test = "a_postgres_whose_tables_have_no_space";
    let Some(disk) = small_disk_or_skip(test, MIB) else { return };
    let Some(postgres) = or_skip(test, Postgres::start()) else { return };
    let database = postgres.create_database_below(disk.path());
    assert_eq!(antiphon(&["migrate", "--database", &database.url()]).run().code, 0);
    let mut place = Place::new(&database.url()).await;
    is_full_and_free_twice(&mut place, &disk).await;
    place.log_is(&database.sql(ROWS));
}

#[tokio::test(flavor = "multi_thread")]
async fn a_postgres_whose_log_has_no_space_is_one_that_crashes_and_loses_nothing() {
    let test = "a_postgres_whose_log_has_no_space";
    let Some(disk) = small_disk_or_skip(test, MIB) else { return };
    let options = PostgresOptions {
        wal_below: Some(disk.path().to_owned()),
        settings: vec!["max_wal_size=32MB".into(), "min_wal_size=32MB".into(), "wal_recycle=off".into()],
        ..PostgresOptions::default()
    };
    let Some(mut postgres) = or_skip(test, Postgres::start_with(options)) else { return };
    let database = postgres.create_database();
    assert_eq!(antiphon(&["migrate", "--database", &database.url()]).run().code, 0);
    let mut place = Place::new(&database.url()).await;
    for _ in 0..5 {
        assert_eq!(place.next(TEXT).await.2["type"], "ACCEPTED");
    }
    disk.fill();
    // Not for longer than the fence stands: then clients are sent elsewhere, as whenever the database is away.
    let refused = place.until_refused(3).await;
    let said = |text: &str| postgres.log().wait_for(0, PATIENCE, |line| line.text.contains(text)).unwrap();
    println!("{}", said("PANIC"));
    // It can't recover there either.
    println!("{}", said("shutting down due to startup process failure"));
    eventually("it has ended", || postgres.exited().is_some());
    eventually("it is not ready", || place.node.status("/health/ready") == Some(503));
    place.catch_up().await;
    disk.free();
    postgres.restart().unwrap();
    place.goes_on(refused).await;
    place.log_is(&database.sql(ROWS));
}
