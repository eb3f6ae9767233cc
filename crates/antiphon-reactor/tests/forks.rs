//! Positions of histories that the log is not: after a restored backup, a log whose end is lost, or a failover that lost
//! commits, even where new entries have overtaken the old numbers.

#![allow(missing_docs, clippy::unwrap_used)]

mod backup;
mod crowd;
mod support;

use std::{sync::Arc, time::Duration};

use antiphon_core::{Limits, Retention, Store, TrimCursor};
use antiphon_node::{Caller, Catchup, Node};
use antiphon_protocol::{
    ClusterSecret, Content, Draft, Epoch, Link, Position, ResetReason, Topic, TopicName,
};
use antiphon_sql::OpenOptions;
use backup::{Backups, InMemory, InPostgres};
use crowd::Random;
use serde_json::json;
use support::{Client, Cluster, Heard, PATIENCE, tenant, wait_until};

const CASES: usize = 10_000;
const CASES_ON_POSTGRES: usize = 200;
/// Cases on one store: each trimming looks at all that is there.
const CASES_OF_A_CLUSTER: usize = 250;
/// Positions that are tried in each case, beside the forged ones.
const TRIED: usize = 8;

/// Nothing but what a case does reads or changes anything.
fn quiet() -> Limits {
    let never = Duration::from_secs(3600);
    Limits { tick: never, retention: None, lease_renewal: never, ..Limits::default() }
}

/// What a log is, told by what was done to it: the position of each entry, and that of nothing at first.
#[derive(Clone)]
struct History {
    places: Vec<Position>,
    trimmed: u64,
}

impl History {
    fn head(&self) -> Position {
        *self.places.last().unwrap()
    }

    /// Why a stream can't go on from there; none: it can.
    fn verdict(&self, position: Position) -> Option<ResetReason> {
        let held = self.places.get(position.offset as usize);
        let is_known = position.offset >= self.trimmed;
        if is_known && held.is_some_and(|held| held.link == position.link) {
            None
        } else if position.epoch != self.head().epoch {
            Some(ResetReason::Epoch)
        } else if position.offset > self.head().offset {
            Some(ResetReason::Ahead)
        } else if !is_known {
            Some(ResetReason::Retention)
        } else {
            Some(ResetReason::Fork)
        }
    }
}

struct Log<'a> {
    node: &'a Node,
    store: &'a dyn Store,
    topic: Topic,
    history: History,
    /// Every position that was ever good.
    issued: Vec<Position>,
    copies: Vec<(History, usize)>,
}

impl<'a> Log<'a> {
    fn new(node: &'a Node, store: &'a dyn Store, secret: &ClusterSecret, name: &str) -> Self {
        let topic = Topic::new(tenant("acme"), TopicName::parse(name).unwrap());
        let origin = secret.origin(&topic, secret.first_epoch(&topic));
        let history = History { places: vec![origin], trimmed: 0 };
        Self { node, store, topic, history, issued: vec![origin], copies: Vec::new() }
    }

    async fn append(&mut self, entries: u64) {
        let draft = |_| Draft {
            topic: self.topic.clone(),
            author: None,
            named_project: None,
            key: None,
            content: Content::text("x").unwrap(),
        };
        let drafts = (0..entries).map(draft).collect();
        let appended = self.store.append(&[(1, drafts)]).await.unwrap().remove(0).unwrap();
        let places: Vec<Position> = appended.iter().map(|one| one.entry.position).collect();
        self.issued.extend(&places);
        self.history.places.extend(places);
    }

    async fn trim(&mut self, keeps: u64) {
        let keep = Retention { entries: Some(keeps), ..Retention::default() };
        let mut from = Some(TrimCursor::default());
        while let Some(cursor) = from {
            from = self.store.trim(&keep, cursor).await.unwrap().next;
        }
        self.history.trimmed = self.history.trimmed.max(self.history.head().offset.saturating_sub(keeps));
    }

    /// What may befall a log.
    async fn live(&mut self, backups: &mut dyn Backups, random: &mut Random) {
        self.append(1 + random.below(5)).await;
        for _ in 0..3 + random.below(8) {
            match random.below(10) {
                0..5 => self.append(1 + random.below(5)).await,
                5..7 => self.copies.push((self.history.clone(), backups.copy(&self.topic))),
                7..9 if !self.copies.is_empty() => {
                    let (history, copy) = &self.copies[random.below(self.copies.len() as u64) as usize];
                    backups.restore(&self.topic, *copy);
                    self.history = history.clone();
                }
                _ => self.trim(random.below(6)).await,
            }
        }
    }

