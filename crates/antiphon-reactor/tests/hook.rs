//! What users say while the application is asked about it, on sockets.
#![allow(missing_docs, clippy::unwrap_used)]

mod support;

use std::{sync::Arc, time::Duration};

use antiphon_core::{Limits, PublishHook, SeamError, Store, Verdict};
use antiphon_memory::MemoryStore;
use antiphon_node::By;
use antiphon_protocol::{Content, Draft, Position, Topic, UserId};
use async_trait::async_trait;
use parking_lot::Mutex;
use serde_json::{Value, json};
use support::{Client, Cluster, PATIENCE, Running, tenant, wait_until};
use tokio::sync::Notify;

/// An application that does what a message's first word says, and notes what it was asked and how long the log was then.
struct Application {
    store: Arc<MemoryStore>,
    asked: Mutex<Vec<(String, u64)>>,
    go_on: Notify,
}

#[async_trait]
impl PublishHook for Application {
    async fn ask(&self, _: &UserId, draft: &Draft) -> Result<Verdict, SeamError> {
        let text: String = serde_json::from_str(draft.content.json()).unwrap();
        let length = self.store.heads(std::slice::from_ref(&draft.topic)).await.unwrap()[0].offset;
        self.asked.lock().push((text.clone(), length));
        match text.split(' ').next().unwrap() {
            "hang" => std::future::pending().await,
            "wait" => self.go_on.notified().await,
            "refuse" => return Ok(Verdict::Refuse("not\u{0} at night".into())),
            "fail" => return Err(SeamError::unavailable("the application", "secret-inner-cause")),
            "panic" => panic!("as it was told"),
            "lie" => {
                let position = Position::parse("0000000000000001-1-0000000000000001").unwrap();
                return Ok(Verdict::Published { id: uuid::Uuid::nil(), position, duplicate: false });
            }
            "mine" => {
                let appended = self.store.append(&[(1, vec![draft.clone()])]).await.unwrap();
                let one = appended[0].as_ref().unwrap()[0].clone();
                let (id, position, duplicate) = (one.entry.id, one.entry.position, one.duplicate);
                return Ok(Verdict::Published { id, position, duplicate });
            }
            _ => {}
        }
        Ok(Verdict::Publish)
    }
}

struct House {
    cluster: Cluster,
    application: Arc<Application>,
    running: Running,
}

impl House {
    fn new(limits: Limits) -> Self {
        let mut cluster = Cluster::with(Limits { rate_per_second: 0, ..limits });
        let (store, asked, go_on) = (cluster.store.clone(), Mutex::default(), Notify::new());
        let application = Arc::new(Application { store, asked, go_on });
        cluster.hook = Some(application.clone());
        let running = cluster.node();
        Self { cluster, application, running }
    }

    fn asked(&self) -> Vec<String> {
        self.application.asked.lock().iter().map(|(text, _)| text.clone()).collect()
    }

    fn user(&self, token: &str) -> Client {
        self.running.subscribed(token)
    }

    fn wait_asked(&self, text: &str) {
        wait_until("the application is asked", || self.asked().iter().any(|one| one == text));
    }
}

fn say(client: &mut Client, text: &str) {
    client.say(json!({"type": "MESSAGE", "text": text, "ref": text}));
}

/// The next answer: ACCEPTED or ERROR, whose `ref` this is.
#[track_caller]
fn answer(client: &mut Client, of: &str) -> Value {
    loop {
        match client.hear(PATIENCE) {
            support::Heard::Text(frame) if frame["type"] == "ACCEPTED" || frame["type"] == "ERROR" => {
                assert_eq!(frame["ref"], of, "{frame}");
                return frame;
            }
            support::Heard::Text(_) | support::Heard::Ping => {}
            other => panic!("expected an answer to {of}, heard {other:?}"),
        }
    }
}

fn short() -> Limits {
    Limits { publish_hook_timeout: Duration::from_millis(200), ..Limits::default() }
}

