//! Conversations over real sockets with real shards, on memory engines.

#![allow(missing_docs, clippy::unwrap_used)]

mod support;

use std::time::Duration;

use antiphon_core::{Channel, Directory};
use antiphon_protocol::{SYSTEM_PROJECT, Topic};
use antiphon_session::Opening;
use serde_json::json;
use support::{Cluster, Heard, PATIENCE, project, tenant, user, wait_until};

#[test]
fn a_subscription_answers_with_the_tenant_and_the_system_entry() {
    let cluster = Cluster::new();
    let node = cluster.node();
    let mut ann = node.connect();
    ann.say(json!({"type": "SUBSCRIBE", "token": "acme/ann", "ref": "r"}));
    let frame = ann.expect("SUBSCRIPTION_SUCCESSFUL");
    assert_eq!(
        (&frame["text"], &frame["userId"], &frame["ref"]),
        (&json!("acme"), &json!("ann"), &json!("r"))
    );
    assert_eq!(frame["entry"]["projectId"], SYSTEM_PROJECT);
    assert_eq!(frame["topics"]["acme"]["recovered"], false);
}

#[test]
fn what_one_says_reaches_the_clients_of_both_nodes() {
    let cluster = Cluster::new();
    let (one, two) = (cluster.node(), cluster.node());
    let (mut ann, mut bob) = (one.subscribed("acme/ann"), two.subscribed("acme/bob"));
    let accepted = ann.publish("hello");
    let frame = bob.expect("MESSAGE");
    assert_eq!((&frame["text"], &frame["position"]), (&json!("hello"), &accepted["position"]));
    assert_eq!(frame["entry"]["companyId"], "acme");
    assert_eq!(frame["entry"]["id"], accepted["entry"]["id"]);
    ann.say(json!({"type": "SIGNAL", "body": {"typing": true}}));
    assert_eq!(bob.expect("SIGNAL")["body"], json!({"typing": true}));
}

#[test]
fn the_first_frame_needs_a_token_and_a_good_one() {
    let cluster = Cluster::new();
    let node = cluster.node();
    for (frame, reason) in [
        (json!({"type": "SUBSCRIBE"}), "NO_TOKEN_PROVIDED"),
        (json!({"type": "SHOUT"}), "NO_TOKEN_PROVIDED"),
        (json!({"type": "SUBSCRIBE", "token": "nobody"}), "INVALID_TOKEN"),
        (json!({"type": "SUBSCRIBE", "token": "acme/ann/0"}), "INVALID_TOKEN"),
    ] {
        let mut client = node.connect();
        client.say(frame);
        let goodbye = client.expect("TERMINATE_CONNECTION");
        assert_eq!(
            (&goodbye["text"], &goodbye["entry"]["projectId"]),
            (&json!(reason), &json!(SYSTEM_PROJECT))
        );
        client.expect_close(4401);
        assert_eq!(client.hear(PATIENCE), Heard::End);
    }
}

#[test]
fn a_token_of_another_user_ends_the_connection_and_its_frame_is_not_carried_out() {
    let cluster = Cluster::new();
    let node = cluster.node();
    let (mut ann, mut bob) = (node.subscribed("acme/ann"), node.subscribed("acme/bob"));
    ann.say(json!({"type": "MESSAGE", "text": "as bob", "token": "acme/bob"}));
    assert_eq!(ann.expect("TERMINATE_CONNECTION")["text"], "INVALID_TOKEN");
    bob.expect_silence();
}

#[test]
fn a_topic_of_another_tenant_cannot_be_said() {
    let cluster = Cluster::new();
    let node = cluster.node();
    let mut gus = node.subscribed("globex/gus");
    let mut ann = node.subscribed("acme/ann");
    ann.say(json!({"type": "SUBSCRIBE", "topics": ["globex"]}));
    ann.expect("SUBSCRIPTION_SUCCESSFUL");
    ann.say(json!({"type": "MESSAGE", "topic": "globex", "text": "to acme's own topic named globex"}));
    assert_eq!(ann.find("MESSAGE")["entry"]["companyId"], "acme");
    gus.expect_silence();
}

