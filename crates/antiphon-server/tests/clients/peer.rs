//! One client of a conversation: its proxies, what it heard, and what became of its connection.

use std::{collections::BTreeMap, sync::Arc, time::Duration};

use antiphon_client::{Backoff, Client, Content, Error, Event, Refusal, Start, State, Subscription};
use antiphon_testkit::{FaultProxy, wait_until_async};
use parking_lot::Mutex;
use serde_json::Value;
use tokio::sync::watch;

use super::node::Nodes;

pub const PATIENCE: Duration = Duration::from_secs(30);

/// What was heard, by its topic.
#[derive(Default)]
pub struct Heard {
    pub entries: BTreeMap<String, Vec<Value>>,
    pub signals: BTreeMap<String, Vec<Value>>,
    /// Kind, topic and reason.
    pub events: Vec<(&'static str, String, String)>,
    /// The position after the last event of each topic.
    pub positions: BTreeMap<String, String>,
}

pub struct Peer {
    pub proxies: Vec<FaultProxy>,
    pub client: Client,
    pub heard: Arc<Mutex<Heard>>,
    /// Whether its application deals with events.
    pub open: watch::Sender<bool>,
    /// Whether it was without a connection since it connected.
    away: Arc<Mutex<bool>>,
}

impl Peer {
    pub async fn connect(
        nodes: &Nodes,
        tenant: &str,
        user: &str,
        ttl: Option<u64>,
        inbox: Option<u64>,
    ) -> Self {
        let proxies: Vec<FaultProxy> =
            nodes.addresses().iter().map(|at| FaultProxy::start(*at).unwrap()).collect();
        let mut urls = proxies.iter().map(|proxy| format!("ws://{}", proxy.address()));
        let backoff = Backoff {
            base: Duration::from_millis(5),
            cap: Duration::from_millis(50),
            stable: Duration::from_secs(30),
        };
        let mut builder = Client::builder(urls.next().unwrap()).backoff(backoff);
        for url in urls {
            builder = builder.url(url);
        }
        if let Some(inbox) = inbox {
            builder = builder.inbox(usize::try_from(inbox).unwrap(), usize::MAX);
        }
        let first = nodes.token(tenant, user, ttl.unwrap_or(600));
        builder = match ttl {
            None => builder.token(first),
            Some(_) => {
                let later = nodes.token(tenant, user, 600);
                let tokens = Arc::new(Mutex::new(vec![later, first]));
                builder.token_source(move || {
                    let mut tokens = tokens.lock();
                    let token = if tokens.len() > 1 { tokens.pop() } else { tokens.first().cloned() };
                    async move { token.ok_or("no token is left") }
                })
            }
        };
        let client = builder.connect().await.unwrap();
        let away = Arc::new(Mutex::new(false));
        let peer = Self { proxies, client, heard: Arc::default(), open: watch::channel(true).0, away };
        peer.reaches(|state| matches!(state, State::Online { .. })).await;
        peer.watch();
        peer
    }

    fn watch(&self) {
        let (mut state, away) = (self.client.state(), Arc::clone(&self.away));
        tokio::spawn(async move {
            while state.changed().await.is_ok() {
                *away.lock() |= !matches!(&*state.borrow_and_update(), State::Online { .. });
            }
        });
    }

    pub async fn reaches(&self, is: impl FnMut(&State) -> bool) {
        let mut state = self.client.state();
        tokio::time::timeout(PATIENCE, state.wait_for(is)).await.unwrap().unwrap();
    }

    pub fn was_away(&self) -> bool {
        *self.away.lock()
    }

    /// Subscribes, and gives what became of each topic.
    pub async fn subscribe(
        &self,
        topics: &[String],
        from: BTreeMap<String, String>,
    ) -> BTreeMap<String, String> {
        match self.client.subscribe_from(topics.iter().cloned(), from).await {
            Ok(subscription) => {
                let outcome = |(topic, start): (&String, &Result<Start, Refusal>)| {
                    let became = match start {
                        Ok(start) if start.recovered => "recovered".to_owned(),
                        Ok(_) => "began".to_owned(),
                        Err(refusal) => code(&Error::Refused(refusal.clone())),
                    };
                    (topic.clone(), became)
                };
                let outcomes = subscription.topics().iter().map(outcome).collect();
                self.listen(subscription);
                outcomes
            }
            Err(error) => topics.iter().map(|topic| (topic.clone(), code(&error))).collect(),
        }
    }

    /// Deals with events for as long as they come.
    fn listen(&self, mut subscription: Subscription) {
        let (heard, mut open) = (Arc::clone(&self.heard), self.open.subscribe());
        tokio::spawn(async move {
            while open.wait_for(|open| *open).await.is_ok() {
                let Some(event) = subscription.next().await else { return };
                heard.lock().note(event);
            }
        });
    }

    /// Waits until what was heard is so.
    pub async fn hears(&self, what: &str, mut is_so: impl FnMut(&Heard) -> bool) {
        wait_until_async(PATIENCE, what, async || is_so(&self.heard.lock())).await;
    }
}

impl Heard {
    fn note(&mut self, event: Event) {
        match event {
            Event::Message(message) => {
                self.positions.insert(message.topic().to_owned(), message.position.clone());
                self.entries.entry(message.topic().to_owned()).or_default().push(value(&message.content));
            }
            Event::Signal(signal) => {
                self.signals.entry(signal.topic).or_default().push(value(&signal.content));
            }
            Event::Reset { topic, reason, .. } => self.events.push(("reset", topic, reason)),
            Event::Unsubscribed { topic, reason } => self.events.push(("unsubscribed", topic, reason)),
            _ => {}
        }
    }
}

pub fn value(content: &Content) -> Value {
    match content {
        Content::Text(text) => Value::String(text.clone()),
        Content::Body(body) => serde_json::from_str(body.get()).unwrap(),
    }
}

/// The code of an error, as the list has it.
pub fn code(error: &Error) -> String {
    match error {
        Error::Refused(refusal) => refusal.code.as_str().to_owned(),
        Error::Terminated { reason } => reason.map_or("TERMINATED", |reason| reason.as_str()).to_owned(),
        Error::AlreadySubscribed(_) => "ALREADY_SUBSCRIBED".to_owned(),
        other => other.to_string(),
    }
}
