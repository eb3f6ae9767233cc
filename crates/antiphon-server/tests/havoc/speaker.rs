//! A client that speaks the protocol by itself, so that nothing is hidden: whatever comes on the wire is recorded as it
//! comes. It publishes with keys until it has an answer, follows its topics over connections to any node, leaves without
//! a word, ends and begins subscriptions.

use std::{
    collections::BTreeMap,
    sync::{
        Arc,
        atomic::{AtomicBool, Ordering},
    },
    time::Duration,
};

use antiphon_checker::{EndedBy, Event, Outcome};
use antiphon_client::{Raw, Received};
use serde_json::{Value, json};
use tokio::time::{Instant, sleep_until, timeout};

use super::{
    Rng,
    cluster::Doors,
    directory::Account,
    draft::{Arrived, Draft, Speaker, place, topics},
    pause,
    recorder::Recorder,
};

/// After what time without a sign a connection is given up.
const SILENCE: Duration = Duration::from_secs(8);
/// How often it says PING.
const PINGS: Duration = Duration::from_secs(3);
/// How many publishes may wait for their answers.
const OPEN_MAX: usize = 3;

/// What all speakers have in common.
pub struct Company {
    pub doors: Doors,
    pub recorder: Recorder,
    /// Nothing new is published any more.
    pub is_quiet: AtomicBool,
    /// All go home.
    pub is_over: AtomicBool,
    pub pace: Duration,
}

impl Company {
    pub fn is_quiet(&self) -> bool {
        self.is_quiet.load(Ordering::Relaxed)
    }

    pub fn is_over(&self) -> bool {
        self.is_over.load(Ordering::Relaxed)
    }
}

/// A topic and what is known of it.
#[derive(Default)]
struct Stream {
    position: Option<String>,
    /// The server has confirmed it on this connection.
    is_on: bool,
    /// An UNSUBSCRIBE is under way.
    is_ending: bool,
    /// When it is asked for, if it is not on.
    due: Option<Instant>,
}

/// A publish that has no final answer.
struct Open {
    draft: Draft,
    /// When this attempt was sent, on this connection.
    sent: Option<u64>,
    /// When it may be tried again.
    due: Instant,
}

pub struct Client {
    company: Arc<Company>,
    account: Arc<Account>,
    rng: Rng,
    streams: BTreeMap<String, Stream>,
    open: BTreeMap<u64, Open>,
    drafts: u64,
    asks: u64,
    /// What each SUBSCRIBE under way has given: topic and offset.
    given: BTreeMap<String, BTreeMap<String, Option<u64>>>,
    connection: u32,
    node: String,
    /// The node has taken the token; before that nothing else may be said.
    is_known: bool,
    next_draft: Instant,
    /// The token that was refused.
    refused: Option<String>,
}

impl Client {
    pub fn new(company: Arc<Company>, account: Arc<Account>, mut rng: Rng) -> Self {
        let streams = topics(&account.speaker.tenant).into_iter().map(|topic| (topic, Stream::default()));
        let next_draft = Instant::now() + rng.millis(0, 2 * company.pace.as_millis() as u64);
        Self {
            company,
            account,
            streams: streams.collect(),
            rng,
            open: BTreeMap::new(),
            drafts: 0,
            asks: 0,
            given: BTreeMap::new(),
            connection: 0,
            node: String::new(),
            is_known: false,
            next_draft,
            refused: None,
        }
    }

    fn speaker(&self) -> &Speaker {
        &self.account.speaker
    }

    fn recorder(&self) -> &Recorder {
        &self.company.recorder
    }

    fn now(&self) -> u64 {
        self.recorder().now()
    }

    fn name(&self) -> String {
        self.speaker().name.clone()
    }

