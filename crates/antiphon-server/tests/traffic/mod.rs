//! Two nodes on one PostgreSQL, each with its own way to one Redis, and traffic over them: entries at a rate, signals beside
//! them, and what arrives at the other node when.
#![allow(dead_code, clippy::unwrap_used)]

use std::{
    sync::{
        Arc,
        atomic::{AtomicBool, Ordering},
    },
    time::{Duration, Instant},
};

use antiphon_client::{Raw, Received};
use antiphon_testkit::{Database, FaultProxy, Redis, redis_or_skip, shared_postgres};
use parking_lot::Mutex;
use serde_json::{Value, json};
use tokio::task::JoinHandle;

use crate::support::{
    antiphon,
    node::{Node, PATIENCE, eventually},
};

/// Between two signals.
const SIGNAL_EVERY: Duration = Duration::from_millis(20);

/// The servers and the two nodes.
pub struct Cluster {
    pub nodes: [Node; 2],
    pub redis: Redis,
    /// Between each node and Redis.
    pub ways: [FaultProxy; 2],
    pub database: Database,
}

impl Cluster {
    /// None: a server is missing on this machine.
    pub fn start(test: &str) -> Option<Self> {
        Self::start_with(test, "", |url| url.to_owned())
    }

    /// With a configuration file of this text, and where the second node's way to the database is another.
    pub fn start_with(test: &str, config: &str, second: impl FnOnce(&str) -> String) -> Option<Self> {
        let (Some(database), Some(redis)) = (shared_postgres(test), redis_or_skip(test)) else { return None };
        assert_eq!(antiphon(&["migrate", "--database", &database.url()]).run().code, 0);
        let ways = [0, 1].map(|_| FaultProxy::start(([127, 0, 0, 1], redis.port()).into()).unwrap());
        let urls = [database.url(), second(&database.url())];
        let nodes = [0, 1].map(|node: usize| {
            let redis = ways[node].url_for(&redis.url());
            Node::serve_with(config, &["--database", &urls[node], "--rate-limit", "0", "--redis", &redis])
        });
        let cluster = Self { nodes, redis, ways, database };
        cluster.trusts_redis();
        Some(cluster)
    }

    /// Waits until both nodes do.
    pub fn trusts_redis(&self) {
        for node in &self.nodes {
            eventually("Redis is trusted", || node.get("/health/ready").contains("\"broker\":true"));
        }
    }

    /// A token of acme's user.
    pub fn token(&self, user: &str) -> String {
        let database = self.database.url();
        let issue = ["token", "issue", "--tenant", "acme", "--user", user, "--database", &database];
        antiphon(&issue).run().stdout.trim_end().to_owned()
    }

    /// A key that may do everything.
    pub fn key(&self) -> String {
        antiphon(&["key", "issue", "--database", &self.database.url()]).run().stdout.trim_end().to_owned()
    }

    /// A socket of this user at this node, subscribed to acme's own topic.
    pub async fn listener(&self, node: usize, token: &str) -> Raw {
        let mut raw = Raw::connect(&self.nodes[node].ws()).await.unwrap();
        raw.send_json(&json!({"type": "SUBSCRIBE", "token": token})).await.unwrap();
        raw.frame_of("SUBSCRIPTION_SUCCESSFUL").await.unwrap();
        raw
    }
}

/// What came to a listener at the other node.
struct Came {
    text: String,
    offset: Option<u64>,
    at: Instant,
}

#[derive(Default)]
struct Log {
    /// When each text was sent.
    sent: Mutex<Vec<(String, Instant)>>,
    /// What nobody should see: an error, a frame that is none of these, an end.
    wrong: Mutex<Vec<String>>,
}

