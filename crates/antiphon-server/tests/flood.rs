//! Who says too much pays for it alone.

#![allow(clippy::unwrap_used)]

mod crowd;

use std::{
    io::Write,
    sync::{
        Arc,
        atomic::{AtomicBool, AtomicU64, Ordering},
    },
    time::{Duration, Instant},
};

use crowd::{Ear, Server, frame_of, jwt};
use serde_json::{Value, json};

const RATE: u64 = 50;
const FLOODERS: usize = 3;
const QUIET: usize = 20;
/// Publishes of each quiet client, one after the other; less than its own burst.
const PUBLISHES: usize = 40;
/// How long one of these may take on a busy machine while others flood.
const SLOWEST: Duration = Duration::from_secs(6);
/// Jain's index of the rates that the quiet clients get: 1 where all are equal, 1/20 where one has all.
const FAIRNESS: f64 = 0.9;
/// The same of the two tenants that they are of.
const FAIRNESS_OF_TENANTS: f64 = 0.95;

fn jain(rates: &[f64]) -> f64 {
    let sum: f64 = rates.iter().sum();
    sum * sum / (rates.len() as f64 * rates.iter().map(|rate| rate * rate).sum::<f64>())
}

fn config(strikes: u32) -> String {
    format!("shards = 1\nrate_limit = {RATE}\n[limits]\nrate_burst_seconds = 1\nrate_strikes = {strikes}\n")
}

fn identified(server: &Server, tenant: &str, user: &str, topic: &str) -> Ear {
    let mut ear = Ear::connect(server.address());
    ear.say(&json!({"type": "SUBSCRIBE", "token": jwt(tenant, user), "topics": [topic]}));
    ear.wait_for("SUBSCRIPTION_SUCCESSFUL");
    ear
}

/// What a flooder was answered.
#[derive(Default)]
struct Tally {
    said: AtomicU64,
    accepted: AtomicU64,
    limited: AtomicU64,
}