    pub async fn run(mut self) {
        while !self.company.is_over() {
            let (token, issued) = self.account.token();
            if self.refused.as_deref() == Some(&token) {
                pause(Duration::from_millis(50)).await;
                continue;
            }
            let url = self.rng.pick(&self.company.doors.sockets).clone();
            if let Ok(Ok(raw)) = timeout(SILENCE, Raw::connect(&url)).await {
                self.connection = self.recorder().connection();
                self.node = url;
                self.recorder().push(Event::Connected {
                    client: self.name(),
                    connection: self.connection,
                    node: self.node.clone(),
                    issued,
                    at: self.now(),
                });
                if self.converse(raw, &token).await.is_none() {
                    self.lose();
                }
            }
            pause(self.rng.millis(20, 500)).await;
        }
    }

    /// The connection is over: what was not answered is not known.
    fn lose(&mut self) {
        let now = Instant::now();
        for stream in self.streams.values_mut() {
            let position = stream.position.take();
            // What was unsubscribed comes back in its own time.
            let soon = now + Duration::from_secs(10);
            let due = stream.due.filter(|due| *due > now && *due < soon && !stream.is_on);
            *stream = Stream { position, due, ..Stream::default() };
        }
        self.given.clear();
        let unanswered: Vec<u64> = self.open.keys().copied().collect();
        for number in unanswered {
            self.attempted(number, None, Outcome::Unknown);
            if let Some(open) = self.open.get_mut(&number) {
                (open.sent, open.due) = (None, now);
            }
        }
    }

    /// Records an attempt that was sent.
    fn attempted(&self, number: u64, answered: Option<u64>, outcome: Outcome) {
        let Some(Open { draft, sent: Some(sent), .. }) = self.open.get(&number) else { return };
        let event = draft.attempt(self.speaker(), self.connection, &self.node, *sent, answered, outcome);
        self.recorder().push(event);
    }

    /// Talks until the connection is over, or is left.
    async fn converse(&mut self, raw: Raw, token: &str) -> Option<()> {
        let mut raw = raw.deadline(SILENCE);
        let leaves = Instant::now() + self.rng.millis(2_000, 40_000);
        let mut heard = Instant::now();
        let mut pinged = Instant::now();
        self.is_known = false;
        self.subscribe(&mut raw, Some(token)).await?;
        loop {
            let now = Instant::now();
            if self.company.is_over() || now > heard + SILENCE || (now > leaves && !self.company.is_quiet()) {
                return None;
            }
            if self.is_known && now > pinged + PINGS {
                pinged = now;
                raw.send_json(&json!({"type": "PING"})).await.ok()?;
            }
            self.speak(&mut raw).await?;
            let wakes = self.wakes().min(pinged + PINGS).min(now + Duration::from_millis(500));
            tokio::select! {
                received = raw.receive() => match received {
                    Ok(Received::Text(text)) => {
                        heard = Instant::now();
                        self.hear(&text, token)?;
                    }
                    Ok(Received::Closed(..) | Received::Ended) => return None,
                    Ok(_) => heard = Instant::now(),
                    Err(_) => {}
                },
                () = sleep_until(wakes) => {}
            }
        }
    }

    /// When there is something to say.
    fn wakes(&self) -> Instant {
        let far = Instant::now() + SILENCE;
        if !self.is_known {
            return far;
        }
        let publishes = self.open.values().filter(|open| open.sent.is_none()).map(|open| open.due);
        let streams = self.streams.values().filter(|stream| !stream.is_on).filter_map(|stream| stream.due);
        let draft = if self.open.len() < OPEN_MAX { self.next_draft } else { far };
        publishes.chain(streams).chain([draft]).min().unwrap_or(far)
    }

