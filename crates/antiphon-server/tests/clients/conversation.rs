//! One case's clients, and what its verbs do with them; `about` of the list says what they mean.

use std::{collections::BTreeMap, time::Duration};

use antiphon_client::{Client, Draft, Error, HistoryPage, Publishing, State};
use serde_json::{Map, Value};
use tokio::task::JoinHandle;

use super::{
    node::Nodes,
    peer::{Heard, PATIENCE, Peer, code, value},
};

pub struct Conversation {
    tenant: String,
    nodes: Nodes,
    peers: BTreeMap<String, Peer>,
    begun: BTreeMap<String, JoinHandle<String>>,
    saved: BTreeMap<String, String>,
    /// What is heard by a step has to be heard by steps to its end: whose, whether signals, and the topic.
    followed: Vec<(String, bool, String)>,
}

impl Conversation {
    pub fn new(tenant: String, nodes: Nodes) -> Self {
        let (peers, begun, saved) = (BTreeMap::new(), BTreeMap::new(), BTreeMap::new());
        Self { tenant, nodes, peers, begun, saved, followed: Vec::new() }
    }

    pub async fn run(mut self, steps: Vec<Value>) {
        for step in steps {
            let step = self.filled(step);
            let verb = VERBS.iter().find(|verb| step.get(**verb).is_some());
            let verb = verb.unwrap_or_else(|| panic!("{step} has no verb"));
            println!("{step}");
            self.step(verb, &step).await;
        }
        for (who, signals, topic) in &self.followed {
            let heard = self.peers[who].heard.lock();
            let left = lists(&heard, *signals).get(topic);
            assert!(left.is_none_or(Vec::is_empty), "{who} heard in {topic} what is not expected: {left:?}");
        }
        for peer in self.peers.values() {
            peer.client.close().await;
        }
    }

    async fn step(&mut self, verb: &str, step: &Value) {
        let who = step[verb].as_str().unwrap_or_default();
        let topic = || text(&step["topic"]);
        match verb {
            "connect" => {
                let (ttl, inbox) = (step["ttl"].as_u64(), step["inbox"].as_u64());
                let peer = Peer::connect(&self.nodes, &self.tenant, &text(&step["user"]), ttl, inbox).await;
                self.peers.insert(who.to_owned(), peer);
            }
            "subscribe" => self.subscribe(who, step).await,
            "publish" => {
                let published = outcome(self.client(who).enqueue(draft(&step["draft"])));
                self.begin_or_expect(step, published).await;
            }
            "publishMany" => {
                let client = self.client(who).clone();
                let drafts = counted(step).into_iter().map(|n| Draft::text(text(&n)).topic(topic()));
                let all: Vec<_> = drafts.map(|draft| outcome(client.enqueue(draft))).collect();
                let published = async {
                    for one in all {
                        let became = one.await;
                        if became != "accepted" {
                            return became;
                        }
                    }
                    "accepted".to_owned()
                };
                self.begin_or_expect(step, published).await;
            }
            "settle" => {
                let begun = self.begun.remove(who).unwrap();
                let became = tokio::time::timeout(PATIENCE, begun).await.unwrap().unwrap();
                assert_eq!(became, text(&step["expect"]));
            }
            "signal" => {
                for _ in 0..step["times"].as_u64().unwrap_or(1) {
                    self.client(who).signal(&draft(&step["draft"])).await.unwrap();
                }
            }
            "history" => {
                let (entries, more) = self.client(who).history(page(&step["page"])).await.unwrap();
                let texts: Vec<Value> = entries.iter().map(|entry| value(&entry.content)).collect();
                assert_eq!(
                    (Value::Array(texts), Value::Bool(more)),
                    (step["expect"]["texts"].clone(), step["expect"]["more"].clone())
                );
            }
            "presence" => {
                let mut users = self.client(who).presence(step["topic"].as_str()).await.unwrap();
                users.sort();
                assert_eq!(Value::from(users), step["expect"]);
            }
            "hear" => self.hear(who, false, step).await,
            "hearSignals" => self.hear(who, true, step).await,
            "reset" | "unsubscribed" => {
                let (topic, reason) = (topic(), text(&step["reason"]));
                let is = |(kind, of, why): &(&str, String, String)| {
                    *kind == verb && *of == topic && *why == reason
                };
                self.peers[who].hears(&step.to_string(), |heard| heard.events.iter().any(is)).await;
            }
            "save" => {
                let position = self.peers[who].heard.lock().positions[&topic()].clone();
                self.saved.insert(text(&step["as"]), position);
            }
            "unsubscribe" => self.client(who).unsubscribe(strings(&step["topics"])).await.unwrap(),
            "ends" => {
                let reason = text(&step["code"]);
                let ended = |state: &State| matches!(state, State::Closed(error) if code(error) == reason);
                self.peers[who].reaches(ended).await;
            }
            "stayed" => assert!(!self.peers[who].was_away(), "{who} was without a connection"),
            "close" => self.client(who).close().await,
            "wait" => {
                let wait = Duration::from_millis(step["wait"].as_u64().unwrap());
                // poll: what is waited for is time itself.
                tokio::time::sleep(wait).await;
            }
            "api" => {
                self.nodes.api(who, &text(&step["path"]), step.get("body"));
            }
            _ => self.disturb(verb, step).await,
        }
    }