#[test]
fn each_message_is_asked_about_after_those_before_it_are_in_the_log_and_answered_in_that_order() {
    let house = House::new(Limits::default());
    let mut ann = house.user("acme/ann");
    let texts: Vec<String> =
        (0..100).map(|n| format!("{} {n}", ["allow", "mine", "refuse", "allow", "fail"][n % 5])).collect();
    texts.iter().for_each(|text| say(&mut ann, text));
    let mut offsets = Vec::new();
    for text in &texts {
        let frame = answer(&mut ann, text);
        assert_eq!(
            frame["type"] == "ACCEPTED",
            text.starts_with("allow") || text.starts_with("mine"),
            "{frame}"
        );
        offsets.extend(frame["offset"].as_u64());
    }
    assert_eq!(offsets, (1..=60).collect::<Vec<u64>>());
    let asked = house.application.asked.lock().clone();
    let mut length = 0;
    for (text, (asked, then)) in texts.iter().zip(&asked) {
        assert_eq!((text, length), (asked, *then));
        length += u64::from(text.starts_with("allow") || text.starts_with("mine"));
    }
}

#[test]
fn what_the_application_says_is_what_the_client_hears_and_never_an_inner_cause() {
    let house = House::new(short());
    let mut ann = house.user("acme/ann");
    for text in ["refuse", "fail", "panic", "lie", "hang", "allow"] {
        say(&mut ann, text);
    }
    let refused = answer(&mut ann, "refuse");
    assert_eq!((&refused["code"], &refused["text"]), (&json!("FORBIDDEN"), &json!("not at night")));
    assert_eq!(refused.get("retryAfterMs"), None);
    for text in ["fail", "panic", "lie", "hang"] {
        let frame = answer(&mut ann, text);
        assert_eq!(frame["code"], "UNAVAILABLE", "{frame}");
        assert!(
            frame["retryAfterMs"].as_u64().unwrap() > 0 && !frame.to_string().contains("secret"),
            "{frame}"
        );
    }
    assert_eq!(answer(&mut ann, "allow")["offset"], 1);
}

#[test]
fn a_hook_that_hangs_for_one_connection_holds_up_no_other_even_of_the_same_user() {
    let house = House::new(Limits { publish_hook_timeout: PATIENCE * 3, ..Limits::default() });
    let (mut stuck, mut other, mut bob) =
        (house.user("acme/ann"), house.user("acme/ann"), house.user("acme/bob"));
    say(&mut stuck, "hang");
    say(&mut stuck, "allow behind");
    house.wait_asked("hang");
    say(&mut other, "allow other");
    say(&mut bob, "allow bob");
    assert_eq!(answer(&mut other, "allow other")["type"], "ACCEPTED");
    assert_eq!(answer(&mut bob, "allow bob")["type"], "ACCEPTED");
    assert!(!house.asked().contains(&"allow behind".to_owned()));
}

#[test]
fn calls_are_bounded_and_one_tenant_has_half_of_them() {
    let limits =
        Limits { publish_hook_calls: 4, publish_hook_wait: Duration::from_millis(300), ..Limits::default() };
    let house = House::new(limits);
    let mut anns: Vec<Client> = (0..3).map(|_| house.user("acme/ann")).collect();
    let mut gus = house.user("globex/gus");
    // Two of acme's hang, which is its share: the third waits in vain.
    for (n, ann) in anns.iter_mut().enumerate().take(2) {
        say(ann, &format!("wait {n}"));
        house.wait_asked(&format!("wait {n}"));
    }
    say(&mut anns[2], "allow third");
    let frame = answer(&mut anns[2], "allow third");
    assert_eq!(frame["code"], "UNAVAILABLE", "{frame}");
    assert!(!house.asked().contains(&"allow third".to_owned()));
    say(&mut gus, "allow gus");
    assert_eq!(answer(&mut gus, "allow gus")["type"], "ACCEPTED");
    // What was waited for goes on, and its call is free again.
    house.application.go_on.notify_one();
    house.application.go_on.notify_one();
    assert_eq!(answer(&mut anns[0], "wait 0")["type"], "ACCEPTED");
    assert_eq!(answer(&mut anns[1], "wait 1")["type"], "ACCEPTED");
    say(&mut anns[2], "allow again");
    assert_eq!(answer(&mut anns[2], "allow again")["type"], "ACCEPTED");
}

