//! What a client hears.

use std::{sync::atomic::Ordering, time::Duration};

use antiphon_checker::{EndedBy, Event, Outcome, Place};
use serde_json::Value;
use tokio::time::Instant;

use super::{Client, Stream};
use crate::soak::{
    draft::{Arrived, Payload, SIGNALS},
    journal::Ear,
};

/// The longest that a publish waits for its next try, whatever the server says.
const AGAIN_MAX: Duration = Duration::from_secs(2);

impl Client {
    /// Takes a frame; none: the connection is over.
    pub(super) fn hear(&mut self, text: &str) -> Option<()> {
        let Ok(frame) = serde_json::from_str::<Value>(text) else { return self.ended_for("NO_JSON") };
        let said = |field: &str| frame[field].as_str().unwrap_or_default();
        match said("type") {
            "MESSAGE" => self.hear_message(&frame),
            "SIGNAL" => self.hear_signal(&frame),
            "ACCEPTED" => {
                let number = said("ref").parse().ok()?;
                let place = Place::parse(said("position"))?;
                let duplicate = frame["duplicate"] == true;
                self.attempted(number, Some(self.now()), Outcome::Accepted { place, duplicate });
                self.finish(number);
            }
            // The token could not be looked at: somebody else is asked.
            "ERROR" if !self.is_known => return self.ended_for(said("code")),
            "ERROR" => self.hear_error(&frame),
            "PONG" => self.is_known = true,
            "SUBSCRIPTION_SUCCESSFUL" => {
                self.is_known = true;
                self.hear_subscribed(&frame);
            }
            "POSITION" => self.hear_moved(&frame),
            "RESET" => self.hear_reset(&frame),
            "UNSUBSCRIPTION_SUCCESSFUL" => {
                let topic = said("ref").strip_prefix('u')?.to_owned();
                self.ended(&topic, EndedBy::Client);
            }
            "UNSUBSCRIBED" => self.ended(said("topic"), EndedBy::Server),
            "TERMINATE_CONNECTION" => {
                // The next one shows another token: that of the moment, if it is another.
                self.refused = Some(self.shown.clone());
                return self.ended_for(said("text"));
            }
            "RECONNECT" => return self.ended_for("RECONNECT"),
            _ => {}
        }
        Some(())
    }

    fn hear_message(&mut self, frame: &Value) {
        let said = |value: &Value| value.as_str().unwrap_or_default().to_owned();
        let position = said(&frame["position"]);
        // Without a position it is a plain message of another program, and no entry.
        let Some(place) = Place::parse(&position) else { return };
        let (tenant, topic) = (said(&frame["entry"]["companyId"]), said(&frame["entry"]["topic"]));
        let (text, at) = (said(&frame["text"]), self.now());
        let arrived = Arrived { tenant: &tenant, topic: &topic, text: &text, place };
        let account = &self.account;
        self.record(arrived.event(&account.name, &account.tenant, self.connection, at));
        self.company.journal.count(|figures| figures.nodes[self.node].receptions += 1);
        let Some(stream) = self.streams.get_mut(&topic) else { return };
        stream.advance(&position, place);
        // What was sent while it was away is not live.
        if let Some(payload) = Payload::read(&text).filter(|payload| payload.sent >= stream.since) {
            self.company.journal.took(payload.node, self.node, at.saturating_sub(payload.sent));
        }
    }

    fn hear_signal(&mut self, frame: &Value) {
        let account = &self.account;
        let ear = Ear {
            index: account.index,
            connection: self.connection,
            name: &account.name,
            tenant: &account.tenant,
            projects: account.projects,
        };
        self.company.journal.signal(ear, frame["text"].as_str().unwrap_or_default(), self.now());
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
        // A signal that was refused has no reference, and may be lost.
        let Ok(number) = reference.parse() else { return };
        self.company.journal.error(frame["code"].as_str().unwrap_or("NO_CODE"));
        match frame["retryAfterMs"].as_u64() {
            Some(after) => {
                self.attempted(number, Some(self.now()), Outcome::Unknown);
                if let Some(open) = self.open.get_mut(&number) {
                    let after = Duration::from_millis(after).min(AGAIN_MAX);
                    (open.sent, open.due) = (None, Instant::now() + after);
                }
            }
            None => {
                self.attempted(number, Some(self.now()), Outcome::Refused);
                self.finish(number);
            }
        }
    }

    fn hear_subscribed(&mut self, frame: &Value) {
        let reference = frame["ref"].as_str().unwrap_or_default();
        let Some(given) = self.given.remove(reference) else { return };
        let (at, name) = (self.now(), self.name());
        for (topic, given) in given {
            let answer = &frame["topics"][&topic];
            let position = answer["position"].as_str().and_then(|text| Some((text, Place::parse(text)?)));
            let Some((position, from)) = position else {
                let due = Some(Instant::now() + self.rng.millis(1_000, 3_000));
                self.streams.entry(topic).or_default().due = due;
                continue;
            };
            let recovered = answer["recovered"] == true;
            let (client, connection) = (name.clone(), self.connection);
            self.record(Event::Subscribed {
                client,
                connection,
                topic: topic.clone(),
                given,
                from,
                recovered,
                at,
            });
            if topic == SIGNALS {
                self.company.listens(&self.account, true);
            }
            let stream = self.streams.entry(topic).or_default();
            *stream = Stream { is_on: true, since: at, ..Stream::default() };
            stream.advance(position, from);
        }
    }

    fn hear_moved(&mut self, frame: &Value) {
        let topic = frame["topic"].as_str().unwrap_or_default();
        let Some((position, place)) = position(frame) else { return };
        let (client, at) = (self.name(), self.now());
        self.record(Event::Moved { client, topic: topic.to_owned(), offset: place.offset, at });
        self.streams.entry(topic.to_owned()).or_default().advance(position, place);
    }

    fn hear_reset(&mut self, frame: &Value) {
        let said = |field: &str| frame[field].as_str().unwrap_or_default().to_owned();
        let Some((position, to)) = position(frame) else { return };
        let (client, at) = (self.name(), self.now());
        let (topic, reason) = (said("topic"), said("reason"));
        self.company.journal.count(|figures| *figures.resets.entry(reason.clone()).or_default() += 1);
        self.record(Event::Reset { client, topic: topic.clone(), reason, to, at });
        self.streams.entry(topic).or_default().advance(position, to);
    }

    fn ended(&mut self, topic: &str, by: EndedBy) {
        let (client, at) = (self.name(), self.now());
        self.record(Event::Unsubscribed { client, topic: topic.to_owned(), by, at });
        let due = Some(Instant::now() + self.rng.millis(300, 3_000));
        let forgets = by == EndedBy::Client && self.rng.percent(50);
        let Some(stream) = self.streams.get_mut(topic) else { return };
        let was_on = stream.is_on;
        let (position, place) = (stream.position.take(), stream.place.take());
        *stream = Stream { due, is_ended: true, ..Stream::default() };
        if !forgets {
            (stream.position, stream.place) = (position, place);
        }
        if was_on && topic == SIGNALS {
            self.company.listens(&self.account, false);
        }
        self.account.is_settled.store(false, Ordering::SeqCst);
    }
}

fn position(frame: &Value) -> Option<(&str, Place)> {
    let text = frame["position"].as_str()?;
    Some((text, Place::parse(text)?))
}