    /// Subscribes from here, and reads all that follows.
    async fn resume(&self, caller: &Arc<Caller>, position: Position) {
        let what = || format!("{position} of {:?}", self.history.places);
        let subscribed = self.node.subscribe(caller, &self.topic, Some(position)).await.unwrap();
        let verdict = self.history.verdict(position);
        assert_eq!(subscribed.reset, verdict, "{}", what());
        assert_eq!(subscribed.recovered, verdict.is_none(), "{}", what());
        let head = self.history.head();
        let from = if verdict.is_none() { Position { epoch: head.epoch, ..position } } else { head };
        assert_eq!(subscribed.from, from, "{}", what());
        let mut at = from;
        while at != head {
            let page = self.node.catch_up(subscribed.subscription.feed(), at).await;
            let Catchup::Page(page, upto) = page else { panic!("no page after {at} of {}", what()) };
            for delivery in &page {
                at = delivery.position.unwrap();
                assert_eq!(Some(&at), self.history.places.get(at.offset as usize), "{}", what());
            }
            assert_eq!(at, upto);
        }
        // A subscriber that stood there while the log became what it is, and is doubted.
        if position.epoch == head.epoch {
            match (self.node.catch_up(subscribed.subscription.feed(), position).await, verdict) {
                (Catchup::Page(..), None) => {}
                (Catchup::Reset(reason, from), Some(verdict)) => {
                    assert_eq!((reason, from), (verdict, head), "{}", what());
                }
                _ => panic!("not the answer to {}", what()),
            }
        }
    }

    async fn try_positions(&self, caller: &Arc<Caller>, random: &mut Random) {
        let head = self.history.head();
        let any = |random: &mut Random| self.issued[random.below(self.issued.len() as u64) as usize];
        let mut tried: Vec<Position> = (0..TRIED).map(|_| any(random)).collect();
        let strange = Link(random.below(u64::MAX));
        tried.push(Position { epoch: Epoch(7), link: strange, ..any(random) });
        tried.push(Position { epoch: Epoch(7), ..any(random) });
        tried.push(Position { link: strange, ..any(random) });
        tried.push(Position { offset: head.offset + 1 + random.below(9), link: strange, ..head });
        tried.push(head);
        for position in tried {
            self.resume(caller, position).await;
        }
    }
}

#[test]
fn of_ten_thousand_logs_every_position_is_judged_by_what_became_of_its_history() {
    let mut random = Random(crowd::seed());
    for first in (0..CASES).step_by(CASES_OF_A_CLUSTER) {
        let cluster = Cluster::with(quiet());
        let node = cluster.node();
        let mut backups = InMemory { store: cluster.store.clone(), copies: Vec::new() };
        cluster.runtime.block_on(async {
            let caller = node.node.authenticate("acme/ann").await.unwrap();
            for case in first..first + CASES_OF_A_CLUSTER {
                let mut log = Log::new(&node.node, &*cluster.store, &cluster.secret, &format!("t{case}"));
                log.live(&mut backups, &mut random).await;
                log.try_positions(&caller, &mut random).await;
            }
        });
        node.reactor.kill();
    }
}

#[test]
fn of_two_hundred_logs_on_postgres_every_position_is_judged_by_what_became_of_its_history() {
    let test = "of_two_hundred_logs_on_postgres";
    let Some(server) = antiphon_testkit::shared_postgres(test) else { return };
    let mut random = Random(crowd::seed());
    let cluster = Cluster::with(quiet());
    let database = antiphon_sql::Database::parse_url(&server.url()).unwrap();
    let sql = cluster.runtime.block_on(async {
        database.migrate(&OpenOptions::default()).await.unwrap();
        database.open(OpenOptions::default()).await.unwrap()
    });
    let node = cluster.node_on(sql.store.clone(), &sql.secret);
    let mut backups = InPostgres::new(server.clone());
    cluster.runtime.block_on(async {
        let caller = node.node.authenticate("acme/ann").await.unwrap();
        for case in 0..CASES_ON_POSTGRES {
            let mut log = Log::new(&node.node, &*sql.store, &sql.secret, &format!("t{case}"));
            log.live(&mut backups, &mut random).await;
            log.try_positions(&caller, &mut random).await;
        }
    });
}

