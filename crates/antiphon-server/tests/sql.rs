//! Commit = publish, with real parts: an application's transactions on PostgreSQL, two nodes, sockets at both.
#![allow(clippy::unwrap_used)]

mod support;

use std::{
    collections::HashSet,
    io::{BufRead, BufReader},
    process::{Command, Stdio},
    sync::{
        Arc,
        atomic::{AtomicBool, Ordering},
    },
    time::Duration,
};

use antiphon_client::Raw;
use antiphon_testkit::unique;
use serde_json::{Value, json};
use support::{
    node::{Node, PATIENCE, eventually, exchange},
    sql::{Ear, Place, Psql},
};

#[tokio::test(flavor = "multi_thread")]
async fn what_a_transaction_publishes_is_heard_at_both_nodes_if_it_commits_and_not_before() {
    let Some(place) = Place::new("what_a_transaction_publishes") else { return };
    let (ann, ben) = (place.token("acme", "ann"), place.token("acme", "ben"));
    for (round, args) in place.ways().into_iter().enumerate() {
        let nodes = place.nodes(&args).await;
        let topics = ["news", "other"];
        let mut ears = [Ear::at(&nodes[0], &ann, &topics).await, Ear::at(&nodes[1], &ben, &topics).await];
        let (mut app, mut beside) = (place.app(), place.app());

        // What was committed later on another topic is here, and what is not committed is not.
        app.say("begin");
        app.say(&format!("insert into app.orders values ({round})"));
        app.publish("news", "held");
        beside.publish("other", "while it is held");
        for ear in &mut ears {
            assert_eq!(ear.text().await, "while it is held");
        }
        app.say("commit");
        let mut offset = Value::Null;
        for ear in &mut ears {
            let frame = ear.hear().await;
            assert_eq!((frame["text"].as_str(), frame["entry"]["userId"].as_str()), (Some("held"), None));
            offset = frame["offset"].clone();
        }

        // Rolled back as a whole, by its end, by an error, or to a savepoint: nothing is heard, and no offset is missing.
        for undo in ["rollback", "select 1 / 0", "savepoint"] {
            app.say("begin");
            if undo == "savepoint" {
                app.publish("news", "kept");
                app.say("savepoint s");
            }
            app.say(&format!("insert into app.orders values ({round} + 100)"));
            app.publish("news", "never");
            match undo {
                "savepoint" => app.say("rollback to savepoint s; commit"),
                "rollback" => app.say("rollback"),
                error => app.try_say(&format!("{error}; commit")),
            };
        }
        app.publish("news", "after");
        for ear in &mut ears {
            for (further, text) in [(1, "kept"), (2, "after")] {
                let frame = ear.hear().await;
                assert_eq!(frame["text"], text);
                assert_eq!(frame["offset"].as_u64(), offset.as_u64().map(|offset| offset + further));
            }
        }
        assert_eq!(app.say("select count(*) from app.orders"), (round + 1).to_string());

        // Several topics and many entries in one transaction, each topic in its order.
        app.say("begin");
        for number in 0..20 {
            app.publish(topics[number % 2], &number.to_string());
        }
        app.say("commit");
        for ear in &mut ears {
            let mut heard = [Vec::new(), Vec::new()];
            for _ in 0..20 {
                let frame = ear.hear().await;
                heard[usize::from(frame["entry"]["topic"] == "other")].push(frame["text"].clone());
            }
            for (place, heard) in heard.iter().enumerate() {
                let wanted: Vec<Value> =
                    (0..20).skip(place).step_by(2).map(|n: u32| n.to_string().into()).collect();
                assert_eq!(*heard, wanted, "{}", topics[place]);
            }
        }
    }
}

/// POSTs JSON as this user; the status and what follows.
fn post(node: &Node, token: &str, path: &str, json: &str) -> String {
    let request = format!(
        "POST /api/v1/tenants/acme{path} HTTP/1.1\r\nhost: a\r\nauthorization: Bearer {token}\r\n\
         content-length: {}\r\nconnection: close\r\n\r\n{json}",
        json.len()
    );
    exchange(node.connect(), &request)
}

