//! A client that speaks the protocol by itself, so that nothing is hidden: whatever comes on the wire is recorded as it
//! comes. It publishes with keys until it has an answer, and follows its topics over connections to any node.

mod hear;
mod stream;

use std::{
    collections::BTreeMap,
    sync::{Arc, atomic::Ordering},
    time::Duration,
};

use antiphon_checker::{Event, Outcome, Rng};
use antiphon_client::{Raw, Received};
use serde_json::{Map, Value, json};
use tokio::time::{Instant, sleep_until, timeout};

use super::{
    company::{Account, Company, pause},
    draft::{Attempt, Author, Draft, Payload, SIGNALS, topics},
};
use stream::{Open, Stream};

/// After what time without a sign a connection is given up.
const SILENCE: Duration = Duration::from_secs(8);
/// How often it says PING.
const PINGS: Duration = Duration::from_secs(3);
/// How many publishes of one client may wait for their answers.
const OPEN_MAX: usize = 8;
/// Of a hundred publishes so many are followed by a signal.
const SIGNALS_PERCENT: usize = 20;
/// For how long another node is taken after one could not be reached.
const AVOIDED: Duration = Duration::from_secs(5);
/// Until what was asked for has its answer, or the connection is lost.
const ASKED: Duration = Duration::from_secs(3600);

/// One connection after the other.
pub struct Client {
    company: Arc<Company>,
    account: Arc<Account>,
    rng: Rng,
    /// It is on its way all the time; others stay at their own node.
    wanders: bool,
    home: usize,
    /// When each node could not be reached for the last time.
    missed: Vec<Option<Instant>>,
    streams: BTreeMap<String, Stream>,
    open: BTreeMap<u64, Open>,
    drafts: u64,
    asks: u64,
    /// What each SUBSCRIBE under way has given: topic and offset.
    given: BTreeMap<String, BTreeMap<String, Option<u64>>>,
    connection: u32,
    node: usize,
    /// The node has taken the token; before that nothing else may be said.
    is_known: bool,
    next_draft: Instant,
    /// The token that was shown.
    shown: String,
    /// The token that was refused.
    refused: Option<String>,
}

impl Client {
    /// Not connected yet. One of three wanders.
    pub fn new(company: Arc<Company>, account: Arc<Account>, mut rng: Rng) -> Self {
        let streams = topics(&account.tenant).into_iter().map(|topic| (topic, Stream::default()));
        let next_draft = Instant::now() + rng.between(Duration::ZERO, company.plan.pace);
        let number = account.index / 2;
        Self {
            streams: streams.collect(),
            wanders: account.index % 3 == 2,
            home: number % company.api.len(),
            missed: vec![None; company.api.len()],
            company,
            account,
            rng,
            open: BTreeMap::new(),
            drafts: 0,
            asks: 0,
            given: BTreeMap::new(),
            connection: 0,
            node: 0,
            is_known: false,
            next_draft,
            shown: String::new(),
            refused: None,
        }
    }

    fn now(&self) -> u64 {
        self.company.journal.now()
    }

    fn record(&self, event: Event) {
        self.company.journal.recorder.push(event);
    }

    fn name(&self) -> String {
        self.account.name.clone()
    }

    /// Comes and goes until all is over.
    pub async fn run(mut self) {
        while !self.company.is_over() {
            let token = self.account.token();
            if self.refused.as_ref() == Some(&token.text) {
                pause(Duration::from_millis(50)).await;
                continue;
            }
            self.node = self.choose();
            let url = self.company.api.socket(self.node);
            match timeout(SILENCE, Raw::connect_tls(&url, self.company.tls.clone())).await {
                Ok(Ok(raw)) => {
                    self.connected(token.issued);
                    self.converse(raw, token.text).await;
                    self.lose();
                }
                _ => {
                    self.missed[self.node] = Some(Instant::now());
                    self.company.journal.count(|figures| figures.nodes[self.node].failures += 1);
                }
            }
            pause(self.rng.millis(20, 400)).await;
        }
    }

    /// The own node, or any other while that one is away.
    fn choose(&mut self) -> usize {
        let is_there = |at: &Option<Instant>| at.is_none_or(|at| at.elapsed() > AVOIDED);
        if !self.wanders && is_there(&self.missed[self.home]) {
            return self.home;
        }
        let there: Vec<usize> = (0..self.missed.len()).filter(|node| is_there(&self.missed[*node])).collect();
        if there.is_empty() { self.rng.below(self.missed.len()) } else { *self.rng.pick(&there) }
    }

    /// For how long it stays.
    fn stay(&mut self) -> Duration {
        match (self.wanders, self.node == self.home) {
            (true, _) => self.rng.millis(1_000, 12_000),
            (false, true) => self.rng.millis(60_000, 180_000),
            (false, false) => self.rng.millis(5_000, 15_000),
        }
    }