/// A live client's stream: what it was told, checked as it comes.
struct Stream {
    client: Client,
    at: String,
    resets: Vec<String>,
    texts: Vec<String>,
}

impl Stream {
    fn of(client: Client) -> Self {
        Self { client, at: String::new(), resets: Vec::new(), texts: Vec::new() }
    }

    /// Until it has heard this text.
    fn hear(&mut self, last: &str) {
        while self.texts.last().is_none_or(|text| text != last) {
            match self.client.hear(PATIENCE) {
                Heard::Text(frame) if frame["type"] == "RESET" => {
                    self.resets.push(frame["reason"].as_str().unwrap().to_owned());
                    self.at = frame["position"].as_str().unwrap().to_owned();
                    self.texts.clear();
                }
                Heard::Text(frame) if frame["type"] == "MESSAGE" => {
                    let offset =
                        |position: &str| -> u64 { position.split('-').nth(1).unwrap().parse().unwrap() };
                    let position = frame["position"].as_str().unwrap();
                    if !self.at.is_empty() {
                        assert_eq!(offset(position), offset(&self.at) + 1, "behind {:?}", self.texts);
                    }
                    self.at = position.to_owned();
                    self.texts.push(frame["text"].as_str().unwrap().to_owned());
                }
                Heard::Text(_) | Heard::Ping => {}
                other => panic!("waiting for {last}: {other:?} after {:?}", self.texts),
            }
        }
    }

    /// Everything that it heard since it was reset was said after the restore, and it was reset once.
    fn was_not_spliced(&self) {
        // The second if the log was looked at before new entries had overtaken the old numbers.
        assert!(self.resets == ["FORK"] || self.resets == ["AHEAD"], "{:?}", self.resets);
        assert!(self.texts.iter().all(|text| text.starts_with("new")), "{:?}", self.texts);
        assert!(self.texts.is_sorted(), "{:?}", self.texts);
    }
}

/// Entries that no bell is rung for.
async fn append_unheard(store: &dyn Store, topic: &Topic, entries: usize) {
    let draft = |_| Draft {
        topic: topic.clone(),
        author: None,
        named_project: None,
        key: None,
        content: Content::text("new 00").unwrap(),
    };
    if entries > 0 {
        let drafts = (0..entries).map(draft).collect();
        store.append(&[(1, drafts)]).await.unwrap().remove(0).unwrap();
    }
}

/// A backup of five entries is put back under two nodes whose clients have heard ten, and new ones overtake the old numbers.
fn overtaken(
    cluster: &Cluster,
    store: &dyn Store,
    unheard: usize,
    backups: &mut dyn Backups,
    nodes: &[support::Running; 2],
    between: impl FnOnce(),
) {
    let topic = Topic::of_tenant(&tenant("acme"));
    let mut ann = nodes[0].subscribed("acme/ann");
    let mut streams = [nodes[0].subscribed("acme/bob"), nodes[1].subscribed("acme/bob")].map(Stream::of);
    let mut copy = 0;
    for number in 1..=10 {
        ann.publish(&format!("old {number:02}"));
        if number == 5 {
            copy = backups.copy(&topic);
        }
    }
    streams.iter_mut().for_each(|stream| stream.hear("old 10"));
    assert!(streams.iter().all(|stream| stream.texts.len() == 10 && stream.resets.is_empty()));
    let was = streams[0].at.clone();
    between();
    backups.restore(&topic, copy);
    cluster.runtime.block_on(append_unheard(store, &topic, unheard));
    let mut author = nodes[0].connect();
    author.say(json!({"type": "PING", "token": "acme/ann"}));
    author.expect("PONG");
    let mut number = 0;
    let mut publish = || {
        number += 1;
        let text = format!("new {number:02}");
        // The database may only just have come back.
        wait_until("a publish is taken", || {
            author.say(json!({"type": "MESSAGE", "text": text, "key": text}));
            loop {
                match author.hear(PATIENCE) {
                    Heard::Text(frame) if frame["type"] == "ACCEPTED" => return true,
                    Heard::Text(frame) if frame["type"] == "ERROR" => return false,
                    _ => {}
                }
            }
        });
        text
    };
    for _ in 0..8 {
        publish();
    }
    for stream in &mut streams {
        // Said again and again until it is heard: the reset may have come behind what was said before.
        while stream.resets.is_empty() {
            stream.hear_reset(&mut publish);
        }
    }
    let last = publish();
    streams.iter_mut().for_each(|stream| stream.hear(&last));
    streams.iter().for_each(Stream::was_not_spliced);
    // Whoever was away meanwhile learns it too, at either node.
    for node in nodes {
        let mut away = node.connect();
        away.say(json!({"type": "SUBSCRIBE", "token": "acme/bob", "positions": {"acme": was}}));
        assert_eq!(away.find("RESET")["reason"], "FORK");
    }
}

