//! Whoever can PUBLISH on Redis, and hears what the nodes say there, makes no client hear anything.

#![allow(clippy::unwrap_used)]

mod crowd;

use std::{
    io::{BufRead, BufReader, Read, Write},
    net::{Ipv4Addr, TcpStream},
};

use antiphon_protocol::{
    ClusterSecret, Envelope, NodeId, Parcel, Position, TenantId, Topic, TopicName, now_ms,
};
use antiphon_testkit::{Redis, postgres_or_skip, redis_or_skip, run_antiphon};
use crowd::{Ear, Random, Server};
use serde_json::json;

const FORGED: usize = 1_000_000;
/// Of one write to Redis; it is counted by the node before the next but one, since Redis ends a listener that is far behind.
const BATCH: usize = 10_000;
/// True entries between, each on all topics.
const TRUE_EVERY: usize = 5;
const TOPICS: [(&str, &str); 3] = [("acme", "acme"), ("acme", "news"), ("globex", "globex")];
/// What the node may grow by.
const GROWN_KIB: u64 = 48 * 1024;

fn topic((tenant, name): (&str, &str)) -> Topic {
    Topic::new(TenantId::parse(tenant).unwrap(), TopicName::parse(name).unwrap())
}

fn channels() -> Vec<String> {
    let topics = TOPICS.iter().map(|(tenant, name)| format!("antiphon:topic {tenant} {name}"));
    topics.chain(["antiphon nodes".to_owned()]).collect()
}

/// A connection to Redis of a stranger's own.
struct Stranger {
    to: TcpStream,
    from: BufReader<TcpStream>,
}

impl Stranger {
    fn new(redis: &Redis) -> Self {
        let to = TcpStream::connect((Ipv4Addr::LOCALHOST, redis.port())).unwrap();
        to.set_read_timeout(Some(crowd::PATIENCE)).unwrap();
        Self { from: BufReader::new(to.try_clone().unwrap()), to }
    }

    fn publish(&mut self, messages: &[(&str, Vec<u8>)]) {
        let mut bytes = Vec::new();
        for (channel, message) in messages {
            write(&mut bytes, &[b"PUBLISH", channel.as_bytes(), message]);
        }
        self.to.write_all(&bytes).unwrap();
        for _ in messages {
            let receivers = self.line();
            assert!(receivers.starts_with(':'), "{receivers}");
        }
    }

    /// Listens to these channels.
    fn subscribe(&mut self, channels: &[String]) {
        let parts: Vec<&[u8]> =
            [&b"SUBSCRIBE"[..]].into_iter().chain(channels.iter().map(String::as_bytes)).collect();
        let mut bytes = Vec::new();
        write(&mut bytes, &parts);
        self.to.write_all(&bytes).unwrap();
        channels.iter().for_each(|_| drop(self.reply()));
    }

    /// The last part of the next reply that is an array.
    fn reply(&mut self) -> Vec<u8> {
        let head = self.line();
        let parts: usize = head[1..].parse().unwrap_or_else(|_| panic!("{head}"));
        let mut last = Vec::new();
        for _ in 0..parts {
            let line = self.line();
            last = line.clone().into_bytes();
            if let Some(len) = line.strip_prefix('$') {
                last = vec![0; len.parse::<usize>().unwrap() + 2];
                self.from.read_exact(&mut last).unwrap();
                last.truncate(last.len() - 2);
            }
        }
        last
    }

    fn line(&mut self) -> String {
        let mut line = String::new();
        self.from.read_line(&mut line).unwrap();
        line.trim_end().to_owned()
    }
}

fn write(bytes: &mut Vec<u8>, parts: &[&[u8]]) {
    bytes.extend_from_slice(format!("*{}\r\n", parts.len()).as_bytes());
    for part in parts {
        bytes.extend_from_slice(format!("${}\r\n", part.len()).as_bytes());
        bytes.extend_from_slice(part);
        bytes.extend_from_slice(b"\r\n");
    }
}