    fn connected(&mut self, issued: u64) {
        self.connection = self.company.journal.recorder.connection();
        self.company.journal.count(|figures| figures.nodes[self.node].connections += 1);
        self.record(Event::Connected {
            client: self.name(),
            connection: self.connection,
            node: self.company.api.name(self.node).to_owned(),
            issued,
            at: self.now(),
        });
    }

    /// The connection is over: what was not answered is not known.
    fn lose(&mut self) {
        self.account.is_settled.store(false, Ordering::SeqCst);
        let now = Instant::now();
        for (topic, stream) in &mut self.streams {
            if stream.is_on && topic == SIGNALS {
                self.company.listens(&self.account, false);
            }
            stream.lose();
        }
        self.given.clear();
        let unanswered: Vec<u64> =
            self.open.iter().filter(|(_, open)| open.sent.is_some()).map(|(number, _)| *number).collect();
        for number in unanswered {
            self.company.journal.error("CONNECTION_LOST");
            self.attempted(number, None, Outcome::Unknown);
            if let Some(open) = self.open.get_mut(&number) {
                (open.sent, open.due) = (None, now);
            }
        }
    }

    /// Records an attempt that was sent.
    fn attempted(&self, number: u64, answered: Option<u64>, outcome: Outcome) {
        let Some(Open { draft, sent: Some(sent), .. }) = self.open.get(&number) else { return };
        let attempt = Attempt {
            client: &self.account.name,
            connection: self.connection,
            node: self.company.api.name(self.node),
            sent: *sent,
        };
        self.record(draft.attempt(attempt, answered, outcome));
    }

    /// A publish has its answer for good.
    fn finish(&mut self, number: u64) {
        if self.open.remove(&number).is_some() {
            self.company.journal.recorder.end_publish();
        }
    }

    /// Talks until the connection is over, or is left.
    async fn converse(&mut self, raw: Raw, token: String) -> Option<()> {
        let mut raw = raw.deadline(SILENCE);
        let leaves = Instant::now() + self.stay();
        let (mut heard, mut pinged) = (Instant::now(), Instant::now());
        self.is_known = false;
        self.shown = token;
        self.subscribe(&mut raw, true).await?;
        loop {
            let now = Instant::now();
            if self.company.is_over() {
                return None;
            }
            if now > heard + SILENCE {
                return self.ended_for("SILENCE");
            }
            if now > leaves && self.company.works() {
                self.company.journal.count(|figures| figures.moves += 1);
                return None;
            }
            if self.is_known && now > pinged + PINGS {
                pinged = now;
                self.ping(&mut raw).await?;
            }
            self.speak(&mut raw).await?;
            self.account.is_settled.store(self.is_settled(), Ordering::SeqCst);
            let wakes = self.wakes().min(pinged + PINGS).min(now + Duration::from_millis(200));
            tokio::select! {
                received = raw.receive() => match received {
                    Ok(Received::Text(text)) => {
                        heard = Instant::now();
                        self.hear(&text)?;
                    }
                    Ok(Received::Closed(..)) => return self.ended_for("CLOSED"),
                    Ok(Received::Ended) => return self.ended_for("BROKEN"),
                    Ok(_) => heard = Instant::now(),
                    Err(_) => {}
                },
                () = sleep_until(wakes) => {}
            }
        }
    }

    /// The connection was ended by the other side, or by what lies between.
    fn ended_for(&self, reason: &str) -> Option<()> {
        self.company.journal.count(|figures| *figures.ended.entry(reason.to_owned()).or_default() += 1);
        None
    }

    /// Says that it is there, and shows a new token where there is one.
    async fn ping(&mut self, raw: &mut Raw) -> Option<()> {
        let mut frame = json!({"type": "PING"});
        let token = self.account.token().text;
        if token != self.shown {
            frame["token"] = json!(token);
            self.shown = token;
        }
        raw.send_json(&frame).await.ok()
    }

    /// Every stream that was on is on again, and nothing waits for an answer.
    fn is_settled(&self) -> bool {
        self.is_known && self.given.is_empty() && self.streams.values().all(|stream| !stream.is_owed())
    }

    /// When there is something to say.
    fn wakes(&self) -> Instant {
        let far = Instant::now() + SILENCE;
        if !self.is_known {
            return far;
        }
        let publishes = self.open.values().filter(|open| open.sent.is_none()).map(|open| open.due);
        let streams = self.streams.values().filter(|stream| !stream.is_on).filter_map(|stream| stream.due);
        let drafts = self.company.works() && self.open.len() < OPEN_MAX;
        let draft = if drafts { self.next_draft } else { far };
        publishes.chain(streams).chain([draft]).min().unwrap_or(far)
    }