#[test]
fn bad_frames_cost_an_error_each_and_nothing_else() {
    let cluster = Cluster::new();
    let node = cluster.node();
    let mut ann = node.subscribed("acme/ann");
    for text in
        ["nope", "[]", "{}", r#"{"type":5}"#, r#"{"type":"MESSAGE"}"#, r#"{"type":"MESSAGE","text":1}"#]
    {
        ann.say_text(text);
        assert_eq!(ann.expect("ERROR")["code"], "INVALID", "{text}");
    }
    ann.say(json!({"type": "SUBSCRIBE", "topics": ["$antiphon:control"], "ref": "x"}));
    let error = ann.expect("ERROR");
    assert_eq!((&error["code"], &error["ref"]), (&json!("FORBIDDEN"), &json!("x")));
    ann.say_text(&format!(r#"{{"type":"MESSAGE","body":{}{}}}"#, "[".repeat(40), "]".repeat(40)));
    assert_eq!(ann.expect("ERROR")["code"], "INVALID");
    ann.publish("still here");
}

#[test]
fn a_frame_over_the_limit_is_refused_at_its_header() {
    let cluster = Cluster::new();
    let node = cluster.node();
    let mut ann = node.subscribed("acme/ann");
    let mut head = vec![0x81, 0xff];
    head.extend_from_slice(&(1u64 << 62).to_be_bytes());
    head.extend_from_slice(&[1, 2, 3, 4]);
    ann.raw(&head);
    ann.expect_close(1009);
    let mut bob = node.subscribed("acme/bob");
    bob.raw(&antiphon_ws::client::frame(antiphon_ws::Opcode::Binary, b"x"));
    bob.expect_close(1003);
    let mut cleo = node.subscribed("acme/cleo");
    cleo.raw(&antiphon_ws::client::frame(antiphon_ws::Opcode::Text, &[0xff, 0xfe]));
    cleo.expect_close(1007);
}

#[test]
fn answers_come_in_the_order_of_their_frames() {
    let cluster = Cluster::new();
    let node = cluster.node();
    let mut ann = node.connect();
    ann.say(json!({"type": "PING", "token": "acme/ann", "ref": "0"}));
    for number in 1..=300 {
        let frame = match number % 3 {
            0 => json!({"type": "HISTORY", "limit": 1, "ref": number.to_string()}),
            1 => json!({"type": "MESSAGE", "text": "x", "ref": number.to_string()}),
            _ => json!({"type": "PING", "ref": number.to_string()}),
        };
        ann.say(frame);
    }
    for number in 0..=300 {
        match ann.hear(PATIENCE) {
            Heard::Text(frame) => assert_eq!(frame["ref"], number.to_string(), "{frame}"),
            other => panic!("heard {other:?}"),
        }
    }
}

#[test]
fn a_repeated_key_is_one_entry_and_other_content_is_a_conflict() {
    let cluster = Cluster::new();
    let node = cluster.node();
    let mut ann = node.connect();
    ann.say(json!({"type": "MESSAGE", "token": "acme/ann", "text": "once", "key": "k"}));
    let first = ann.expect("ACCEPTED");
    ann.say(json!({"type": "MESSAGE", "text": "once", "key": "k"}));
    let again = ann.expect("ACCEPTED");
    assert_eq!((&again["position"], &again["duplicate"]), (&first["position"], &json!(true)));
    ann.say(json!({"type": "MESSAGE", "text": "twice", "key": "k"}));
    assert_eq!(ann.expect("ERROR")["code"], "CONFLICT");
}

#[test]
fn who_was_away_resumes_at_another_node_and_misses_nothing() {
    let cluster = Cluster::new();
    let (one, two) = (cluster.node(), cluster.node());
    let mut ann = one.subscribed("acme/ann");
    let mut bob = one.subscribed("acme/bob");
    ann.publish("0");
    let seen = bob.expect("MESSAGE")["position"].clone();
    one.reactor.kill();
    let mut cleo = two.subscribed("acme/cleo");
    for number in 1..=500 {
        cleo.publish(&number.to_string());
    }
    let mut bob = two.connect();
    bob.say(json!({"type": "SUBSCRIBE", "token": "acme/bob", "positions": {"acme": seen}}));
    let frame = bob.expect("SUBSCRIPTION_SUCCESSFUL");
    assert_eq!(frame["topics"]["acme"], json!({"position": seen, "recovered": true}));
    for number in 1..=500 {
        assert_eq!(bob.expect("MESSAGE")["text"], number.to_string());
    }
    cleo.publish("live");
    assert_eq!(bob.expect("MESSAGE")["text"], "live");
}

#[test]
fn a_position_that_proves_nothing_is_reset_with_the_true_reason() {
    let cluster = Cluster::new();
    let node = cluster.node();
    let mut ann = node.subscribed("acme/ann");
    let position = ann.publish("x")["position"].as_str().unwrap().to_owned();
    let (start, _) = position.rsplit_once('-').unwrap();
    let (epoch, _) = start.rsplit_once('-').unwrap();
    for (position, reason) in [
        (format!("{epoch}-1-00000000000000aa"), "FORK"),
        (format!("{epoch}-9-00000000000000aa"), "AHEAD"),
        ("00000000000000aa-1-00000000000000aa".to_owned(), "EPOCH"),
    ] {
        let mut bob = node.connect();
        bob.say(json!({"type": "SUBSCRIBE", "token": "acme/bob", "topics": ["acme"], "positions": {"acme": position}}));
        assert_eq!(bob.expect("SUBSCRIPTION_SUCCESSFUL")["topics"]["acme"]["recovered"], false);
        assert_eq!(bob.expect("RESET")["reason"], reason);
    }
    let mut bob = node.connect();
    bob.say(json!({"type": "SUBSCRIBE", "token": "acme/bob", "positions": {"acme": "nonsense"}}));
    assert_eq!(bob.expect("ERROR")["code"], "INVALID");
}

#[test]
fn whoever_is_told_that_it_is_subscribed_gets_the_next_signal() {
    let cluster = Cluster::new();
    let node = cluster.node();
    // On a shard of its own, which does not wait for the subscriber's.
    let mut bob = node.subscribed("acme/bob");
    for round in 0..300 {
        let mut ann = node.subscribed("acme/ann");
        bob.say(json!({"type": "SIGNAL", "text": round.to_string()}));
        assert_eq!(ann.expect("SIGNAL")["text"], round.to_string());
    }
}

#[test]
fn what_is_sent_after_a_removal_has_answered_never_reaches_the_removed() {
    let cluster = Cluster::new();
    let (one, two) = (cluster.node(), cluster.node());
    for round in 0..30 {
        cluster.member("apollo", "ann", true);
        // A user of its own each round: what is still on its way from the last one is not for this one.
        let bobs_name = format!("bob-{round}");
        cluster.member("apollo", &bobs_name, true);
        let bobs_token = format!("acme/{bobs_name}");
        let mut ann = one.connect();
        let mut bob = two.connect();
        for (client, token) in [(&mut ann, "acme/ann"), (&mut bob, bobs_token.as_str())] {
            client.say(json!({"type": "SUBSCRIBE", "token": token, "topics": ["project:apollo", "acme"]}));
            client.expect("SUBSCRIPTION_SUCCESSFUL");
        }
        // Only the directory knows: neither node is told.
        let (of, who) = (project("apollo"), user(&bobs_name));
        let delete = async { cluster.directory.delete_member(&tenant("acme"), &of, &who).await };
        assert!(cluster.runtime.block_on(delete).unwrap());
        let secret = format!("secret {round}");
        ann.say(json!({"type": "MESSAGE", "topic": "acme", "projectId": "apollo", "text": secret}));
        ann.say(json!({"type": "MESSAGE", "topic": "project:apollo", "text": secret}));
        ann.say(json!({"type": "SIGNAL", "topic": "project:apollo", "text": secret}));
        ann.say(json!({"type": "MESSAGE", "text": "end"}));
        let mut unsubscribed = false;
        loop {
            match bob.hear(PATIENCE) {
                Heard::Text(frame) if frame["type"] == "UNSUBSCRIBED" => {
                    assert_eq!(
                        (&frame["topic"], &frame["reason"]),
                        (&json!("project:apollo"), &json!("FORBIDDEN"))
                    );
                    unsubscribed = true;
                }
                Heard::Text(frame) if frame["text"] == "end" => break,
                // A signal of the round before may be late, and finds a member.
                Heard::Text(frame) if frame["type"] == "SIGNAL" && frame["text"] != secret.as_str() => {}
                other => panic!("round {round}: heard {other:?}"),
            }
        }
        assert!(unsubscribed, "round {round}");
    }
}

#[test]
fn a_deleted_user_and_a_revoked_token_end_the_connection() {
    let cluster = Cluster::new();
    let node = cluster.node();
    let (mut ann, mut bob) = (node.subscribed("acme/ann"), node.subscribed("acme/bob"));
    cluster.runtime.block_on(cluster.directory.delete_user(&tenant("acme"), &user("bob"))).unwrap();
    // No node is told: the tick finds it within a second.
    assert_eq!(bob.expect("TERMINATE_CONNECTION")["text"], "TOKEN_REVOKED");
    bob.expect_close(4401);
    cluster.runtime.block_on(cluster.directory.disconnect_user(&tenant("acme"), &user("ann"))).unwrap();
    ann.expect_close(1012);
    let mut ann = node.subscribed("acme/ann");
    ann.publish("back at once");
}

#[test]
fn what_changed_while_a_connection_was_being_made_counts_for_it() {
    let cluster = Cluster::new();
    let node = cluster.node();
    let caller = || cluster.runtime.block_on(node.node.authenticate("acme/ann")).ok().unwrap();
    let opening = |caller| Opening { caller: Some(caller), ..Opening::default() };
    let is_fine = caller();
    let mut ann = node.connect_with(opening(is_fine.clone()));
    ann.say(json!({"type": "SUBSCRIBE"}));
    ann.expect("SUBSCRIPTION_SUCCESSFUL");
    // The directory is another one; those who were there are told, and this one is not there yet.
    let late = caller();
    late.login.audience().start_anew(1, |_| {});
    node.connect_with(opening(late)).expect_close(1012);
    // Nor does anything rest on what was held before.
    ann.say(json!({"type": "MESSAGE", "text": "of before"}));
    assert_eq!(ann.expect("ERROR")["code"], "FORBIDDEN");
    node.subscribed("acme/ann").publish("read anew");
}

#[test]
fn a_token_that_ends_while_connected_ends_the_connection_and_a_renewed_one_does_not() {
    let cluster = Cluster::new();
    let node = cluster.node();
    let (mut ann, mut bob) = (node.subscribed("acme/ann/900"), node.subscribed("acme/bob/900"));
    bob.say(json!({"type": "PING", "token": "acme/bob/60000"}));
    bob.expect("PONG");
    assert_eq!(ann.expect("TERMINATE_CONNECTION")["text"], "TOKEN_EXPIRED");
    ann.expect_close(4401);
    bob.expect_silence();
}

#[test]
fn whatever_way_a_connection_ends_nothing_of_it_stays() {
    let cluster = Cluster::new();
    let node = cluster.node();
    let channel = Channel::Topic(Topic::of_tenant(&tenant("acme")));
    let mut clients: Vec<_> = (0..40).map(|_| node.subscribed("acme/ann")).collect();
    let metrics = node.node.metrics();
    let levels = || [metrics.connections.get(), metrics.identified.get(), metrics.subscriptions.get()];
    wait_until("all are counted", || levels() == [40; 3]);
    assert_eq!(cluster.bus.listeners(&channel), 1);
    for (number, client) in clients.iter_mut().enumerate() {
        match number % 4 {
            0 => client.raw(&antiphon_ws::client::close(1000, "bye")),
            1 => client.raw(&[0xff, 0xff, 0xff]),
            2 => drop(client.socket.shutdown(std::net::Shutdown::Both)),
            _ => {}
        }
    }
    drop(clients);
    wait_until("every map is empty", || {
        levels() == [0; 3] && node.node.hub().feed_count() == 0 && cluster.bus.listeners(&channel) == 0
    });
    assert_eq!((node.reactor.connections(), node.reactor.half_open()), (0, 0));
    wait_until("the tenant is forgotten", || node.node.encode_metrics().contains("antiphon_tenants 0"));
}

#[test]
fn without_a_broker_the_tick_brings_everything() {
    let cluster = Cluster::new();
    let (one, two) = (cluster.node(), cluster.node());
    let (mut ann, mut bob) = (one.subscribed("acme/ann"), two.subscribed("acme/bob"));
    cluster.bus.set_down(true);
    for number in 0..50 {
        ann.publish(&number.to_string());
    }
    for number in 0..50 {
        assert_eq!(bob.expect("MESSAGE")["text"], number.to_string());
    }
}

#[test]
fn a_lost_bell_is_healed_from_the_store_by_the_next_one() {
    let cluster = Cluster::new();
    let (one, two) = (cluster.node(), cluster.node());
    let (mut ann, mut bob) = (one.subscribed("acme/ann"), two.subscribed("acme/bob"));
    for number in 0..100 {
        cluster.bus.drop_next(u64::from(number % 3 == 0));
        ann.publish(&number.to_string());
    }
    for number in 0..100 {
        assert_eq!(bob.expect("MESSAGE")["text"], number.to_string());
    }
}

#[test]
fn a_broken_store_is_unavailable_without_its_cause() {
    let cluster = Cluster::new();
    let node = cluster.node();
    let (mut ann, mut bob) = (node.subscribed("acme/ann"), node.subscribed("acme/bob"));
    cluster.store.set_down(true);
    ann.say(json!({"type": "MESSAGE", "text": "lost?", "key": "k"}));
    let error = ann.expect("ERROR");
    assert_eq!(error["code"], "UNAVAILABLE");
    assert!(error["retryAfterMs"].as_u64().is_some_and(|wait| wait > 0));
    assert!(!error.to_string().contains("secret-inner-cause"));
    bob.expect_silence();
    cluster.store.set_down(false);
    ann.say(json!({"type": "MESSAGE", "text": "lost?", "key": "k"}));
    assert!(ann.find("ACCEPTED")["duplicate"].is_null());
}

#[test]
fn a_publish_that_fails_rings_no_bell() {
    let cluster = Cluster::new();
    let (one, two) = (cluster.node(), cluster.node());
    let (mut ann, mut bob) = (one.subscribed("acme/ann"), two.subscribed("acme/bob"));
    cluster.store.set_down(true);
    ann.say(json!({"type": "MESSAGE", "text": "never"}));
    ann.expect("ERROR");
    cluster.store.set_down(false);
    ann.publish("after");
    assert_eq!(bob.expect("MESSAGE")["text"], "after");
}

#[test]
fn presence_and_counts_are_those_of_all_nodes() {
    let mut cluster = Cluster::new();
    cluster.limits.lease_renewal = Duration::from_millis(100);
    let (one, two) = (cluster.node(), cluster.node());
    let mut ann = one.subscribed("acme/ann");
    let _bob = two.subscribed("acme/bob");
    wait_until("the nodes know of each other", || cluster.runtime.block_on(one.node.connections()) == (1, 2));
    ann.say(json!({"type": "PRESENCE"}));
    assert_eq!(ann.expect("PRESENCE")["users"], json!(["ann", "bob"]));
}

#[test]
fn a_users_connections_share_what_it_has_and_a_tenants_users_what_that_has() {
    let limits = antiphon_core::Limits {
        rate_burst_seconds: 20,
        user_rate: 1,
        tenant_rate: 2,
        ..antiphon_core::Limits::default()
    };
    let cluster = Cluster::with(limits);
    let node = cluster.node();
    // The first frame of each shows who it is, and is of nobody yet.
    let mut anns = [node.subscribed("acme/ann"), node.subscribed("acme/ann")];
    let (mut bob, mut cleo) = (node.subscribed("acme/bob"), node.subscribed("acme/cleo"));
    let mut other = node.subscribed("globex/gus");
    let answers = |one: &mut support::Client| {
        one.say(json!({"type": "PING"}));
        match one.hear(PATIENCE) {
            Heard::Text(frame) if frame["code"] == "RATE_LIMITED" => {
                assert!(frame["retryAfterMs"].as_u64().is_some_and(|wait| wait > 0));
                false
            }
            Heard::Text(_) => true,
            other => panic!("heard {other:?}"),
        }
    };
    let heard = |one: &mut support::Client, times: usize| (0..times).filter(|_| answers(one)).count();
    let ann = heard(&mut anns[0], 15) + heard(&mut anns[1], 15);
    assert!((20..25).contains(&ann), "twenty seconds' worth of 1, however many connections: {ann}");
    let of_two = ann + heard(&mut bob, 30);
    assert!((40..46).contains(&of_two), "each user has its own: {of_two}");
    let cleos = heard(&mut cleo, 10);
    assert!(cleos < 8, "the two have left nothing of twenty seconds' worth of 2: {cleos}");
    assert_eq!(heard(&mut other, 10), 10, "another tenant's own");
}

#[test]
fn a_rate_kept_too_high_is_told_and_then_ended_whether_of_frames_or_of_pings() {
    let limits = antiphon_core::Limits {
        rate_per_second: 5,
        rate_burst_seconds: 2,
        rate_strikes: 10,
        ..antiphon_core::Limits::default()
    };
    let cluster = Cluster::with(limits);
    let node = cluster.node();
    let frame = |client: &mut support::Client| client.say(json!({"type": "PING"}));
    let ping = |client: &mut support::Client| client.raw(&[0x89, 0x80, 0, 0, 0, 0]);
    for says in [&frame as &dyn Fn(&mut support::Client), &ping] {
        let mut ann = node.subscribed("acme/ann");
        for _ in 0..40 {
            says(&mut ann);
        }
        let mut limited = 0;
        loop {
            match ann.hear(PATIENCE) {
                Heard::Text(frame) if frame["code"] == "RATE_LIMITED" => {
                    assert!(frame["retryAfterMs"].as_u64().is_some());
                    limited += 1;
                }
                Heard::Text(_) | Heard::Pong => {}
                Heard::Close(code) => break assert_eq!(code, 4029),
                other => panic!("heard {other:?}"),
            }
        }
        assert!(limited > 0);
    }
}

#[test]
fn one_who_never_says_a_token_is_ended() {
    let limits = antiphon_core::Limits {
        first_token_timeout: Duration::from_millis(300),
        ..antiphon_core::Limits::default()
    };
    let cluster = Cluster::with(limits);
    let node = cluster.node();
    let mut client = node.connect();
    assert_eq!(client.expect("TERMINATE_CONNECTION")["text"], "NO_TOKEN_PROVIDED");
    client.expect_close(4401);
}

#[test]
fn a_filtered_client_is_told_its_position() {
    let limits = antiphon_core::Limits {
        position_interval: Duration::from_millis(300),
        rate_per_second: 0,
        ..antiphon_core::Limits::default()
    };
    let cluster = Cluster::with(limits);
    cluster.member("apollo", "ann", true);
    let node = cluster.node();
    let (mut ann, mut bob) = (node.subscribed("acme/ann"), node.subscribed("acme/bob"));
    ann.say(json!({"type": "MESSAGE", "text": "x", "projectId": "apollo"}));
    let frame = bob.expect("POSITION");
    assert_eq!((&frame["topic"], &frame["offset"]), (&json!("acme"), &json!(1)));
}

#[test]
fn a_slow_reader_gets_everything_in_order_in_the_end() {
    let cluster = Cluster::new();
    let node = cluster.node();
    let (mut ann, mut bob) = (node.subscribed("acme/ann"), node.subscribed("acme/bob"));
    let long = "x".repeat(4000);
    // Far more than the ring and the socket hold, while bob reads nothing.
    for number in 0..2000 {
        ann.publish(&format!("{number} {long}"));
    }
    for number in 0..2000 {
        let frame = bob.expect("MESSAGE");
        assert!(frame["text"].as_str().unwrap().starts_with(&format!("{number} ")), "at {number}");
    }
}

#[test]
fn a_drain_tells_the_clients_and_then_ends_them() {
    let cluster = Cluster::new();
    let node = cluster.node();
    let mut ann = node.subscribed("acme/ann");
    let reactor = node.reactor.clone();
    let drain = std::thread::spawn(move || reactor.drain(Duration::from_millis(600)));
    assert!(ann.expect("RECONNECT")["afterMs"].as_u64().is_some());
    ann.expect_close(1012);
    drain.join().unwrap();
    assert_eq!(node.reactor.connections(), 0);
}