    async fn disturb(&self, verb: &str, step: &Value) {
        let peer = || &self.peers[step[verb].as_str().unwrap()];
        let node = || usize::try_from(step[verb].as_u64().unwrap()).unwrap();
        match verb {
            "cut" => peer().proxies.iter().for_each(|proxy| proxy.cut()),
            "offline" => {
                peer().proxies.iter().for_each(|proxy| proxy.refuse());
                peer().proxies.iter().for_each(|proxy| proxy.cut());
                peer().reaches(|state| matches!(state, State::Waiting { .. })).await;
            }
            "online" => peer().proxies.iter().for_each(|proxy| proxy.resume()),
            "loseAnswer" => {
                peer().proxies.iter().for_each(|proxy| proxy.cut_after(antiphon_testkit::Direction::Down, 0));
            }
            "stall" => drop(peer().open.send_replace(false)),
            "unstall" => drop(peer().open.send_replace(true)),
            "kill" => self.nodes.kill(node()),
            "start" => self.nodes.start_again(node()),
            "drain" => self.nodes.drain(node()),
            other => panic!("{other} is no verb"),
        }
    }

    fn client(&self, who: &str) -> &Client {
        &self.peers[who].client
    }

    async fn subscribe(&self, who: &str, step: &Value) {
        let own = || vec![self.tenant.clone()];
        let topics = step["topics"].as_array().map_or_else(own, |_| strings(&step["topics"]));
        let from = step["from"].as_object().cloned().unwrap_or_default();
        let from = from.into_iter().map(|(topic, position)| (topic, text(&position))).collect();
        let began = self.peers[who].subscribe(&topics, from).await;
        if let Some(expected) = step["expect"].as_object() {
            let began: Map<String, Value> =
                began.into_iter().map(|(topic, as_)| (topic, as_.into())).collect();
            assert_eq!(&began, expected);
        }
    }

    async fn begin_or_expect(
        &mut self,
        step: &Value,
        published: impl Future<Output = String> + Send + 'static,
    ) {
        match step["begin"].as_str() {
            Some(name) => drop(self.begun.insert(name.to_owned(), tokio::spawn(published))),
            None => {
                let became = tokio::time::timeout(PATIENCE, published).await.unwrap();
                assert_eq!(became, step["expect"].as_str().unwrap_or("accepted"));
            }
        }
    }