    /// Says what is due.
    async fn speak(&mut self, raw: &mut Raw) -> Option<()> {
        let now = Instant::now();
        if !self.is_known {
            return Some(());
        }
        if self.streams.values().any(|stream| !stream.is_on && stream.due.is_some_and(|due| due <= now)) {
            self.subscribe(raw, None).await?;
        }
        if !self.company.is_quiet() && now >= self.next_draft && self.open.len() < OPEN_MAX {
            let pace = self.company.pace.as_millis() as u64;
            self.next_draft = now + self.rng.millis(pace / 2, pace * 3 / 2);
            self.drafts += 1;
            let draft = Draft::new(&self.account.speaker, self.drafts, &mut self.rng);
            self.recorder().begin_publish();
            self.open.insert(self.drafts, Open { draft, sent: None, due: now });
        }
        let due: Vec<u64> = self
            .open
            .iter()
            .filter(|(_, open)| open.sent.is_none() && open.due <= now)
            .map(|(number, _)| *number)
            .collect();
        for number in due {
            let sent = self.now();
            let open = self.open.get_mut(&number).expect("it was just there");
            open.sent = Some(sent);
            let Draft { topic, project, key, text } = &open.draft;
            let mut frame = json!({"type": "MESSAGE", "ref": number.to_string(), "topic": topic, "key": key, "text": text});
            if let Some(project) = project {
                frame["projectId"] = json!(project);
            }
            raw.send_json(&frame).await.ok()?;
        }
        if self.rng.below(500) == 0 && !self.company.is_quiet() {
            self.unsubscribe(raw).await?;
        }
        Some(())
    }