#[tokio::test(flavor = "multi_thread")]
async fn a_body_is_taken_32_deep_and_no_deeper_at_every_door() {
    let Some(place) = Place::new("a_body_is_taken_32_deep") else { return };
    let (node, token) = (place.node(&[]), place.token("acme", "ann"));
    let mut ear = Ear::at(&node, &token, &["news"]).await;
    let body = |depth: usize| format!("{}{}", "[".repeat(depth), "]".repeat(depth));
    let (fits, deep) = (body(32), body(33));

    let mut app = place.app();
    let by_sql = |body: &str| {
        format!("select id from antiphon.publish(tenant => 'acme', topic => 'news', body => '{body}'::json)")
    };
    app.say(&by_sql(&fits));
    assert!(app.try_say(&by_sql(&deep)).contains("at most 32 deep"));

    let one = |body: &str| post(&node, &token, "/topics/news/entries", &format!("{{\"body\":{body}}}"));
    assert!(one(&fits).starts_with("HTTP/1.1 201"), "{}", one(&fits));
    assert!(one(&deep).starts_with("HTTP/1.1 400"), "{}", one(&deep));
    let many =
        |body: &str| post(&node, &token, "/entries", &format!("[{{\"topic\":\"news\",\"body\":{body}}}]"));
    assert!(many(&fits).starts_with("HTTP/1.1 201"), "{}", many(&fits));
    assert!(many(&deep).starts_with("HTTP/1.1 400"), "{}", many(&deep));

    let over_socket = |body: &str| format!("{{\"type\":\"MESSAGE\",\"topic\":\"news\",\"body\":{body}}}");
    ear.raw.send_text(over_socket(&deep)).await.unwrap();
    assert_eq!(ear.raw.frame_of("ERROR").await.unwrap()["code"], "INVALID");
    ear.raw.send_text(over_socket(&fits)).await.unwrap();
    ear.raw.frame_of("ACCEPTED").await.unwrap();
}

#[tokio::test(flavor = "multi_thread")]
async fn with_messages_between_and_the_node_that_tails_killed_each_entry_is_heard_once_in_order() {
    let Some(place) = Place::new("with_messages_between") else { return };
    let tokens = ["ann", "ben", "cid"].map(|user| place.token("acme", user));
    for (round, args) in place.ways().into_iter().enumerate() {
        let topic = format!("news{round}");
        let [first, second] = place.nodes(&args).await;
        let ears =
            [Ear::at(&first, &tokens[0], &[&topic]).await, Ear::at(&second, &tokens[1], &[&topic]).await];
        let tailed = place.tails();
        let enough = Arc::new(AtomicBool::new(false));
        let by_sql = std::thread::spawn({
            let (mut app, topic, enough) = (place.app(), topic.clone(), enough.clone());
            move || publish_by_sql(&mut app, &topic, &enough)
        });
        let by_client = tokio::spawn({
            let (ws, token, topic, enough) = (second.ws(), tokens[2].clone(), topic.clone(), enough.clone());
            async move { publish_by_client(&ws, &token, &topic, &enough).await }
        });
        let head = || {
            let sql = format!("select coalesce(max(head), 0) from antiphon.topics where name = '{topic}'");
            place.database.sql(&sql).parse::<u64>().unwrap()
        };
        eventually("both write", || head() > 60);
        drop(first); // kill -9
        eventually("the other node tails", || {
            let now = place.tails();
            !now.is_empty() && now != tailed
        });
        let taken_over = head();
        eventually("they write on", || head() > taken_over + 60);
        enough.store(true, Ordering::Relaxed);
        let mut said = by_sql.join().unwrap();
        said.extend(by_client.await.unwrap());
        let mut app = place.app();
        app.publish(&topic, "the end");
        said.push("the end".into());
        assert_eq!(head(), said.len() as u64);

        let [ann, ben] = ears.map(|ear| ear.collect(&topic, said.len(), &second));
        let (ann, ben) = tokio::join!(ann, ben);
        // Nothing comes behind the last one but what is said now.
        app.publish(&topic, "one more");
        for (mut ear, heard) in [ann, ben] {
            let offsets: Vec<u64> = heard.iter().map(|frame| frame["offset"].as_u64().unwrap()).collect();
            assert_eq!(offsets, (1..=said.len() as u64).collect::<Vec<_>>());
            let texts: HashSet<&str> = heard.iter().map(|frame| frame["text"].as_str().unwrap()).collect();
            assert_eq!(texts, said.iter().map(String::as_str).collect());
            assert_eq!(ear.hear().await["offset"], head());
            ear.raw.close().await.unwrap();
        }
    }
}