    /// Says what is due.
    async fn speak(&mut self, raw: &mut Raw) -> Option<()> {
        let now = Instant::now();
        if !self.is_known {
            return Some(());
        }
        if self.streams.values().any(|stream| !stream.is_on && stream.due.is_some_and(|due| due <= now)) {
            self.subscribe(raw, false).await?;
        }
        if self.company.works() && now >= self.next_draft && self.open.len() < OPEN_MAX {
            self.draft(now);
            if self.rng.percent(SIGNALS_PERCENT) {
                self.signal(raw).await?;
            }
            // One in many changes its mind about a topic.
            if self.rng.below(300) == 0 {
                self.unsubscribe(raw).await?;
            }
        }
        let due: Vec<u64> = self
            .open
            .iter()
            .filter(|(_, open)| open.sent.is_none() && open.due <= now)
            .map(|(number, _)| *number)
            .collect();
        for number in due {
            self.publish(raw, number).await?;
        }
        Some(())
    }

    fn draft(&mut self, now: Instant) {
        let pace = self.company.plan.pace;
        self.next_draft = now + self.rng.between(pace / 2, pace * 3 / 2);
        self.drafts += 1;
        let author = Author {
            name: &self.account.name,
            tenant: &self.account.tenant,
            projects: self.account.projects,
            node: self.node,
            now: self.company.journal.now(),
        };
        let draft = Draft::new(&author, self.drafts, &mut self.rng);
        self.company.journal.recorder.begin_publish();
        self.open.insert(self.drafts, Open { draft, sent: None, due: now });
    }

    async fn publish(&mut self, raw: &mut Raw, number: u64) -> Option<()> {
        let sent = self.now();
        let open = self.open.get_mut(&number)?;
        open.sent = Some(sent);
        let Draft { topic, project, key, text } = &open.draft;
        let mut frame =
            json!({"type": "MESSAGE", "ref": number.to_string(), "topic": topic, "key": key, "text": text});
        if let Some(project) = project {
            frame["projectId"] = json!(project);
        }
        self.company.journal.count(|figures| figures.nodes[self.node].attempts += 1);
        raw.send_json(&frame).await.ok()
    }

    /// For all, or for the members of a project.
    async fn signal(&mut self, raw: &mut Raw) -> Option<()> {
        let Account { name, tenant, projects, side, .. } = &*self.account;
        let audience = (!projects.is_empty() && self.rng.percent(50)).then(|| *self.rng.pick(projects));
        let (number, node, sent) = (self.drafts, self.node, self.now());
        let payload = Payload { tenant, audience, author: name, number, node, sent };
        let text = payload.write(&mut self.rng);
        let mut frame = json!({"type": "SIGNAL", "topic": SIGNALS, "text": text});
        if let Some(audience) = audience {
            frame["projectId"] = json!(audience);
        }
        let ears = self.company.ears(*side, audience);
        self.company.journal.count(|figures| {
            figures.signals.sent += 1;
            figures.signals.expected += ears;
        });
        raw.send_json(&frame).await.ok()
    }

    /// Asks for all topics that are due, each from where it was. The first frame of a connection has the token.
    async fn subscribe(&mut self, raw: &mut Raw, is_first: bool) -> Option<()> {
        let now = Instant::now();
        let mut given = BTreeMap::new();
        let mut positions = Map::new();
        for (topic, stream) in &mut self.streams {
            if stream.is_on || stream.due.is_some_and(|due| due > now) {
                continue;
            }
            stream.due = Some(now + ASKED);
            given.insert(topic.clone(), stream.place.map(|place| place.offset));
            if let Some(position) = &stream.position {
                positions.insert(topic.clone(), Value::from(position.clone()));
            }
        }
        if given.is_empty() && !is_first {
            return Some(());
        }
        self.asks += 1;
        let reference = format!("s{}", self.asks);
        let names: Vec<&String> = given.keys().collect();
        let mut frame =
            json!({"type": "SUBSCRIBE", "ref": reference, "topics": names, "positions": positions});
        if given.is_empty() {
            frame = json!({"type": "PING", "ref": reference});
        }
        if is_first {
            frame["token"] = json!(self.shown);
        }
        if !given.is_empty() {
            self.given.insert(reference, given);
        }
        raw.send_json(&frame).await.ok()
    }

    async fn unsubscribe(&mut self, raw: &mut Raw) -> Option<()> {
        let on: Vec<&String> = self
            .streams
            .iter()
            .filter(|(_, stream)| stream.is_on && !stream.is_ending)
            .map(|(topic, _)| topic)
            .collect();
        if on.is_empty() {
            return Some(());
        }
        let topic = (*self.rng.pick(&on)).clone();
        self.streams.get_mut(&topic)?.is_ending = true;
        let frame = json!({"type": "UNSUBSCRIBE", "ref": format!("u{topic}"), "topics": [topic]});
        raw.send_json(&frame).await.ok()
    }
}