    /// Asks for all topics that are due, each from where it was.
    async fn subscribe(&mut self, raw: &mut Raw, token: Option<&str>) -> Option<()> {
        let now = Instant::now();
        let mut given = BTreeMap::new();
        let mut positions = serde_json::Map::new();
        for (topic, stream) in &mut self.streams {
            if stream.is_on || stream.due.is_some_and(|due| due > now) {
                continue;
            }
            // Until it is answered, or the connection is lost, it is not asked for again.
            stream.due = Some(now + Duration::from_secs(3600));
            given.insert(topic.clone(), stream.position.as_deref().map(|position| place(position).offset));
            if let Some(position) = &stream.position {
                positions.insert(topic.clone(), json!(position));
            }
        }
        if given.is_empty() && token.is_none() {
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
        if let Some(token) = token {
            frame["token"] = json!(token);
        }
        self.given.insert(reference, given);
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

    /// Takes a frame; none: the connection is over.
    fn hear(&mut self, text: &str, token: &str) -> Option<()> {
        let frame: Value = serde_json::from_str(text).expect("frames are JSON");
        let said = |field: &str| frame[field].as_str().unwrap_or_default();
        match said("type") {
            "MESSAGE" => {
                let arrived = Arrived {
                    tenant: frame["entry"]["companyId"].as_str().unwrap_or_default(),
                    topic: frame["entry"]["topic"].as_str().unwrap_or_default(),
                    text: said("text"),
                    position: said("position"),
                };
                arrived.record(self.recorder(), &self.account.speaker, self.connection);
                if let Some(stream) = self.streams.get_mut(arrived.topic) {
                    stream.position = Some(arrived.position.to_owned());
                }
            }
            "ACCEPTED" => {
                let number = said("ref").parse().ok()?;
                let place = place(said("position"));
                let duplicate = frame["duplicate"] == true;
                self.attempted(number, Some(self.now()), Outcome::Accepted { place, duplicate });
                if self.open.remove(&number).is_some() {
                    self.recorder().end_publish();
                }
            }
            // The token could not be looked at: somebody else is asked.
            "ERROR" if !self.is_known => return None,
            "ERROR" => self.hear_error(&frame),
            "PONG" => self.is_known = true,
            "SUBSCRIPTION_SUCCESSFUL" => {
                self.is_known = true;
                self.hear_subscribed(&frame);
            }
            "POSITION" => self.moved(&frame),
            "RESET" => self.hear_reset(&frame),
            "UNSUBSCRIPTION_SUCCESSFUL" => {
                let topic = said("ref").strip_prefix('u')?.to_owned();
                self.ended(&topic, EndedBy::Client);
            }
            "UNSUBSCRIBED" => self.ended(said("topic"), EndedBy::Server),
            "TERMINATE_CONNECTION" => {
                assert_ne!(said("text"), "NO_TOKEN_PROVIDED", "it was provided");
                self.refused = Some(token.to_owned());
                return None;
            }
            "RECONNECT" => return None,
            _ => {}
        }
        Some(())
    }

    fn hear_error(&mut self, frame: &Value) {
        let reference = frame["ref"].as_str().unwrap_or_default();
        if let Some(given) = self.given.remove(reference) {
            // All of it was refused; it is asked for again.
            let due = Some(Instant::now() + self.rng.millis(500, 2_000));
            for topic in given.into_keys() {
                self.streams.entry(topic).or_default().due = due;
            }
            return;
        }
        let Ok(number) = reference.parse() else { return };
        match frame["retryAfterMs"].as_u64() {
            Some(after) => {
                self.attempted(number, Some(self.now()), Outcome::Unknown);
                if let Some(open) = self.open.get_mut(&number) {
                    (open.sent, open.due) = (None, Instant::now() + Duration::from_millis(after.min(2_000)));
                }
            }
            None => {
                assert_eq!(frame["code"], "FORBIDDEN", "{frame}");
                self.attempted(number, Some(self.now()), Outcome::Refused);
                if self.open.remove(&number).is_some() {
                    self.recorder().end_publish();
                }
            }
        }
    }

    fn hear_subscribed(&mut self, frame: &Value) {
        let reference = frame["ref"].as_str().unwrap_or_default();
        let Some(given) = self.given.remove(reference) else { return };
        let (at, name) = (self.now(), self.name());
        for (topic, given) in given {
            let answer = &frame["topics"][&topic];
            let Some(position) = answer["position"].as_str() else {
                let due = Some(Instant::now() + self.rng.millis(1_000, 3_000));
                self.streams.entry(topic).or_default().due = due;
                continue;
            };
            let from = place(position);
            let recovered = answer["recovered"] == true;
            let (client, connection) = (name.clone(), self.connection);
            let event =
                Event::Subscribed { client, connection, topic: topic.clone(), given, from, recovered, at };
            self.recorder().push(event);
            let stream = self.streams.entry(topic).or_default();
            *stream = Stream { position: Some(position.to_owned()), is_on: true, ..Stream::default() };
        }
    }

    fn moved(&mut self, frame: &Value) {
        let (topic, position) = (frame["topic"].as_str().unwrap_or_default(), frame["position"].as_str());
        let Some(position) = position else { return };
        let (client, at) = (self.name(), self.now());
        let event = Event::Moved { client, topic: topic.to_owned(), offset: place(position).offset, at };
        self.recorder().push(event);
        self.streams.entry(topic.to_owned()).or_default().position = Some(position.to_owned());
    }

    fn hear_reset(&mut self, frame: &Value) {
        let said = |field: &str| frame[field].as_str().unwrap_or_default().to_owned();
        let (client, at) = (self.name(), self.now());
        let (topic, reason, position) = (said("topic"), said("reason"), said("position"));
        self.recorder().push(Event::Reset { client, topic: topic.clone(), reason, to: place(&position), at });
        self.streams.entry(topic).or_default().position = Some(position);
    }

    fn ended(&mut self, topic: &str, by: EndedBy) {
        let (client, at) = (self.name(), self.now());
        self.recorder().push(Event::Unsubscribed { client, topic: topic.to_owned(), by, at });
        let due = Some(Instant::now() + self.rng.millis(300, 3_000));
        let forgets = by == EndedBy::Client && self.rng.percent(50);
        let stream = self.streams.entry(topic.to_owned()).or_default();
        let position = stream.position.take().filter(|_| !forgets);
        *stream = Stream { position, due, ..Stream::default() };
    }
}