/// Traffic under way.
pub struct Traffic {
    log: Arc<Log>,
    stop: Arc<AtomicBool>,
    says: Vec<JoinHandle<u64>>,
    hears: Vec<(JoinHandle<Vec<Came>>, tokio::sync::oneshot::Sender<u64>)>,
    phases: Vec<(&'static str, Instant)>,
}

/// How late the entries of a phase came to the other node, and how many signals of it did.
pub struct Phase {
    pub name: &'static str,
    pub entries: usize,
    pub p50: Duration,
    pub p99: Duration,
    pub max: Duration,
    pub signals_sent: usize,
    pub signals_heard: usize,
}

impl Traffic {
    /// Half of the entries are said at each node, and heard at the other.
    pub async fn start(cluster: &Cluster, entries_a_second: u32) -> Self {
        let (log, stop) = (Arc::new(Log::default()), Arc::new(AtomicBool::new(false)));
        let token = cluster.token("ann");
        let (mut says, mut hears) = (Vec::new(), Vec::new());
        for node in [0, 1] {
            let raw = cluster.listener(node, &token).await;
            let (told, all) = tokio::sync::oneshot::channel();
            hears.push((tokio::spawn(hear(raw, log.clone(), all)), told));
        }
        let every = Duration::from_secs(2) / entries_a_second;
        for node in [0, 1] {
            for (kind, every) in [("MESSAGE", every), ("SIGNAL", SIGNAL_EVERY)] {
                let mut raw = Raw::connect(&cluster.nodes[node].ws()).await.unwrap();
                raw.send_json(&json!({"type": "PING", "token": token})).await.unwrap();
                raw.frame_of("PONG").await.unwrap();
                says.push(tokio::spawn(say(raw, kind, node, every, log.clone(), stop.clone())));
            }
        }
        Self { log, stop, says, hears, phases: Vec::new() }
    }

    /// From now on what is sent belongs to this phase, for so long.
    pub async fn phase(&mut self, name: &'static str, span: Duration) {
        self.phases.push((name, Instant::now()));
        // poll: the traffic of this time is what is looked at.
        tokio::time::sleep(span).await;
    }

    /// The same until both nodes trust Redis again, and do not ring the spare for the other any more.
    pub async fn phase_until_trusted(&mut self, name: &'static str, cluster: &Cluster) {
        self.phases.push((name, Instant::now()));
        tokio::task::block_in_place(|| cluster.trusts_redis());
        self.phase("trusted again", Duration::from_secs(3)).await;
    }

    /// Ends it, waits for all that is owed, and proves that everything came once and in order, and nothing went wrong.
    pub async fn end(self) -> Vec<Phase> {
        self.stop.store(true, Ordering::Release);
        let mut accepted = 0;
        for one in self.says {
            accepted += one.await.unwrap();
        }
        let mut came = Vec::new();
        for (node, (one, told)) in self.hears.into_iter().enumerate() {
            told.send(accepted).unwrap();
            let heard = one.await.unwrap();
            let offsets: Vec<u64> = heard.iter().filter_map(|came| came.offset).collect();
            assert_eq!(offsets.len() as u64, accepted, "node {node}: each entry once");
            assert!(
                offsets.windows(2).all(|two| two[1] == two[0] + 1),
                "node {node}: in order, without a hole"
            );
            came.push(heard);
        }
        assert_eq!(*self.log.wrong.lock(), Vec::<String>::new());
        let sent = std::mem::take(&mut *self.log.sent.lock());
        let ends = self.phases.iter().skip(1).map(|(_, at)| *at).chain([Instant::now()]);
        let phases = self.phases.iter().zip(ends);
        phases.map(|((name, from), to)| phase(name, *from, to, &sent, &came)).collect()
    }
}

fn phase(
    name: &'static str,
    from: Instant,
    to: Instant,
    sent: &[(String, Instant)],
    came: &[Vec<Came>],
) -> Phase {
    let mut at = std::collections::HashMap::new();
    for (node, came) in came.iter().enumerate() {
        // What was said at the one node, as it came to the other.
        let other = 1 - node;
        at.extend(
            came.iter()
                .filter(|came| came.text.split(' ').nth(1) == Some(if other == 0 { "0" } else { "1" }))
                .map(|came| (came.text.as_str(), came.at)),
        );
    }
    let within = sent.iter().filter(|(_, at)| *at >= from && *at < to);
    let (mut late, mut signals_sent, mut signals_heard) = (Vec::new(), 0, 0);
    for (text, since) in within {
        let came = at.get(text.as_str());
        if text.starts_with("SIGNAL") {
            signals_sent += 1;
            signals_heard += usize::from(came.is_some());
        } else if let Some(came) = came {
            late.push(came.saturating_duration_since(*since));
        }
    }
    late.sort_unstable();
    let (p50, p99) = (percentile(&late, 50), percentile(&late, 99));
    let max = late.last().copied().unwrap_or_default();
    Phase { name, entries: late.len(), p50, p99, max, signals_sent, signals_heard }
}

/// Of sorted values.
fn percentile(sorted: &[Duration], percent: usize) -> Duration {
    sorted.get(sorted.len() * percent / 100).or(sorted.last()).copied().unwrap_or_default()
}

impl std::fmt::Display for Phase {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        let Self { name, entries, p50, p99, max, signals_sent, signals_heard } = self;
        write!(
            f,
            "{name:<28} {entries:>6} entries: p50 {p50:>7.1?} p99 {p99:>7.1?} max {max:>7.1?}; \
             {signals_heard} of {signals_sent} signals"
        )
    }
}

