//! docs/operations/runbooks.md, as it is printed: its blocks are typed at real nodes with real clients, and what it says of each
//! step is looked at.
#![allow(clippy::unwrap_used)]

mod operator;

use std::{
    collections::BTreeMap,
    sync::{
        Arc,
        atomic::{AtomicBool, Ordering},
    },
    time::Duration,
};

use antiphon_client::{Client, Draft, Event, Raw, Received};
use antiphon_testkit::{Haproxy, Postgres, Redis, or_skip, postgres_or_skip, redis_or_skip, wait_until};
use operator::{Operator, PATIENCE, Site, antiphon, blocks};
use serde_json::{Value, json};

const PAGE: &str = include_str!("../../../docs/operations/runbooks.md");

/// Nodes on one PostgreSQL, whose database is named as on the page.
struct Place {
    sites: Vec<Site>,
    operator: Operator,
    key: String,
    database: String,
    postgres: Postgres,
    redis: Option<Redis>,
}

impl Place {
    fn new(test: &str, nodes: usize, with_redis: bool, config: &str) -> Option<Self> {
        let postgres = postgres_or_skip(test)?;
        let redis = if with_redis { Some(redis_or_skip(test)?) } else { None };
        let server = postgres.url();
        let database = server.replace("/postgres", "/antiphon");
        let mut operator = Operator::new(postgres.programs());
        operator.knows("DATABASE_URL", &database).knows("SERVER_URL", &server);
        operator.knows("PGDATA", &postgres.data().to_string_lossy());
        operator.types("createdb --maintenance-db=\"$SERVER_URL\" --owner=antiphon antiphon\n", |_, _| {});
        antiphon(&["migrate", "--database", &database]);
        let key = antiphon(&["key", "issue", "--database", &database]);
        operator.knows("KEY", &key);
        let mut place = Self { sites: Vec::new(), operator, key, database, postgres, redis };
        let config = place.config(with_redis, config);
        place.sites = (0..nodes).map(|_| Site::start(&config)).collect();
        place.all_trusted();
        Some(place)
    }

    fn config(&self, with_redis: bool, more: &str) -> String {
        let redis = self.redis.as_ref().filter(|_| with_redis);
        let redis = redis.map(|redis| format!("redis = '{}'\n", redis.url())).unwrap_or_default();
        format!("database = '{}'\nrate_limit = 0\n{redis}{more}", self.database)
    }

    fn all_trusted(&self) {
        for site in &self.sites {
            wait_until(PATIENCE, "ready and heard", || site.ready().1.contains("\"broker\":true"));
        }
    }

    /// Types a block for each node.
    fn types_for_each_node(&mut self, block: &str) -> Vec<String> {
        let typed = |site: &Site| {
            self.operator.knows("NODE", &site.process.url());
            self.operator.types(block, |_, _| panic!("no service"))
        };
        self.sites.iter().map(typed).collect()
    }

    /// Types a block about PostgreSQL or Redis.
    fn types(&mut self, block: &str) {
        let (postgres, redis) = (&mut self.postgres, &mut self.redis);
        self.operator.types(block, |verb, unit| match (verb, unit) {
            ("stop", "postgresql") => drop(postgres.shut_down(PATIENCE).expect("it ends")),
            ("start", "postgresql") => postgres.restart().unwrap(),
            ("start", "redis-server") => redis.as_mut().unwrap().restart().unwrap(),
            other => panic!("{other:?}"),
        });
    }

    fn token(&self, user: &str) -> String {
        let issue = ["token", "issue", "--tenant", "acme", "--user", user, "--database", &self.database];
        antiphon(&issue)
    }

    /// A request to the first node that has to succeed.
    #[track_caller]
    fn call(&self, request: &str, body: &Value) -> Value {
        let (status, said) = self.sites[0].call(request, &self.key, body);
        assert!((200..300).contains(&status), "{request}: {status} {said}");
        serde_json::from_str(&said).unwrap_or_default()
    }

    /// Publishes by the API at a node; offset, and whether it was there already.
    fn publish(&self, node: usize, topic: &str, text: &str) -> (u16, Value) {
        let path = format!("POST /api/v1/tenants/acme/topics/{topic}/entries");
        let (status, said) = self.sites[node].call(&path, &self.key, &json!({"text": text, "key": text}));
        (status, serde_json::from_str(&said).unwrap_or_default())
    }

    #[track_caller]
    fn accepted(&self, node: usize, topic: &str, text: &str) -> u64 {
        let (status, said) = self.publish(node, topic, text);
        assert_eq!(status, 201, "{said}");
        said["offset"].as_u64().unwrap()
    }