/// Publishes, each in a transaction of its own of which some are undone, until it is enough; tells what was committed.
fn publish_by_sql(app: &mut Psql, topic: &str, enough: &AtomicBool) -> Vec<String> {
    let mut said = Vec::new();
    for number in 0.. {
        if enough.load(Ordering::Relaxed) {
            break;
        }
        let text = format!("by sql {number}");
        app.say("begin");
        app.publish(topic, &text);
        if number % 9 == 8 {
            app.say("rollback");
        } else {
            app.say("commit");
            said.push(text);
        }
    }
    said
}

/// The same from a client's socket.
async fn publish_by_client(ws: &str, token: &str, topic: &str, enough: &AtomicBool) -> Vec<String> {
    let mut raw = Raw::connect(ws).await.unwrap().deadline(PATIENCE);
    let mut said = Vec::new();
    while !enough.load(Ordering::Relaxed) {
        let text = format!("by a client {}", said.len());
        let message = json!({"type": "MESSAGE", "token": token, "topic": topic, "text": text, "key": text});
        loop {
            raw.send_json(&message).await.unwrap();
            let answer = raw.frame().await.unwrap();
            if answer["type"] == "ACCEPTED" {
                break;
            }
            // A transaction that holds the topic for long.
            assert_eq!(answer["code"], "UNAVAILABLE", "{answer}");
        }
        said.push(text);
    }
    said
}

