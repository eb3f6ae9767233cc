//! Ten thousand connections that came and went, in whatever way, leave nothing behind.

#![allow(clippy::unwrap_used)]

mod crowd;

use std::net::Shutdown;

use antiphon_testkit::{postgres_or_skip, redis_or_skip, run_antiphon};
use crowd::{Ear, Random, Server, frame_of, listen_until};
use serde_json::json;

const WAVES: usize = 10;
const WAVE: usize = 1000;
/// Clients of one topic.
const ROOM: usize = 10;
/// Users of a wave; each has several connections.
const USERS: usize = 20;
/// The figures of what a node holds for its connections.
const MAPS: [&str; 6] =
    ["connections", "connections_identified", "subscriptions", "topics", "tenants", "publish_queue"];
/// What may stay in memory after the last wave that was not there after the second.
const KEPT_KIB: u64 = 12 * 1024;

#[test]
fn ten_thousand_connections_that_came_and_went_leave_every_map_empty_and_memory_where_it_was() {
    let test = "ten_thousand_connections_that_came_and_went";
    let (Some(postgres), Some(redis)) = (postgres_or_skip(test), redis_or_skip(test)) else { return };
    let mut random = Random(crowd::seed());
    let database = postgres.create_database().url();
    assert!(run_antiphon(&["migrate", "--database", &database], &[]).unwrap().status.success());
    let config = "[limits]\nkeep_alive = '2s'\npong_timeout = '1s'\nlinger = '100ms'\n";
    let server = Server::start(config, &["--database", &database, "--redis", &redis.url()]);
    let key = crowd::key(&database);
    crowd::wait("Redis is there", || server.figure("broker_up") == 1);
    let (mut resident, mut silent) = (Vec::new(), Vec::new());
    for wave in 0..WAVES {
        // Topics and users that were never there before: nothing of them has a reason to stay.
        let tokens: Vec<String> =
            (0..USERS).map(|number| server.token(&key, "acme", &format!("u{wave}-{number}"))).collect();
        let mut ears: Vec<Ear> = (0..WAVE).map(|_| Ear::connect(server.address())).collect();
        for (number, ear) in ears.iter_mut().enumerate() {
            let token = &tokens[number % USERS];
            let mut topics = vec![format!("room-{wave}-{}", number / ROOM)];
            topics.extend((number % 10 == 0).then(|| format!("lounge-{}", number / 100)));
            ear.say(&json!({"type": "SUBSCRIBE", "token": token, "topics": topics}));
        }
        listen_until(&mut ears, "all are subscribed", |ears| ears.iter().all(|ear| !ear.heard.is_empty()));
        for (number, ear) in ears.iter_mut().enumerate() {
            assert!(ear.heard[0].contains("SUBSCRIPTION_SUCCESSFUL"), "{:?}", ear.heard);
            ear.heard.clear();
            if number % 2 == 0 {
                let topic = format!("room-{wave}-{}", number / ROOM);
                ear.say(&json!({"type": "MESSAGE", "topic": topic, "text": "hello"}));
            }
        }
        // What half of its room has said, and the answer of whoever did.
        listen_until(&mut ears, "all have heard their room", |ears| {
            ears.iter().enumerate().all(|(number, ear)| ear.heard.len() == ROOM / 2 + (1 - number % 2))
        });
        for mut ear in ears {
            match random.below(5) {
                // In order; the server's answer is not waited for.
                0 => drop(ear.raw(&frame_of(8, &[3, 232]))),
                // As a process that was killed, with data that nobody read (RST) or without (FIN).
                1 => {
                    ear.say(&json!({"type": "PING"}));
                    crowd::wait("an answer that nobody reads", || ear.socket.peek(&mut [0; 1]).is_ok());
                }
                2 => drop(ear.socket.shutdown(Shutdown::Both)),
                // In the middle of a frame.
                3 => drop(ear.raw(&frame_of(1, b"{\"type\":\"PI")[..9])),
                // Says nothing any more, not even to a ping.
                _ => silent.push(ear),
            }
        }
        // Between, the next ones come while the silent ones are still waited for.
        if wave == 1 || wave == WAVES - 1 {
            crowd::wait("every map is empty", || server.figures(&MAPS) == [0; MAPS.len()]);
            crowd::wait("Redis knows of nothing but the node", || {
                let channels = redis.cli(&["PUBSUB", "CHANNELS"]);
                // Its own channel, by its number, and that of all nodes.
                let others = channels.lines().filter(|channel| !channel.starts_with("antiphon node "));
                others.collect::<Vec<_>>() == ["antiphon nodes"]
            });
            silent.clear();
            resident.push(server.resident_kib());
        }
    }
    println!("resident after wave 2 and after the last: {resident:?} KiB");
    assert!(resident[1] <= resident[0] + KEPT_KIB, "{resident:?}");
    assert_eq!(server.figure("panics_total"), 0);
}