    async fn ear(&self, node: usize, token: &str, topics: &[&str], from: Value) -> Raw {
        let mut raw = Raw::connect(&self.sites[node].process.ws_url()).await.unwrap().deadline(PATIENCE);
        let frame = json!({"type": "SUBSCRIBE", "token": token, "topics": topics, "positions": from});
        raw.send_json(&frame).await.unwrap();
        raw.frame_of("SUBSCRIPTION_SUCCESSFUL").await.unwrap();
        raw
    }
}

async fn hears(raw: &mut Raw, text: &str) -> Value {
    let frame = raw.frame_of("MESSAGE").await.unwrap();
    assert_eq!(frame["text"], text);
    frame
}

#[tokio::test(flavor = "multi_thread")]
async fn what_the_page_says_of_a_lost_redis_is_so() {
    let Some(mut place) = Place::new("what_the_page_says_of_a_lost_redis", 2, true, "") else { return };
    let steps = blocks(PAGE, "Redis is lost");
    let [look, start, over] = &steps[..] else { panic!("three blocks") };
    let token = place.token("ann");
    let mut ear = place.ear(1, &token, &["news"], json!({})).await;
    place.accepted(0, "news", "before");
    hears(&mut ear, "before").await;

    place.redis.as_mut().unwrap().kill9();
    for site in &place.sites {
        wait_until(PATIENCE, "it is noticed", || site.ready().1.contains("\"broker\":false"));
    }
    for said in place.types_for_each_node(look) {
        assert!(said.contains("\"ready\":true") && said.contains("reason"), "{said}");
        assert!(said.contains("antiphon_broker_up 0") && said.contains("antiphon_broker_spare 1"), "{said}");
    }
    for number in 0..5 {
        let text = format!("without {number}");
        place.accepted(number % 2, "news", &text);
        hears(&mut ear, &text).await;
    }
    let heard_before: Vec<usize> =
        place.sites.iter().map(|site| site.said("the other nodes are heard")).collect();
    place.types(start);
    place.types_for_each_node(over);
    for (site, before) in place.sites.iter().zip(heard_before) {
        wait_until(PATIENCE, "the log says so", || site.said("the other nodes are heard") > before);
    }
    place.accepted(0, "news", "after");
    hears(&mut ear, "after").await;

    // For long: out of the configuration, one node after the other.
    place.redis.as_mut().unwrap().kill9();
    let without = place.config(false, "");
    for number in 0..2 {
        let other = 1 - number;
        let mut there = place.ear(other, &token, &["news"], json!({})).await;
        place.sites[number].configure(&without);
        place.sites[number].does("stop");
        place.sites[number].does("start");
        let site = &place.sites[number];
        wait_until(PATIENCE, "ready", || site.ready().0 == 200);
        let mut here = place.ear(number, &token, &["news"], json!({})).await;
        // In both directions, signals too.
        place.accepted(number, "news", &format!("from {number}"));
        hears(&mut there, &format!("from {number}")).await;
        hears(&mut here, &format!("from {number}")).await;
        place.accepted(other, "news", &format!("to {number}"));
        hears(&mut here, &format!("to {number}")).await;
        let mut signals = 0;
        while signals == 0 {
            // At most once: said again until one is heard.
            place.call("POST /api/v1/tenants/acme/topics/news/signals", &json!({"text": "typing"}));
            let mut raw = here.deadline(Duration::from_millis(500));
            signals += usize::from(raw.frame_of("SIGNAL").await.is_ok());
            here = raw;
        }
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn what_the_page_says_of_a_lost_postgresql_is_so() {
    let Some(mut place) = Place::new("what_the_page_says_of_a_lost_postgresql", 2, true, "") else { return };
    let steps = blocks(PAGE, "PostgreSQL is lost");
    let [look, start, over] = &steps[..] else { panic!("three blocks") };
    let mut ear = place.ear(1, &place.token("ann"), &["news"], json!({})).await;
    place.accepted(0, "news", "before");
    hears(&mut ear, "before").await;
    place.postgres.kill9();
    for site in &place.sites {
        wait_until(PATIENCE, "it is noticed", || site.ready().0 == 503);
    }
    for said in place.types_for_each_node(look) {
        assert!(said.contains("\"database\":false") && said.ends_with("503\n"), "{said}");
    }
    let (status, refused) = place.publish(0, "news", "lost");
    assert_eq!(status, 503, "{refused}");
    place.types(start);
    place.types_for_each_node(over);
    place.accepted(0, "news", "after");
    hears(&mut ear, "after").await;
}

/// How the page restores a backup, and what is gone before.
#[derive(Debug, Clone, Copy, PartialEq)]
enum Way {
    DataDirectory,
    NewServer,
    OverTheOld,
}

#[tokio::test(flavor = "multi_thread")]
async fn a_data_directory_is_restored_under_running_nodes_as_the_page_says() {
    restored("a_data_directory_is_restored", Way::DataDirectory).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_dump_is_restored_on_a_new_server_under_running_nodes_as_the_page_says() {
    restored("a_dump_is_restored_on_a_new_server", Way::NewServer).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_dump_is_restored_over_the_old_database_under_running_nodes_as_the_page_says() {
    restored("a_dump_is_restored_over_the_old_database", Way::OverTheOld).await;
}

async fn restored(test: &str, way: Way) {
    let Some(mut place) = Place::new(test, 2, true, "") else { return };
    let taken = blocks(PAGE, "A backup is taken");
    let steps = blocks(PAGE, "A backup is restored");
    let [copy, dump] = &taken[..] else { panic!("two blocks") };
    let [as_directory, on_new, over_old, wait] = &steps[..] else { panic!("four blocks") };

    // acme's directory changes after the backup, calm's does not.
    let (ann, ben) = (place.token("ann"), place.token("ben"));
    let calm = ["token", "issue", "--tenant", "calm", "--user", "cleo", "--database", &place.database];
    let cleo = antiphon(&calm);
    place.call("PUT /api/v1/tenants/acme/projects/kitchen/members/ben", &json!({}));
    let calm_publish = |place: &Place, topic: &str, text: &str| {
        let path = format!("POST /api/v1/tenants/calm/topics/{topic}/entries");
        place.call(&path, &json!({"text": text, "key": text}))
    };
    calm_publish(&place, "lost", "kept");
    let quiet = calm_publish(&place, "quiet", "kept");
    place.accepted(0, "news", "kept");
    place.types(if way == Way::DataDirectory { copy } else { dump });

    // After the backup: entries, a member, and more changes than will come again.
    let mut live = place.ear(1, &cleo, &["lost", "quiet"], json!({})).await;
    calm_publish(&place, "lost", "gone");
    let gone = hears(&mut live, "gone").await["position"].clone();
    place.accepted(0, "news", "gone");
    for number in 0..5 {
        place.call(&format!("PUT /api/v1/tenants/acme/users/new{number}"), &json!({}));
    }
    let mut members = place.ear(1, &ben, &["news"], json!({})).await;
    // What is held of acme at the second node is as new as that.
    place.accepted(1, "news", "held");
    hears(&mut members, "held").await;

    match way {
        Way::DataDirectory => {}
        Way::NewServer => place.postgres.restart_empty().unwrap(),
        Way::OverTheOld => {}
    }
    let block = match way {
        Way::DataDirectory => as_directory,
        Way::NewServer => on_new,
        Way::OverTheOld => over_old,
    };
    place.types(block);
    place.types_for_each_node(wait);

    // Of calm only the topic whose end is gone is reset, once, over the connection that holds.
    let reset = live.frame_of("RESET").await.unwrap();
    assert_eq!(reset["topic"], "lost", "{reset}");
    place.sites[1].process.wait_for_line(PATIENCE, "the log is not the one that was delivered");
    calm_publish(&place, "quiet", "goes on");
    let next = live.frame().await.unwrap();
    assert_eq!((&next["type"], &next["text"]), (&json!("MESSAGE"), &json!("goes on")), "{next}");
    assert_eq!(next["offset"], quiet["offset"].as_u64().unwrap() + 1);
    calm_publish(&place, "lost", "new");
    let next = live.frame().await.unwrap();
    assert_eq!(
        (&next["type"], &next["text"], &next["offset"]),
        (&json!("MESSAGE"), &json!("new"), &json!(2))
    );
    // And for whoever was away meanwhile.
    let mut back = Raw::connect(&place.sites[0].process.ws_url()).await.unwrap().deadline(PATIENCE);
    let frame = json!({"type": "SUBSCRIBE", "token": cleo, "topics": ["lost", "quiet"],
        "positions": {"lost": gone, "quiet": quiet["position"]}});
    back.send_json(&frame).await.unwrap();
    let mut heard = Vec::new();
    while heard.len() < 2 {
        let frame = back.frame().await.unwrap();
        match frame["type"].as_str().unwrap() {
            "RESET" => heard.push(format!("{} {}", frame["topic"], frame["reason"])),
            "MESSAGE" => heard.push(format!("{}", frame["text"])),
            _ => {}
        }
    }
    heard.sort_unstable();
    assert_eq!(heard, ["\"goes on\"", "\"lost\" \"FORK\""]);

    // acme's clients are let go, and who they are is read anew.
    let code = loop {
        match members.receive().await.unwrap() {
            Received::Closed(code, _) => break code,
            Received::Ended => panic!("it ends with a code"),
            _ => {}
        }
    };
    assert_eq!(code, 1012);
    place.sites[1].process.wait_for_line(PATIENCE, "the directory is not the one that was read");
    // A removal whose number the node has seen before, for another change.
    let mut members = place.ear(1, &ben, &["news"], json!({})).await;
    let mut others = place.ear(1, &ann, &["news"], json!({})).await;
    place.call("DELETE /api/v1/tenants/acme/projects/kitchen/members/ben", &Value::Null);
    let secret = json!({"text": "of the kitchen", "projectId": "kitchen"});
    place.call("POST /api/v1/tenants/acme/topics/news/entries", &secret);
    // What the backup holds is a duplicate; what is gone is taken again.
    let (status, again) = place.publish(0, "news", "kept");
    assert_eq!((status, &again["duplicate"]), (200, &json!(true)), "{again}");
    let (status, again) = place.publish(0, "news", "gone");
    assert_eq!((status, &again["offset"]), (201, &json!(3)), "{again}");
    hears(&mut members, "gone").await;
    hears(&mut others, "gone").await;
}

/// A client of the library that keeps count of what it heard.
struct Listener {
    heard: tokio::task::JoinHandle<Vec<u64>>,
}

impl Listener {
    async fn new(url: &str, token: &str, last: Arc<parking_lot::Mutex<Option<u64>>>) -> Self {
        let client = Client::builder(url).token(token).connect().await.unwrap();
        let mut subscription = client.subscribe(["news"]).await.unwrap();
        let heard = tokio::spawn(async move {
            let _client = client;
            let mut heard = Vec::new();
            loop {
                if last.lock().is_some_and(|last| heard.last().is_some_and(|heard| *heard >= last)) {
                    return heard;
                }
                // poll: whether it was the last.
                let next = tokio::time::timeout(Duration::from_millis(200), subscription.next()).await;
                match next {
                    Err(_) => {}
                    Ok(Some(Event::Message(message))) => heard.push(message.offset),
                    Ok(Some(event @ (Event::Reset { .. } | Event::Terminated { .. }))) => panic!("{event:?}"),
                    Ok(Some(_)) => {}
                    Ok(None) => panic!("the subscription has ended"),
                }
            }
        });
        Self { heard }
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_rolling_upgrade_as_the_page_says_loses_nothing() {
    let test = "a_rolling_upgrade";
    let config = "drain_delay = '1s'\ndrain = '2s'\n";
    let Some(mut place) = Place::new(test, 3, true, config) else { return };
    let addresses: Vec<_> = place.sites.iter().map(|site| site.process.address()).collect();
    let Some(haproxy) = or_skip(test, Haproxy::in_front_of(&addresses)) else { return };
    let steps = blocks(PAGE, "A rolling upgrade");
    let [migrate, node] = &steps[..] else { panic!("two blocks") };

    let token = place.token("ann");
    let last = Arc::new(parking_lot::Mutex::new(None));
    let mut listeners = Vec::new();
    for _ in 0..9 {
        listeners.push(Listener::new(&haproxy.ws_url(), &token, last.clone()).await);
    }
    let is_over = Arc::new(AtomicBool::new(false));
    let publisher = tokio::spawn({
        let (is_over, url, token) = (is_over.clone(), haproxy.ws_url(), token.clone());
        async move {
            let client = Client::builder(url).token(token).connect().await.unwrap();
            let mut accepted = BTreeMap::new();
            while !is_over.load(Ordering::Relaxed) {
                let text = accepted.len().to_string();
                let answer = client.publish(Draft::text(text.clone()).topic("news")).await.unwrap();
                accepted.insert(answer.offset, text);
                // poll: the pace of a load is a time.
                tokio::time::sleep(Duration::from_millis(5)).await;
            }
            accepted
        }
    });
    tokio::task::block_in_place(|| {
        place.types(migrate);
        let Place { sites, operator, .. } = &mut place;
        for site in sites {
            operator.knows("NODE", &site.process.url());
            operator.types(node, |verb, unit| {
                assert_eq!(unit, "antiphon");
                site.does(verb);
            });
        }
    });
    is_over.store(true, Ordering::Relaxed);
    let accepted = publisher.await.unwrap();
    let offsets: Vec<u64> = accepted.keys().copied().collect();
    assert_eq!(offsets, (1..=offsets.len() as u64).collect::<Vec<_>>(), "each is in the log once");
    *last.lock() = offsets.last().copied();
    for listener in listeners {
        let heard = tokio::time::timeout(PATIENCE, listener.heard).await.unwrap().unwrap();
        assert_eq!(heard, offsets, "each of them, once, in order");
    }
    println!("{} entries for 9 clients over three restarts", offsets.len());
}