    async fn hear(&mut self, who: &str, signals: bool, step: &Value) {
        let topic = text(&step["topic"]);
        let texts = step["texts"].as_array().cloned().unwrap_or_else(|| counted(step));
        let peer = &self.peers[who];
        let enough = |heard: &Heard| lists(heard, signals).get(&topic).map_or(0, Vec::len) >= texts.len();
        peer.hears(&step.to_string(), enough).await;
        let mut heard = peer.heard.lock();
        let lists = if signals { &mut heard.signals } else { &mut heard.entries };
        assert_eq!(lists.remove(&topic).unwrap_or_default(), texts);
        drop(heard);
        self.followed.push((who.to_owned(), signals, topic));
    }

    /// Puts the tenant, and the parts of saved positions, into a step.
    fn filled(&self, step: Value) -> Value {
        match step {
            Value::String(text) => Value::String(self.filled_text(&text)),
            Value::Array(items) => items.into_iter().map(|item| self.filled(item)).collect(),
            Value::Object(fields) => match fields.get("repeat").and_then(Value::as_str) {
                Some(part) => part.repeat(fields["times"].as_u64().unwrap() as usize).into(),
                None => {
                    let fields = fields.into_iter();
                    fields.map(|(name, item)| (self.filled_text(&name), self.filled(item))).collect()
                }
            },
            other => other,
        }
    }

    fn filled_text(&self, text: &str) -> String {
        let mut filled = text.replace("{tenant}", &self.tenant);
        for (name, position) in &self.saved {
            let parts: Vec<&str> = position.split('-').collect();
            filled = filled.replace(&format!("${{{name}}}"), position);
            for (part, value) in ["epoch", "offset", "link"].iter().zip(parts) {
                filled = filled.replace(&format!("${{{name}.{part}}}"), value);
            }
        }
        filled
    }
}

const VERBS: &[&str] = &[
    "connect",
    "subscribe",
    "publish",
    "publishMany",
    "settle",
    "signal",
    "history",
    "presence",
    "hear",
    "hearSignals",
    "reset",
    "unsubscribed",
    "save",
    "unsubscribe",
    "ends",
    "stayed",
    "close",
    "wait",
    "api",
    "cut",
    "offline",
    "online",
    "loseAnswer",
    "stall",
    "unstall",
    "kill",
    "start",
    "drain",
];

fn lists(heard: &Heard, signals: bool) -> &BTreeMap<String, Vec<Value>> {
    if signals { &heard.signals } else { &heard.entries }
}

fn text(value: &Value) -> String {
    value.as_str().unwrap().to_owned()
}

fn strings(value: &Value) -> Vec<String> {
    value.as_array().unwrap().iter().map(text).collect()
}

/// "0" and so on, so many.
fn counted(step: &Value) -> Vec<Value> {
    (0..step["count"].as_u64().unwrap()).map(|n| n.to_string().into()).collect()
}

/// What becomes of a publish.
async fn outcome(publishing: Result<Publishing, Error>) -> String {
    let became = match publishing {
        Ok(publishing) => publishing.await,
        Err(error) => Err(error),
    };
    match became {
        Ok(accepted) if accepted.duplicate => "duplicate".to_owned(),
        Ok(_) => "accepted".to_owned(),
        Err(error) => code(&error),
    }
}

fn draft(fields: &Value) -> Draft {
    let mut draft = match fields["text"].as_str() {
        Some(text) => Draft::text(text),
        None => Draft::body(&fields["body"]).unwrap(),
    };
    for (name, value) in fields.as_object().unwrap() {
        draft = match (name.as_str(), value.as_str()) {
            ("topic", Some(topic)) => draft.topic(topic),
            ("projectId", Some(project)) => draft.project(project),
            ("key", Some(key)) => draft.key(key),
            _ => draft,
        };
    }
    draft
}

fn page(fields: &Value) -> HistoryPage {
    let mut page = HistoryPage::newest();
    for (name, value) in fields.as_object().unwrap() {
        page = match (name.as_str(), value) {
            ("topic", value) => page.topic(text(value)),
            ("before", value) => page.before(text(value)),
            ("after", value) => page.after(text(value)),
            ("limit", value) => page.limit(u32::try_from(value.as_u64().unwrap()).unwrap()),
            (other, _) => panic!("{other} is no part of a page"),
        };
    }
    page
}