impl Stream {
    fn hear_reset(&mut self, publish: &mut impl FnMut() -> String) {
        publish();
        while let Heard::Text(frame) = self.client.hear(Duration::from_millis(200)) {
            if frame["type"] == "RESET" {
                self.resets.push(frame["reason"].as_str().unwrap().to_owned());
                self.at = frame["position"].as_str().unwrap().to_owned();
                self.texts.clear();
                return;
            }
            assert!(
                frame["type"] != "MESSAGE" || !frame["text"].as_str().unwrap().starts_with("new"),
                "spliced: {frame}"
            );
        }
    }
}

#[test]
fn a_live_client_is_told_why_its_stream_can_not_go_on() {
    let topic = Topic::of_tenant(&tenant("acme"));
    // The bells alone tell of it.
    let slow = Limits { rate_per_second: 0, tick: Duration::from_secs(3600), ..Limits::default() };
    let cluster = Cluster::with(slow);
    let nodes = [cluster.node(), cluster.node()];
    let mut live = nodes[0].subscribed("acme/bob");
    let keep = Retention { entries: Some(2), ..Retention::default() };
    cluster.runtime.block_on(async {
        append_unheard(&*cluster.store, &topic, 5).await;
        let mut from = Some(TrimCursor::default());
        while let Some(cursor) = from {
            from = cluster.store.trim(&keep, cursor).await.unwrap().next;
        }
    });
    nodes[1].subscribed("acme/ann").publish("what rings");
    assert_eq!(live.expect("RESET")["reason"], "RETENTION");

    let quick = Limits { rate_per_second: 0, tick: Duration::from_millis(50), ..Limits::default() };
    let cluster = Cluster::with(quick);
    let node = cluster.node();
    let mut live = node.subscribed("acme/bob");
    let copy = cluster.store.copy(&topic);
    node.subscribed("acme/ann").publish("lost");
    live.expect("MESSAGE");
    cluster.store.restore(&topic, &copy);
    assert_eq!(live.expect("RESET")["reason"], "AHEAD");
    node.subscribed("acme/ann").publish("new");
    assert_eq!(live.expect("MESSAGE")["text"], "new");
}

#[test]
fn a_restored_log_is_never_spliced_onto_what_live_clients_have_heard() {
    // Only the bells tell of it: what they bring follows nothing that was delivered.
    let slow = Limits { rate_per_second: 0, tick: Duration::from_secs(3600), ..Limits::default() };
    // Only the tick tells of it.
    let quick = Limits { rate_per_second: 0, tick: Duration::from_millis(50), ..Limits::default() };
    // With as many entries of the new history unheard as were lost, the next one has just the number that is waited for.
    for (limits, unheard) in [(slow.clone(), 0), (slow, 5), (quick, 0)] {
        let cluster = Cluster::with(limits);
        let nodes = [cluster.node(), cluster.node()];
        let mut backups = InMemory { store: cluster.store.clone(), copies: Vec::new() };
        overtaken(&cluster, &*cluster.store, unheard, &mut backups, &nodes, || {});
    }
}

#[test]
fn a_postgres_that_comes_back_with_a_backup_resets_live_clients_once_and_goes_on() {
    let test = "a_postgres_that_comes_back_with_a_backup";
    let Some(mut server) = antiphon_testkit::postgres_or_skip(test) else { return };
    let made = server.create_database();
    let cluster = Cluster::with(Limits { rate_per_second: 0, ..Limits::default() });
    let database = antiphon_sql::Database::parse_url(&made.url()).unwrap();
    let sql = cluster.runtime.block_on(async {
        database.migrate(&OpenOptions::default()).await.unwrap();
        database.open(OpenOptions::default()).await.unwrap()
    });
    let nodes =
        [cluster.node_on(sql.store.clone(), &sql.secret), cluster.node_on(sql.store.clone(), &sql.secret)];
    let mut backups = InPostgres::new(made);
    overtaken(&cluster, &*sql.store, 0, &mut backups, &nodes, || server.restart().unwrap());
}