#[tokio::test(flavor = "multi_thread")]
async fn who_is_removed_before_or_within_the_transaction_does_not_hear_what_it_publishes_after() {
    let Some(place) = Place::new("who_is_removed") else { return };
    let tokens = ["ann", "ben", "eve"].map(|user| place.token("acme", user));
    for args in place.ways() {
        let nodes = place.nodes(&args).await;
        let mut app = place.app();
        app.say("select antiphon.put_member('acme', 'p', 'ann')");
        let mut ears = Vec::new();
        for (user, node) in [(0, 0), (1, 0), (1, 1), (2, 0), (2, 1)] {
            ears.push((["ann", "ben", "eve"][user], Ear::at(&nodes[node], &tokens[user], &["news"]).await));
        }
        let say = |app: &mut Psql, text: &str, project: &str| {
            app.say(&format!(
                "select 1 from antiphon.publish('acme', 'news', '{text}', project_id => {project})"
            ));
        };
        for number in 0..40 {
            // Who is made a member in the same transaction as an entry, or in an earlier one, hears it.
            app.say("begin");
            app.say("select antiphon.put_member('acme', 'p', 'ben')");
            if number % 2 == 0 {
                app.say("commit; begin");
            }
            say(&mut app, &format!("{number} for ben too"), "'p'");
            app.say("commit");
            for (user, ear) in ears.iter_mut().filter(|(user, _)| *user != "eve") {
                assert_eq!(ear.text().await, format!("{number} for ben too"), "{user}");
            }
            app.say("begin");
            app.say("select antiphon.delete_member('acme', 'p', 'ben')");
            if number % 4 < 2 {
                app.say("commit; begin");
            }
            say(&mut app, &format!("{number} not for ben"), "'p'");
            say(&mut app, &format!("{number} for all"), "null");
            app.say("commit");
            for (user, ear) in &mut ears {
                if *user == "ann" {
                    assert_eq!(ear.text().await, format!("{number} not for ben"));
                }
                assert_eq!(ear.text().await, format!("{number} for all"), "{user}");
            }
        }
        // Nor may they subscribe to the project's own topic.
        for (user, node, token) in [("ben", &nodes[0], &tokens[1]), ("eve", &nodes[1], &tokens[2])] {
            let mut raw = Raw::connect(&node.ws()).await.unwrap();
            let subscribe = json!({"type": "SUBSCRIBE", "token": token, "topics": ["project:p"]});
            raw.send_json(&subscribe).await.unwrap();
            assert_eq!(raw.frame().await.unwrap()["code"], "FORBIDDEN", "{user}");
        }
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_change_of_the_directory_reaches_open_connections_once_it_commits() {
    let Some(place) = Place::new("a_change_of_the_directory") else { return };
    for args in place.ways() {
        let nodes = place.nodes(&args).await;
        let mut app = place.app();
        let users = ["ann", "ben", "cid"];
        for user in users {
            app.say(&format!("select antiphon.put_member('acme', 'p', '{user}')"));
        }
        let tokens = users.map(|user| place.token("acme", user));
        let topics = ["news", "project:p"];
        let mut ears = [
            Ear::at(&nodes[0], &tokens[0], &topics).await,
            Ear::at(&nodes[1], &tokens[1], &topics).await,
            Ear::at(&nodes[1], &tokens[2], &topics).await,
        ];
        let changes = [
            "select antiphon.delete_member('acme', 'p', 'ann')",
            "select antiphon.delete_user('acme', 'ben')",
            "select antiphon.revoke_tokens('acme', 'cid')",
        ];
        // Undone, none of it is so: all three hear of the project.
        app.say("begin");
        for change in changes {
            assert_eq!(app.say(change), "t");
        }
        app.say("rollback");
        app.publish("project:p", "still members");
        for ear in &mut ears {
            assert_eq!(ear.text().await, "still members");
        }
        app.say("begin");
        for change in changes {
            assert_eq!(app.say(change), "t");
        }
        app.say("commit");
        let [ann, ben, cid] = &mut ears;
        let ended = ann.raw.frame_of("UNSUBSCRIBED").await.unwrap();
        assert_eq!((&ended["topic"], &ended["reason"]), (&json!("project:p"), &json!("FORBIDDEN")));
        for ear in [ben, cid] {
            let ended = ear.raw.frame_of("TERMINATE_CONNECTION").await.unwrap();
            assert_eq!(ended["text"], "TOKEN_REVOKED");
            assert_eq!(ear.raw.closed().await.unwrap().1, Some(4401));
        }
        app.publish("project:p", "for nobody");
        app.publish("news", "ann is a user still");
        assert_eq!(ann.text().await, "ann is a user still");
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn with_plain_topics_the_plain_copy_of_what_sql_published_goes_out_once() {
    let Some(place) = Place::new("with_plain_topics") else { return };
    let tenant = unique("plain");
    let (ann, ben) = (place.token(&tenant, "ann"), place.token(&tenant, "ben"));
    let nodes = place.nodes(&["--redis", &place.redis, "--redis-plain-topics"]).await;
    let mut ears = [Ear::at(&nodes[0], &ann, &[&tenant]).await, Ear::at(&nodes[1], &ben, &[&tenant]).await];
    let mut listener = Command::new("redis-cli")
        .args(["-u", &place.redis, "subscribe", &tenant])
        .stdout(Stdio::piped())
        .spawn()
        .unwrap();
    let mut lines = BufReader::new(listener.stdout.take().unwrap()).lines();
    let mut line = || lines.next().unwrap().unwrap();
    assert_eq!([line(), line(), line()], ["subscribe", tenant.as_str(), "1"]);

    let mut app = place.app();
    const COUNT: usize = 50;
    for number in 0..COUNT {
        app.say("begin");
        let publish =
            |topic: &str| format!("select 1 from antiphon.publish('{tenant}', '{topic}', 'by sql {number}')");
        app.say(&publish(&tenant));
        app.say(&publish("another topic has no plain copy".replace(' ', "-").as_str()));
        app.say(if number % 5 == 4 { "rollback" } else { "commit" });
    }
    let wanted: Vec<String> =
        (0..COUNT).filter(|number| number % 5 != 4).map(|number| format!("by sql {number}")).collect();
    for ear in &mut ears {
        for text in &wanted {
            assert_eq!(ear.text().await, *text);
        }
    }
    // One through each node behind them: what either had yet to copy would be here before it.
    let mut copies = Vec::new();
    for (last, node) in [(&ann, &nodes[0]), (&ben, &nodes[1])] {
        say(node, last, &tenant, "the last").await;
        loop {
            assert_eq!([line(), line()], ["message", tenant.as_str()]);
            let copy: Value = serde_json::from_str(&line()).unwrap();
            if copy["text"] == "the last" {
                assert_eq!(copy["entry"]["userId"], if last == &ann { "ann" } else { "ben" });
                break;
            }
            assert!(copy["position"].is_string(), "{copy}");
            copies.push(copy["text"].as_str().unwrap().to_owned());
        }
    }
    listener.kill().unwrap();
    listener.wait().unwrap();
    assert_eq!(copies, wanted);
}

async fn say(node: &Node, token: &str, topic: &str, text: &str) {
    let mut raw = Raw::connect(&node.ws()).await.unwrap().deadline(Duration::from_secs(20));
    let message = json!({"type": "MESSAGE", "token": token, "topic": topic, "text": text});
    raw.send_json(&message).await.unwrap();
    raw.frame_of("ACCEPTED").await.unwrap();
}