/// Entries and signals that would be the very next ones, sealed with the secret of another cluster.
fn sealed_elsewhere(heads: &[Position], random: &mut Random) -> Vec<Vec<u8>> {
    let secret = ClusterSecret::new([7; 32]);
    let mut sealed = Vec::new();
    for (of, head) in TOPICS.into_iter().zip(heads) {
        for step in 1..=20 {
            let position = Position { offset: head.offset + step, ..*head };
            let json = br#"{"type":"MESSAGE","text":"forged"}"#.to_vec().into();
            let parcel = if random.below(2) == 0 {
                Parcel::Signal {
                    topic: topic(of),
                    revision: 0,
                    number: step,
                    sent_at: now_ms(),
                    project: None,
                    json,
                }
            } else {
                let (id, author, project, key) = Default::default();
                Parcel::Entry { topic: topic(of), position, revision: 0, id, author, project, key, json }
            };
            sealed.push(Envelope { origin: NodeId(random.next()), parcel }.seal(&secret).to_vec());
        }
    }
    sealed
}

/// One that no node has sealed, from those that were overheard.
fn forge(random: &mut Random, overheard: &[Vec<u8>], elsewhere: &[Vec<u8>]) -> Vec<u8> {
    let mut forged = overheard[random.below(overheard.len())].clone();
    let other = &overheard[random.below(overheard.len())];
    match random.below(10) {
        // Anything at all.
        0 | 7 | 8 => return (0..random.below(120)).map(|_| random.next() as u8).collect(),
        // A bit of it is another one.
        1 => {
            let at = random.below(forged.len());
            forged[at] ^= 1 << random.below(8);
        }
        2 => forged.truncate(random.below(forged.len())),
        3 | 9 => forged[0] = random.below(254) as u8 + 2,
        // The proof of another one.
        4 if forged[1..17] != other[1..17] => forged[1..17].copy_from_slice(&other[1..17]),
        4 => forged.push(0),
        // Said to be another tenant's, or of another topic.
        5 => {
            let from = if random.below(2) == 0 { &b"acme"[..] } else { b"globex" };
            let to = if from.len() == 4 { &b"news"[..] } else { b"acmeac" };
            let found = forged.windows(from.len()).position(|window| window == from);
            match found {
                Some(at) => forged[at..at + from.len()].copy_from_slice(to),
                None => forged.push(b' '),
            }
        }
        _ => return elsewhere[random.below(elsewhere.len())].clone(),
    }
    forged
}