/// Says a message as often as the socket takes one, until told to end.
fn flood(mut ear: Ear, tally: &Tally, ends: &AtomicBool) {
    let mut socket = ear.socket.try_clone().unwrap();
    let frames = frame_of(1, br#"{"type":"MESSAGE","topic":"flood","text":"more"}"#).repeat(20);
    let mut at = 0;
    while !ends.load(Ordering::Relaxed) {
        // Its socket is shared with the ear and does not block.
        match socket.write(&frames[at..]) {
            Ok(taken) => {
                at = (at + taken) % frames.len();
                tally.said.fetch_add(u64::from(at == 0) * 20, Ordering::Relaxed);
            }
            Err(error) => assert_eq!(error.kind(), std::io::ErrorKind::WouldBlock, "it is not ended"),
        }
        ear.listen();
        assert!(!ear.is_over, "it is not ended");
        for text in ear.heard.drain(..) {
            let frame: Value = serde_json::from_str(&text).unwrap();
            match (frame["type"].as_str(), frame["code"].as_str()) {
                (Some("ACCEPTED"), _) => drop(tally.accepted.fetch_add(1, Ordering::Relaxed)),
                (Some("ERROR"), Some("RATE_LIMITED")) => {
                    assert!(frame["retryAfterMs"].as_u64().is_some_and(|wait| wait > 0), "{frame}");
                    tally.limited.fetch_add(1, Ordering::Relaxed);
                }
                (Some("MESSAGE"), _) => {}
                _ => panic!("{frame}"),
            }
        }
    }
}

/// A client that says the next message when the last is answered.
struct Quiet {
    ear: Ear,
    accepted: usize,
    said_at: Instant,
    slowest: Duration,
    /// When the last of its messages was accepted.
    done_at: Option<Instant>,
}

impl Quiet {
    fn new(server: &Server, tenant: &str, user: &str) -> Self {
        let ear = identified(server, tenant, user, &format!("of-{user}"));
        Self { ear, accepted: 0, said_at: Instant::now(), slowest: Duration::ZERO, done_at: None }
    }

    fn say(&mut self) {
        self.said_at = Instant::now();
        self.ear.say(&json!({"type": "MESSAGE", "topic": "quiet", "text": "hello"}));
    }

    /// True once all that it wants to say is accepted.
    fn goes_on(&mut self) -> bool {
        self.ear.listen();
        for text in std::mem::take(&mut self.ear.heard) {
            assert!(!text.contains(r#""type":"ERROR""#), "{text}");
            if !text.contains(r#""type":"ACCEPTED""#) {
                continue;
            }
            self.accepted += 1;
            self.slowest = self.slowest.max(self.said_at.elapsed());
            if self.accepted < PUBLISHES {
                self.say();
            } else {
                self.done_at = Some(Instant::now());
            }
        }
        self.done_at.is_some()
    }
}

#[test]
fn who_floods_is_told_when_to_come_again_and_the_publishes_of_others_on_its_shard_go_on() {
    let server = Server::start(&config(u32::MAX), &[]);
    let (tally, ends) = (Arc::new(Tally::default()), Arc::new(AtomicBool::new(false)));
    let began = Instant::now();
    let flooders: Vec<_> = (0..FLOODERS)
        .map(|_| {
            let (ear, tally, ends) =
                (identified(&server, "acme", "eve", "flood"), tally.clone(), ends.clone());
            std::thread::spawn(move || flood(ear, &tally, &ends))
        })
        .collect();
    let limited = || tally.limited.load(Ordering::Relaxed);
    crowd::wait("they are over their rate", || limited() > 1000);
    // Half of them beside the flooders in their tenant, half in another one.
    let tenant = |number: usize| if number.is_multiple_of(2) { "acme" } else { "globex" };
    let mut quiet: Vec<Quiet> =
        (0..QUIET).map(|number| Quiet::new(&server, tenant(number), &format!("u{number}"))).collect();
    let (since, before) = (Instant::now(), limited());
    quiet.iter_mut().for_each(Quiet::say);
    crowd::wait("all have published", || {
        quiet.iter_mut().map(Quiet::goes_on).filter(|done| !done).count() == 0
    });
    let during = limited() - before;
    ends.store(true, Ordering::Relaxed);
    flooders.into_iter().for_each(|flooder| flooder.join().unwrap());

    // The flooders have their rate and no more; their bursts are the first second's.
    let accepted = tally.accepted.load(Ordering::Relaxed);
    let most = FLOODERS as u64 * RATE * (began.elapsed().as_secs() + 2);
    let rates: Vec<f64> =
        quiet.iter().map(|one| 1.0 / (one.done_at.expect("done") - since).as_secs_f64()).collect();
    let tenants = [0, 1].map(|first| rates.iter().skip(first).step_by(2).sum::<f64>());
    let (jain, jain_of_tenants) = (jain(&rates), jain(&tenants));
    let slowest = quiet.iter().map(|one| one.slowest).max().unwrap();
    println!(
        "{} publishes of {QUIET}, the slowest in {slowest:?}, Jain's index {jain:.3}, of two tenants {jain_of_tenants:.3}; meanwhile {during} frames were \
         refused; of the flood {accepted} were accepted, at most {most} may be",
        QUIET * PUBLISHES
    );
    assert!(during > 100, "it was a flood while they published: {during}");
    assert!(accepted <= most, "{accepted} of a flood");
    assert!(slowest < SLOWEST && jain > FAIRNESS && jain_of_tenants > FAIRNESS_OF_TENANTS);
}

#[test]
fn who_goes_on_is_ended_with_4029_and_who_waits_as_long_as_it_was_told_is_heard() {
    let server = Server::start(&config(100), &[]);
    let mut heeds = identified(&server, "acme", "ann", "flood");
    let mut goes_on = identified(&server, "acme", "eve", "flood");
    let ping = json!({"type": "PING"});
    for _ in 0..2 * RATE {
        goes_on.say(&ping);
        heeds.say(&ping);
    }
    let refused = heeds.wait_for("ERROR");
    assert_eq!(refused["code"], "RATE_LIMITED");
    crowd::wait("eve is ended", || {
        for _ in 0..20 {
            goes_on.say(&ping);
        }
        goes_on.listen();
        goes_on.closed.is_some()
    });
    assert_eq!(goes_on.closed, Some(4029));
    // All that was answered is here, and the last answer says how long.
    heeds.listen();
    let last = heeds.heard.last().map_or(refused, |text| serde_json::from_str(text).unwrap());
    heeds.heard.clear();
    let (until, wait) = (Instant::now(), Duration::from_millis(last["retryAfterMs"].as_u64().unwrap()));
    crowd::wait("the time that it was told", || until.elapsed() >= wait);
    heeds.say(&ping);
    heeds.wait_for("PONG");
    crowd::wait("only ann is left", || server.figure("connections") == 1);
}
