//! A client: it connects anywhere, goes on from where it was, publishes with keys until it is answered, leaves without a word, and
//! stops reading for a while.

use std::{collections::BTreeMap, sync::Arc, time::Duration};

use antiphon_protocol::Position;
use serde_json::{Value, json};
use tokio::time::Instant;

use crate::{
    dice::Dice,
    history::Publish,
    instance::Wire,
    time::{pass, until},
    world::{TENANT, TOPICS, World},
};

/// How long an answer may take before a client goes elsewhere.
const PATIENCE: Duration = Duration::from_secs(4);

pub struct Client {
    pub number: usize,
    pub user: String,
    /// Somebody adds and removes it all the time.
    pub comes_and_goes: bool,
    pub is_member: bool,
    pub to_publish: u64,
    pub dice: Dice,
}

/// What it wants to publish and has no answer for, by its key.
type Outbox = BTreeMap<String, Value>;

enum Next {
    GoOn,
    Leave,
}

impl Client {
    pub async fn run(mut self, world: Arc<World>) {
        let mut outbox = Outbox::new();
        while !world.is_over() {
            if let Some(wire) = world.connect(&self.dice) {
                self.converse(&world, wire, &mut outbox).await;
            }
            pass(self.dice.ms(5, 300)).await;
        }
    }

    async fn converse(&mut self, world: &World, mut wire: Wire, outbox: &mut Outbox) {
        self.subscribe(world, &wire);
        outbox.values().for_each(|frame| wire.send(frame.to_string()));
        let (mut is_subscribed, began) = (false, Instant::now());
        let mut act_at = began + self.dice.ms(1, 60);
        let mut blocked_until: Option<Instant> = None;
        loop {
            let next = tokio::select! {
                biased;
                bytes = wire.bytes.recv() => match bytes {
                    None => Next::Leave,
                    Some(bytes) => self.take(world, &bytes, outbox, &mut is_subscribed),
                },
                () = until(act_at) => {
                    act_at = Instant::now() + self.dice.ms(5, 120);
                    if !is_subscribed && began.elapsed() > PATIENCE {
                        Next::Leave
                    } else {
                        self.act(world, &wire, outbox, &mut blocked_until)
                    }
                }
            };
            if world.is_over() || matches!(next, Next::Leave) {
                return;
            }
        }
    }

    fn subscribe(&self, world: &World, wire: &Wire) {
        let history = world.history.lock();
        let mut positions = serde_json::Map::new();
        for topic in TOPICS {
            let stream = history.streams.get(&(self.number, (*topic).to_owned()));
            if let Some(position) = stream.and_then(|stream| stream.position.clone()) {
                positions.insert((*topic).to_owned(), position.into());
            }
        }
        let frame = json!({
            "type": "SUBSCRIBE", "token": self.user, "topics": TOPICS, "positions": positions,
        });
        wire.send(frame.to_string());
    }

    /// Something of its own accord.
    fn act(
        &mut self,
        world: &World,
        wire: &Wire,
        outbox: &mut Outbox,
        blocked_until: &mut Option<Instant>,
    ) -> Next {
        if blocked_until.is_some_and(|until| until <= Instant::now() || world.is_calm()) {
            *blocked_until = None;
            wire.block(false);
        }
        if self.to_publish > 0 && self.dice.permille(500) {
            self.to_publish -= 1;
            let key = format!("{}-{}", self.user, self.to_publish);
            let topic = TOPICS[self.dice.below(TOPICS.len() as u64) as usize];
            let mut frame = json!({ "type": "MESSAGE", "topic": topic, "key": key, "ref": key, "text": key });
            // The members' room takes everything as it is; elsewhere some is for the project's members alone.
            if topic == TENANT && self.is_member && self.dice.permille(400) {
                frame["projectId"] = "p".into();
            }
            let publish = Publish { asked_at: Instant::now(), accepted: None };
            world.history.lock().publishes.insert(key.clone(), publish);
            wire.send(frame.to_string());
            outbox.insert(key, frame);
        } else if !outbox.is_empty() && self.dice.permille(100) {
            // Too long without an answer, it thinks: the same again.
            outbox.values().for_each(|frame| wire.send(frame.to_string()));
        }
        if world.is_calm() {
            return Next::GoOn;
        }
        if self.dice.permille(50) {
            world.history.lock().fault("subscribed again");
            self.subscribe(world, wire);
        }
        if self.dice.permille(30) {
            world.history.lock().fault("left without a word");
            return Next::Leave;
        }
        if blocked_until.is_none() && self.dice.permille(30) {
            world.history.lock().fault("stopped reading");
            *blocked_until = Some(Instant::now() + self.dice.ms(50, 2500));
            wire.block(true);
        }
        Next::GoOn
    }