#[test]
fn what_waits_is_bounded_over_all_connections() {
    let house = House::new(Limits { publish_hook_queue: 3, ..Limits::default() });
    let (mut ann, mut bob) = (house.user("acme/ann"), house.user("acme/bob"));
    for text in ["wait", "allow 1", "allow 2"] {
        say(&mut ann, text);
    }
    house.wait_asked("wait");
    let waiting = || house.running.node.encode_metrics().contains("antiphon_publish_hook_queue 3\n");
    wait_until("three wait", waiting);
    say(&mut bob, "allow bob");
    assert_eq!(answer(&mut bob, "allow bob")["code"], "UNAVAILABLE");
    house.application.go_on.notify_one();
    for text in ["wait", "allow 1", "allow 2"] {
        assert_eq!(answer(&mut ann, text)["type"], "ACCEPTED");
    }
    say(&mut bob, "allow again");
    assert_eq!(answer(&mut bob, "allow again")["type"], "ACCEPTED");
}

#[test]
fn who_may_not_publish_is_not_asked_about_and_whose_right_ends_meanwhile_does_not_publish() {
    let house = House::new(Limits::default());
    house.cluster.member("p1", "ann", true);
    let (mut ann, mut bob) = (house.user("acme/ann"), house.user("acme/bob"));
    bob.say(json!({"type": "MESSAGE", "topic": "project:p1", "text": "allow bob", "ref": "allow bob"}));
    assert_eq!(answer(&mut bob, "allow bob")["code"], "FORBIDDEN");
    assert!(house.asked().is_empty());
    ann.say(json!({"type": "MESSAGE", "topic": "project:p1", "text": "wait", "ref": "wait"}));
    house.wait_asked("wait");
    let remove = async {
        use antiphon_core::Directory;
        house
            .cluster
            .directory
            .delete_member(&tenant("acme"), &support::project("p1"), &support::user("ann"))
            .await
    };
    house.cluster.runtime.block_on(remove).unwrap();
    house.application.go_on.notify_one();
    assert_eq!(answer(&mut ann, "wait")["code"], "FORBIDDEN");
    let topic = Topic::new(tenant("acme"), antiphon_protocol::TopicName::parse("project:p1").unwrap());
    let heads = house.cluster.runtime.block_on(house.cluster.store.heads(&[topic])).unwrap();
    assert_eq!(heads[0].offset, 0);
}

#[test]
fn signals_and_the_applications_own_publishes_are_not_asked_about_and_a_signal_overtakes_no_message() {
    let house = House::new(Limits::default());
    let (mut ann, mut bob) = (house.user("acme/ann"), house.user("acme/bob"));
    say(&mut ann, "wait");
    ann.say(json!({"type": "SIGNAL", "text": "behind"}));
    house.wait_asked("wait");
    let topic = Topic::of_tenant(&tenant("acme"));
    let content = Content::text("refuse the application").unwrap();
    let draft = Draft { topic, author: None, named_project: None, key: None, content };
    let own = house.running.node.publish(&By::Key, vec![draft]);
    assert_eq!(house.cluster.runtime.block_on(own).unwrap()[0].entry.position.offset, 1);
    assert_eq!(bob.find("MESSAGE")["offset"], 1);
    house.application.go_on.notify_one();
    assert_eq!(bob.expect("MESSAGE")["text"], "wait");
    assert_eq!(bob.expect("SIGNAL")["text"], "behind");
    assert_eq!(house.asked(), ["wait"]);
}

#[test]
fn a_node_ends_while_its_hook_hangs() {
    let house = House::new(Limits { publish_hook_timeout: PATIENCE * 3, ..Limits::default() });
    let mut ann = house.user("acme/ann");
    say(&mut ann, "hang");
    house.wait_asked("hang");
    house.running.reactor.drain(Duration::from_millis(100));
    let ended = house.running.node.tasks().end(PATIENCE);
    assert!(house.cluster.runtime.block_on(ended), "a task is still there");
}