#[test]
fn of_a_million_forged_envelopes_none_reaches_a_client_and_every_true_one_does() {
    let test = "of_a_million_forged_envelopes";
    let (Some(postgres), Some(redis)) = (postgres_or_skip(test), redis_or_skip(test)) else { return };
    let mut random = Random(crowd::seed());
    let database = postgres.create_database().url();
    assert!(run_antiphon(&["migrate", "--database", &database], &[]).unwrap().status.success());
    let key = crowd::key(&database);
    // No tick: what comes, comes over Redis. No heartbeat of the sockets either, which nobody answers meanwhile.
    let config = "rate_limit = 0\n[limits]\ntick = '1h'\nfence = '3h'\nkeep_alive = '1h'\n";
    let args = ["--database", &database, "--redis", &redis.url()];
    let (node, other) = (Server::start(config, &args), Server::start(config, &args));
    let tokens = ["acme", "globex"].map(|tenant| other.token(&key, tenant, "ann"));
    let subscribe = [
        json!({"type": "SUBSCRIBE", "token": tokens[0], "topics": ["acme", "news"]}),
        json!({"type": "SUBSCRIBE", "token": tokens[1], "topics": ["globex"]}),
    ];
    let mut hear = subscribe.clone().map(|frame| {
        let mut ear = Ear::connect(node.address());
        ear.say(&frame);
        ear.wait_for("SUBSCRIPTION_SUCCESSFUL");
        ear
    });
    let mut say = tokens.clone().map(|token| {
        let mut ear = Ear::connect(other.address());
        ear.say(&json!({"type": "PING", "token": token}));
        ear.wait_for("PONG");
        ear
    });
    let mut stranger = Stranger::new(&redis);
    let mut ear = Stranger::new(&redis);
    // Of topics three, one of all nodes, and one of each node's own.
    crowd::wait("all is listened to", || redis.cli(&["PUBSUB", "CHANNELS"]).lines().count() == 6);
    let channels = channels();
    ear.subscribe(&channels);

    // A true entry on each topic comes through; returns its positions.
    let mut number = 0;
    let mut is_true = |hear: &mut [Ear; 2]| -> Vec<Position> {
        number += 1;
        let mut positions = Vec::new();
        for (tenant, name) in TOPICS {
            let of = usize::from(tenant == "globex");
            say[of].say(&json!({"type": "MESSAGE", "topic": name, "text": format!("true {number}")}));
            // Nothing else has come before it.
            crowd::wait("a true entry", || {
                hear[of].listen();
                !hear[of].heard.is_empty()
            });
            let frame: serde_json::Value = serde_json::from_str(&hear[of].heard.remove(0)).unwrap();
            assert_eq!(
                (&frame["text"], &frame["entry"]["topic"]),
                (&json!(format!("true {number}")), &json!(name))
            );
            positions.push(Position::parse(frame["position"].as_str().unwrap()).unwrap());
        }
        positions
    };
    let mut heads = Vec::new();
    for _ in 0..20 {
        heads = is_true(&mut hear);
    }
    let overheard: Vec<Vec<u8>> = (0..20 * TOPICS.len()).map(|_| ear.reply()).collect();
    // A true signal is heard, and its copies are not: nothing else comes before the next true entry.
    let mut says = Ear::connect(other.address());
    says.say(&json!({"type": "SIGNAL", "token": tokens[0], "topic": "news", "text": "once"}));
    crowd::wait("the signal", || {
        hear[0].listen();
        !hear[0].heard.is_empty()
    });
    assert!(hear[0].heard.remove(0).contains("once"));
    let signal = ear.reply();
    drop((ear, says));
    stranger.publish(&[(channels[1].as_str(), signal.clone()), (channels[0].as_str(), signal)]);
    is_true(&mut hear);
    crowd::wait("the copies are counted", || node.figure("signals_repeated_total") == 2);
    let elsewhere = sealed_elsewhere(&heads, &mut random);
    let (before, mut refused) = (node.resident_kib(), 0);
    for batch in 0..FORGED / BATCH {
        let messages: Vec<(&str, Vec<u8>)> = (0..BATCH)
            .map(|number| {
                // One of a hundred is a true one once more, on whichever channel: it proves itself and was seen before.
                let is_old = number % 100 == 0;
                refused += u64::from(!is_old);
                let channel = channels[random.below(channels.len())].as_str();
                let old = || overheard[number % overheard.len()].clone();
                (channel, if is_old { old() } else { forge(&mut random, &overheard, &elsewhere) })
            })
            .collect();
        stranger.publish(&messages);
        if batch % TRUE_EVERY == 0 {
            is_true(&mut hear);
        }
        let late = (2 * BATCH) as u64;
        crowd::wait("the node keeps up", || node.figure("envelopes_refused_total") + late > refused);
    }
    crowd::wait("all are counted", || node.figure("envelopes_refused_total") == refused);
    is_true(&mut hear);
    for ear in &mut hear {
        ear.say(&json!({"type": "PING"}));
        crowd::wait("an answer", || {
            ear.listen();
            !ear.heard.is_empty()
        });
        assert!(ear.heard.len() == 1 && ear.heard[0].contains("PONG"), "{:?}", ear.heard);
    }
    let grown = node.peak_kib().saturating_sub(before);
    println!("{refused} of {FORGED} refused; the node's memory grew by at most {grown} KiB");
    assert!(grown < GROWN_KIB, "{grown} KiB");
    // Under such a flood Redis may be doubted.
    crowd::wait("Redis is trusted", || node.figures(&["panics_total", "broker_up"]) == [0, 1]);
}