    fn take(&mut self, world: &World, bytes: &[u8], outbox: &mut Outbox, is_subscribed: &mut bool) -> Next {
        for frame in frames(bytes) {
            if let Next::Leave = self.take_frame(world, &frame, outbox, is_subscribed) {
                return Next::Leave;
            }
        }
        Next::GoOn
    }

    fn take_frame(
        &mut self,
        world: &World,
        frame: &Value,
        outbox: &mut Outbox,
        is_subscribed: &mut bool,
    ) -> Next {
        let text = |value: &Value| value.as_str().unwrap_or_default().to_owned();
        let mut history = world.history.lock();
        let number = self.number;
        match text(&frame["type"]).as_str() {
            "SUBSCRIPTION_SUCCESSFUL" => {
                let is_again = std::mem::replace(is_subscribed, true);
                for (topic, outcome) in frame["topics"].as_object().into_iter().flatten() {
                    let Some(position) = outcome["position"].as_str() else {
                        let is_allowed = self.comes_and_goes && outcome["error"]["code"] == "FORBIDDEN";
                        let is_later = outcome["error"]["retryAfterMs"].is_number();
                        if !is_allowed && !is_later {
                            history.violation(format!(
                                "client {number} may not subscribe to {topic}: {outcome}"
                            ));
                        }
                        // Another time.
                        *is_subscribed = is_allowed && *is_subscribed;
                        continue;
                    };
                    let stream = history.streams.entry((number, topic.clone())).or_default();
                    let was_known = stream.position.is_some();
                    let offset = offset(position);
                    if !was_known {
                        (stream.from, stream.passed) = (Some(offset), offset);
                    }
                    let passed = stream.passed;
                    stream.position = Some(position.to_owned());
                    if is_again {
                        stream.passed = passed.max(offset);
                    }
                    if is_again {
                        // It changes nothing: the stream is where this connection has been brought.
                        if offset < passed || (offset > passed && !self.comes_and_goes) {
                            history.violation(format!(
                                "client {number} subscribed again to {topic} at {passed} and was told {outcome}"
                            ));
                        }
                    } else if was_known && (outcome["recovered"] != true || offset != passed) {
                        history.violation(format!(
                            "client {number} came back to {topic} at {passed} and was told {outcome}"
                        ));
                    }
                }
                if !*is_subscribed {
                    return Next::Leave;
                }
            }
            "MESSAGE" => {
                let (topic, key) = (text(&frame["entry"]["topic"]), text(&frame["text"]));
                let offset = frame["offset"].as_u64().unwrap_or_default();
                let now = Instant::now();
                if self.comes_and_goes
                    && (topic != TENANT || frame["project"]["id"] == "p")
                    && !history.may_see(&key, now)
                {
                    history.violation(format!("client {number} got {key} on {topic} after it was removed"));
                }
                let stream = history.streams.entry((number, topic.clone())).or_default();
                let passed = stream.passed;
                stream.position = Some(text(&frame["position"]));
                stream.passed = offset;
                stream.got.push((offset, key));
                if offset <= passed {
                    history.violation(format!(
                        "client {number} had passed {passed} of {topic} and got {offset}"
                    ));
                }
            }
            "POSITION" => {
                let position = text(&frame["position"]);
                let offset = offset(&position);
                let stream = history.streams.entry((number, text(&frame["topic"]))).or_default();
                (stream.passed, stream.position) = (stream.passed.max(offset), Some(position));
            }
            "ACCEPTED" => {
                let key = text(&frame["ref"]);
                outbox.remove(&key);
                let position = text(&frame["position"]);
                let Some(publish) = history.publishes.get_mut(&key) else { return Next::GoOn };
                let before = publish.accepted.replace(position.clone());
                if before.is_some_and(|before| before != position) {
                    history.violation(format!("publish {key} was answered with two positions"));
                }
            }
            "UNSUBSCRIBED" if self.comes_and_goes => return Next::Leave,
            "ERROR" if frame["retryAfterMs"].is_number() => {}
            "ERROR" if self.comes_and_goes && frame["code"] == "FORBIDDEN" => {}
            _ => history.violation(format!("client {number} was told {frame}")),
        }
        Next::GoOn
    }
}

fn offset(position: &str) -> u64 {
    Position::parse(position).map_or(0, |position| position.offset)
}

/// The texts of unmasked frames behind each other.
fn frames(mut bytes: &[u8]) -> Vec<Value> {
    let mut frames = Vec::new();
    while let [0x81, short, rest @ ..] = bytes {
        let (len, rest) = match (short, rest) {
            (126, [high, low, rest @ ..]) => (usize::from(u16::from_be_bytes([*high, *low])), rest),
            (127, _) => unreachable!("no frame of this world is that long"),
            (short, rest) => (usize::from(*short), rest),
        };
        let (payload, rest) = rest.split_at(len);
        frames.push(serde_json::from_slice(payload).expect("a frame is JSON"));
        bytes = rest;
    }
    assert!(bytes.is_empty(), "only whole text frames");
    frames
}
