//! Publishers at a rate that does not wait for answers. Each entry's text begins with the time at which it should have been
//! sent, and the number of its node; so what is late with the publisher counts too.

use std::{
    net::SocketAddr,
    sync::{
        Arc,
        atomic::{AtomicBool, Ordering},
    },
    time::Duration,
};

use antiphon_client::{Client, Draft, Raw, Received};
use serde_json::json;
use tokio::{
    task::JoinHandle,
    time::{Instant, sleep_until, timeout},
};

use super::{PATIENCE, now_us, settings::Random};

/// What is published.
#[derive(Clone)]
pub struct Plan {
    /// Entries a second, of all publishers.
    pub rate: f64,
    pub publishers: usize,
    pub topics: Vec<String>,
    /// Of an entry's text.
    pub bytes: usize,
    pub token: String,
    pub seed: u64,
}

/// What became of it.
#[derive(Default, Debug)]
pub struct Said {
    pub said: u64,
    pub accepted: u64,
    /// Errors, and publishers that were cut off.
    pub wrong: Vec<String>,
}

/// Publishers at work.
pub struct Says {
    stop: Arc<AtomicBool>,
    tasks: Vec<JoinHandle<Said>>,
}

impl Says {
    /// On plain sockets, at one node after the other; an error is told and not tried again.
    pub async fn plain(addresses: &[SocketAddr], plan: &Plan) -> Self {
        let stop = Arc::new(AtomicBool::new(false));
        let mut tasks = Vec::new();
        for number in 0..plan.publishers {
            let node = number % addresses.len();
            let mut raw = Raw::connect(&ws(addresses[node])).await.unwrap();
            raw.send_json(&json!({"type": "PING", "token": plan.token})).await.unwrap();
            raw.frame_of("PONG").await.unwrap();
            let pace = Pace::new(plan, number, node, &stop);
            tasks.push(tokio::spawn(say(raw, plan.clone(), pace)));
        }
        Self { stop, tasks }
    }

    /// By the Rust client, which knows all nodes and comes back to another one.
    pub async fn clients(addresses: &[SocketAddr], plan: &Plan) -> Self {
        let stop = Arc::new(AtomicBool::new(false));
        let mut tasks = Vec::new();
        for number in 0..plan.publishers {
            let node = number % addresses.len();
            let others = (1..addresses.len()).map(|further| addresses[(node + further) % addresses.len()]);
            let builder = Client::builder(ws(addresses[node]));
            let builder = others.fold(builder, |builder, other| builder.url(ws(other)));
            let client = builder.token(plan.token.clone()).connect().await.unwrap();
            let pace = Pace::new(plan, number, node, &stop);
            tasks.push(tokio::spawn(say_by_client(client, plan.clone(), pace)));
        }
        Self { stop, tasks }
    }

    /// Ends it, and waits for all answers.
    pub async fn end(self) -> Said {
        self.stop.store(true, Ordering::Relaxed);
        let mut all = Said::default();
        for task in self.tasks {
            let said = task.await.unwrap();
            all.said += said.said;
            all.accepted += said.accepted;
            all.wrong.extend(said.wrong);
        }
        all
    }
}

fn ws(address: SocketAddr) -> String {
    format!("ws://{address}/ws")
}

/// When one publisher says what.
struct Pace {
    next: Instant,
    next_us: f64,
    every: Duration,
    node: usize,
    /// All publishers together take one topic after the other: by chance a topic would wait for long.
    turn: usize,
    turns: usize,
    filler: String,
    stop: Arc<AtomicBool>,
}

impl Pace {
    fn new(plan: &Plan, number: usize, node: usize, stop: &Arc<AtomicBool>) -> Self {
        let every = Duration::from_secs_f64(plan.publishers as f64 / plan.rate);
        // They take turns.
        let first = every.mul_f64(number as f64 / plan.publishers as f64);
        let (next, next_us) = (Instant::now() + first, now_us() as f64 + first.as_micros() as f64);
        let filler = Random(plan.seed.wrapping_add(number as u64)).text(plan.bytes.saturating_sub(19));
        Self { next, next_us, every, node, turn: number, turns: plan.publishers, filler, stop: stop.clone() }
    }

    fn is_over(&self) -> bool {
        self.stop.load(Ordering::Relaxed)
    }

    /// The text that is due, and its topic.
    fn text<'a>(&mut self, plan: &'a Plan) -> (&'a str, String) {
        let text = format!("{} {} {}", self.next_us as u64, self.node, self.filler);
        self.next += self.every;
        self.next_us += self.every.as_secs_f64() * 1e6;
        let topic = &plan.topics[self.turn % plan.topics.len()];
        self.turn += self.turns;
        (topic, text)
    }
}

async fn say(mut raw: Raw, plan: Plan, mut pace: Pace) -> Said {
    let mut said = Said::default();
    while !pace.is_over() {
        tokio::select! {
            () = sleep_until(pace.next) => {
                let (topic, text) = pace.text(&plan);
                said.said += 1;
                let frame = format!(r#"{{"type":"MESSAGE","topic":"{topic}","text":"{text}"}}"#);
                if let Err(error) = raw.send_text(frame).await {
                    said.wrong.push(format!("cut off: {error}"));
                    return said;
                }
            }
            answer = raw.receive() => if !take(&mut said, answer) { return said },
        }
    }
    while said.accepted + (said.wrong.len() as u64) < said.said {
        let Ok(answer) = timeout(PATIENCE, raw.receive()).await else { break };
        if !take(&mut said, answer) {
            break;
        }
    }
    said
}

/// Whether the connection goes on.
fn take(said: &mut Said, answer: Result<Received, antiphon_client::Error>) -> bool {
    match answer {
        Ok(Received::Text(text)) if text.starts_with(r#"{"type":"ACCEPTED""#) => said.accepted += 1,
        Ok(Received::Text(text)) => said.wrong.push(text),
        Ok(Received::Ping(_) | Received::Pong(_)) | Err(antiphon_client::Error::Timeout) => {}
        other => {
            said.wrong.push(format!("cut off: {other:?}"));
            return false;
        }
    }
    true
}

async fn say_by_client(client: Client, plan: Plan, mut pace: Pace) -> Said {
    let (mut said, mut answers) = (Said::default(), Vec::new());
    while !pace.is_over() {
        sleep_until(pace.next).await;
        let (topic, text) = pace.text(&plan);
        said.said += 1;
        let (client, draft) = (client.clone(), Draft::text(&text).topic(topic));
        answers.push(tokio::spawn(async move { client.publish(draft).await }));
    }
    for answer in answers {
        match answer.await.unwrap() {
            Ok(_) => said.accepted += 1,
            Err(error) => said.wrong.push(error.to_string()),
        }
    }
    client.close().await;
    said
}