/// Says until it is told to stop, and then waits for its answers; how many entries were accepted.
async fn say(
    mut raw: Raw,
    kind: &'static str,
    node: usize,
    every: Duration,
    log: Arc<Log>,
    stop: Arc<AtomicBool>,
) -> u64 {
    let mut ticks = tokio::time::interval(every);
    let (mut said, mut accepted, mut until) = (0u64, 0u64, None);
    loop {
        if stop.load(Ordering::Acquire) {
            let end = *until.get_or_insert(Instant::now() + PATIENCE);
            if kind == "SIGNAL" || accepted >= said || Instant::now() > end {
                break;
            }
        }
        tokio::select! {
            _ = ticks.tick() => if until.is_none() {
                said += 1;
                let text = format!("{kind} {node} {said}");
                log.sent.lock().push((text.clone(), Instant::now()));
                if let Err(error) = raw.send_json(&json!({"type": kind, "text": text})).await {
                    log.wrong.lock().push(format!("a publisher at node {node}: {error}"));
                    break;
                }
            },
            frame = raw.receive() => match answer(frame) {
                Some(frame) if frame["type"] == "ACCEPTED" => accepted += 1,
                None => {}
                Some(frame) => {
                    log.wrong.lock().push(format!("a publisher at node {node} heard {frame}"));
                    break;
                }
            },
        }
    }
    if kind == "MESSAGE" && accepted != said {
        log.wrong.lock().push(format!("at node {node} {accepted} of {said} were accepted"));
    }
    accepted
}

/// A frame, or what ended it; none: nothing yet.
fn answer(received: Result<Received, antiphon_client::Error>) -> Option<Value> {
    match received {
        Ok(Received::Text(text)) => Some(serde_json::from_str(&text).unwrap_or(Value::String(text))),
        Ok(Received::Ping(_) | Received::Pong(_)) | Err(antiphon_client::Error::Timeout) => None,
        other => Some(Value::String(format!("{other:?}"))),
    }
}

/// Hears until all have come of which it is told.
async fn hear(mut raw: Raw, log: Arc<Log>, mut all: tokio::sync::oneshot::Receiver<u64>) -> Vec<Came> {
    let (mut came, mut entries, mut owed, mut end) = (Vec::new(), 0, u64::MAX, None);
    while entries < owed && end.is_none_or(|end| Instant::now() < end) {
        let frame = tokio::select! {
            told = &mut all, if end.is_none() => {
                owed = told.unwrap_or(0);
                end = Some(Instant::now() + PATIENCE);
                continue;
            }
            frame = raw.receive() => answer(frame),
        };
        let Some(frame) = frame else { continue };
        match frame["type"].as_str() {
            Some("MESSAGE" | "SIGNAL") => {
                let (text, offset) =
                    (frame["text"].as_str().unwrap_or("").to_owned(), frame["offset"].as_u64());
                entries += u64::from(offset.is_some());
                came.push(Came { text, offset, at: Instant::now() });
            }
            Some("POSITION") => {}
            _ => {
                log.wrong.lock().push(format!("a listener heard {frame}"));
                break;
            }
        }
    }
    came
}
