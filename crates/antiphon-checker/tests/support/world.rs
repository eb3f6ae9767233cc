//! The model: topics, publishes under way, members that come and go, clients that follow, leave and come back.

use std::collections::BTreeMap;

use antiphon_checker::{Change, EndedBy, Event, Outcome, Place, Plant, fingerprint};

use super::Rng;

const TENANTS: [&str; 2] = ["acme", "globex"];
/// The last one never becomes a member of anything.
const USERS: [&str; 4] = ["ann", "bob", "cleo", "dan"];
const PROJECT: &str = "apollo";
const STEPS: usize = 1500;

struct Row {
    place: Place,
    author: String,
    project: Option<String>,
    key: String,
    hash: u64,
    sent: u64,
}

struct Topic {
    tenant: &'static str,
    name: String,
    rows: Vec<Row>,
    trimmed: u64,
}

struct Attempt {
    client: usize,
    topic: usize,
    project: Option<String>,
    key: String,
    first_sent: u64,
    sent: u64,
    done: Option<Outcome>,
}

struct Client {
    name: String,
    tenant: &'static str,
    user: &'static str,
    connection: u32,
    /// By topic: how far the node has come, and what the client knows of it.
    streams: BTreeMap<usize, (u64, u64)>,
}

#[derive(Default)]
struct Membership {
    now: bool,
    /// When its last removal was answered.
    removed: u64,
}

struct World {
    rng: Rng,
    now: u64,
    connections: u32,
    keys: u64,
    topics: Vec<Topic>,
    clients: Vec<Client>,
    attempts: Vec<Attempt>,
    members: BTreeMap<(&'static str, &'static str), Membership>,
    events: Vec<Event>,
}

/// What a run that kept all promises would have recorded.
pub fn clean_history(seed: u64) -> Vec<Event> {
    let mut world = World::new(seed);
    for _ in 0..STEPS {
        world.now += 1 + world.rng.below(1000) as u64;
        world.step();
    }
    world.end();
    world.events
}

impl Topic {
    fn head(&self) -> Place {
        self.rows.last().map_or(Place { offset: 0, link: 7 }, |row| row.place)
    }

    fn place(&self, offset: u64) -> Place {
        if offset == 0 { Place { offset: 0, link: 7 } } else { self.rows[offset as usize - 1].place }
    }
}

impl World {
    fn new(seed: u64) -> Self {
        let topics = TENANTS.iter().flat_map(|tenant| {
            ["own", "news", "project:apollo"].map(|name| Topic {
                tenant,
                name: name.to_owned(),
                rows: Vec::new(),
                trimmed: 0,
            })
        });
        let mut world = Self {
            rng: Rng::new(seed),
            now: 1,
            connections: 0,
            keys: 0,
            topics: topics.collect(),
            clients: Vec::new(),
            attempts: Vec::new(),
            members: BTreeMap::new(),
            events: Vec::new(),
        };
        for tenant in TENANTS {
            for user in USERS {
                if user != "dan" {
                    world.change_member(tenant, user, true);
                }
                for number in 0..1 + world.rng.below(2) {
                    let name = format!("{tenant}-{user}-{number}");
                    let (tenant_name, user_name) = (tenant.to_owned(), Some(user.to_owned()));
                    world.events.push(Event::Client {
                        client: name.clone(),
                        tenant: tenant_name,
                        user: user_name,
                    });
                    let streams = BTreeMap::new();
                    world.clients.push(Client { name, tenant, user, connection: 0, streams });
                    let client = world.clients.len() - 1;
                    world.connect(client);
                    (0..world.topics.len()).for_each(|topic| world.subscribe(client, topic));
                }
            }
        }
        world
    }

    fn step(&mut self) {
        let client = self.rng.below(self.clients.len());
        let topic = self.rng.below(self.topics.len());
        match self.rng.below(200) {
            0..40 => self.send(client, topic),
            40..70 => self.commit(),
            70..100 => self.answer(),
            100..180 => (0..4).for_each(|_| self.deliver(client, topic)),
            180..184 => self.connect(client),
            184..187 => self.unsubscribe(client, topic),
            187..191 => self.subscribe(client, topic),
            191..193 => self.rewind(client, topic),
            193..197 => {
                let (tenant, user) = (self.clients[client].tenant, USERS[self.rng.below(3)]);
                let now = self.is_member(tenant, user);
                self.change_member(tenant, user, !now);
            }
            197..199 => self.revoke(client),
            _ => self.trim(topic),
        }
    }

    fn end(&mut self) {
        while !self.attempts.is_empty() {
            self.now += 10;
            self.commit();
            self.answer();
        }
        if self.rng.percent(50) {
            let client = self.rng.below(self.clients.len());
            let name = self.clients[client].name.clone();
            self.clients[client].streams.clear();
            self.events.push(Event::Left { client: name, at: self.now });
        }
        self.events.push(Event::Healed { at: self.now });
        for client in 0..self.clients.len() {
            for topic in 0..self.topics.len() {
                while self.clients[client]
                    .streams
                    .get(&topic)
                    .is_some_and(|(at, _)| *at < self.topics[topic].head().offset)
                {
                    self.now += 5;
                    self.deliver(client, topic);
                }
            }
        }
        for topic in &self.topics {
            let (tenant, name) = (topic.tenant.to_owned(), topic.name.clone());
            let (head, trimmed) = (topic.head().offset, topic.trimmed);
            for row in topic.rows.iter().filter(|row| row.place.offset > trimmed) {
                self.events.push(Event::Row {
                    tenant: tenant.clone(),
                    topic: name.clone(),
                    place: row.place,
                    author: Some(row.author.clone()),
                    project: row.project.clone(),
                    key: Some(row.key.clone()),
                    hash: row.hash,
                });
            }
            self.events.push(Event::Log { tenant, topic: name, head, trimmed });
        }
    }

    fn is_member(&self, tenant: &'static str, user: &'static str) -> bool {
        self.members.get(&(tenant, user)).is_some_and(|membership| membership.now)
    }

    fn change_member(&mut self, tenant: &'static str, user: &'static str, added: bool) {
        let asked = self.now;
        self.now += 20;
        let answered = (!self.rng.percent(10)).then_some(self.now);
        let membership = self.members.entry((tenant, user)).or_default();
        membership.now = added;
        if !added {
            membership.removed = answered.unwrap_or(u64::MAX);
        }
        let change = if added { Change::Added } else { Change::Removed };
        let (tenant_name, user_name) = (tenant.to_owned(), user.to_owned());
        self.events.push(Event::Member {
            tenant: tenant_name,
            project: PROJECT.to_owned(),
            user: user_name,
            change,
            asked,
            answered,
        });
        if !added {
            self.end_project_streams(tenant, user);
        }
    }

    fn end_project_streams(&mut self, tenant: &str, user: &str) {
        for client in self.clients.iter_mut().filter(|client| client.tenant == tenant && client.user == user)
        {
            for (index, topic) in self.topics.iter().enumerate() {
                if topic.name.starts_with("project:") && client.streams.remove(&index).is_some() {
                    let (client, topic) = (client.name.clone(), topic.name.clone());
                    self.events.push(Event::Unsubscribed {
                        client,
                        topic,
                        by: EndedBy::Server,
                        at: self.now,
                    });
                }
            }
        }
    }

    /// A new connection with a new token, on which all streams go on from what the client knows.
    fn connect(&mut self, client: usize) {
        self.connections += 1;
        let connection = self.connections;
        self.clients[client].connection = connection;
        let name = self.clients[client].name.clone();
        let node = format!("node{}", self.rng.below(3));
        self.events.push(Event::Connected { client: name, connection, node, issued: self.now, at: self.now });
        for (topic, (_, known)) in std::mem::take(&mut self.clients[client].streams) {
            self.resume(client, topic, known);
        }
    }

    fn resume(&mut self, client: usize, topic: usize, known: u64) {
        let recovered = known >= self.topics[topic].trimmed;
        let from = if recovered { self.topics[topic].place(known) } else { self.topics[topic].head() };
        self.subscribed(client, topic, Some(known), from, recovered);
        if !recovered {
            self.reset(client, topic);
        }
    }

    fn subscribed(&mut self, client: usize, topic: usize, given: Option<u64>, from: Place, recovered: bool) {
        let at = self.now;
        let speaker = &mut self.clients[client];
        speaker.streams.insert(topic, (from.offset, from.offset));
        let (name, connection) = (speaker.name.clone(), speaker.connection);
        let topic = self.topics[topic].name.clone();
        self.events.push(Event::Subscribed { client: name, connection, topic, given, from, recovered, at });
    }

    fn reset(&mut self, client: usize, topic: usize) {
        let to = self.topics[topic].head();
        self.clients[client].streams.insert(topic, (to.offset, to.offset));
        let (name, topic) = (self.clients[client].name.clone(), self.topics[topic].name.clone());
        let reason = "RETENTION".to_owned();
        self.events.push(Event::Reset { client: name, topic, reason, to, at: self.now });
    }

    fn may_hear(&self, client: usize, topic: usize) -> bool {
        let (client, topic) = (&self.clients[client], &self.topics[topic]);
        let is_private = topic.name.starts_with("project:");
        client.tenant == topic.tenant && (!is_private || self.is_member(client.tenant, client.user))
    }

    fn subscribe(&mut self, client: usize, topic: usize) {
        if self.may_hear(client, topic) && !self.clients[client].streams.contains_key(&topic) {
            let head = self.topics[topic].head();
            self.subscribed(client, topic, None, head, false);
        }
    }

    /// The application throws away what it had and goes on from an older position.
    fn rewind(&mut self, client: usize, topic: usize) {
        if let Some((_, known)) = self.clients[client].streams.get(&topic).copied() {
            self.resume(client, topic, known.saturating_sub(5));
        }
    }

    fn unsubscribe(&mut self, client: usize, topic: usize) {
        if self.clients[client].streams.remove(&topic).is_some() {
            let (name, topic) = (self.clients[client].name.clone(), self.topics[topic].name.clone());
            self.events.push(Event::Unsubscribed { client: name, topic, by: EndedBy::Client, at: self.now });
        }
    }

    fn revoke(&mut self, client: usize) {
        let (tenant, user) = (self.clients[client].tenant, self.clients[client].user);
        let asked = self.now;
        self.now += 30;
        let answered = Some(self.now);
        self.events.push(Event::Revoked { tenant: tenant.into(), user: user.into(), asked, answered });
        for topic in 0..self.topics.len() {
            self.deliver(client, topic);
        }
        self.now += 30;
        let same = |other: &usize| self.clients[*other].tenant == tenant && self.clients[*other].user == user;
        let revoked: Vec<usize> = (0..self.clients.len()).filter(same).collect();
        revoked.into_iter().for_each(|client| self.connect(client));
    }

    fn trim(&mut self, topic: usize) {
        let log = &mut self.topics[topic];
        log.trimmed = log.head().offset.saturating_sub(10).max(log.trimmed);
        let (tenant, topic) = (log.tenant.to_owned(), log.name.clone());
        self.events.push(Event::Planted { tenant, topic, plant: Plant::Retention, at: self.now });
    }

    fn send(&mut self, client: usize, topic: usize) {
        if !self.may_hear(client, topic) {
            return;
        }
        let of_project = self.topics[topic].name.starts_with("project:")
            || (self.is_member(self.clients[client].tenant, self.clients[client].user)
                && self.rng.percent(40));
        self.keys += 1;
        self.attempts.push(Attempt {
            client,
            topic,
            project: of_project.then(|| PROJECT.to_owned()),
            key: format!("key{}", self.keys),
            first_sent: self.now,
            sent: self.now,
            done: None,
        });
    }

    fn commit(&mut self) {
        let open: Vec<usize> =
            (0..self.attempts.len()).filter(|index| self.attempts[*index].done.is_none()).collect();
        let Some(index) = self.rng.pick(&open).copied() else { return };
        let attempt = &self.attempts[index];
        let client = &self.clients[attempt.client];
        let done = if attempt.project.is_some() && !self.is_member(client.tenant, client.user) {
            Outcome::Refused
        } else {
            let log = &mut self.topics[attempt.topic];
            let kept = log.rows.iter().find(|row| row.key == attempt.key).map(|row| row.place);
            let duplicate = kept.is_some();
            let place = kept.unwrap_or_else(|| {
                let head = log.head();
                let place = Place { offset: head.offset + 1, link: head.link.wrapping_mul(31) + 11 };
                log.rows.push(Row {
                    place,
                    author: client.user.to_owned(),
                    project: attempt.project.clone(),
                    key: attempt.key.clone(),
                    hash: fingerprint(attempt.key.as_bytes()),
                    sent: attempt.first_sent,
                });
                place
            });
            Outcome::Accepted { place, duplicate }
        };
        self.attempts[index].done = Some(done);
    }

    /// Answers an attempt, or loses it or its answer; most lost ones are tried again.
    fn answer(&mut self) {
        if self.attempts.is_empty() {
            return;
        }
        let index = self.rng.below(self.attempts.len());
        let attempt = self.attempts.swap_remove(index);
        let outcome = attempt.done.filter(|_| !self.rng.percent(15)).unwrap_or(Outcome::Unknown);
        let client = &self.clients[attempt.client];
        self.events.push(Event::Published {
            client: client.name.clone(),
            connection: client.connection,
            node: "node0".to_owned(),
            topic: self.topics[attempt.topic].name.clone(),
            project: attempt.project.clone(),
            key: attempt.key.clone(),
            hash: fingerprint(attempt.key.as_bytes()),
            sent: attempt.sent,
            answered: (outcome != Outcome::Unknown).then_some(self.now),
            outcome,
        });
        if outcome == Outcome::Unknown && self.rng.percent(80) {
            self.now += 1;
            self.attempts.push(Attempt { sent: self.now, done: None, ..attempt });
        }
    }

    fn deliver(&mut self, client: usize, topic: usize) {
        let Some((at, known)) = self.clients[client].streams.get(&topic).copied() else { return };
        if at >= self.topics[topic].head().offset {
            return;
        }
        if at < self.topics[topic].trimmed {
            return self.reset(client, topic);
        }
        let speaker = &self.clients[client];
        let log = &self.topics[topic];
        let row = &log.rows[at as usize];
        let admitted = row.project.is_none()
            || self.members.get(&(speaker.tenant, speaker.user)).is_some_and(|membership| {
                // What was sent before a removal had answered may still come.
                membership.now || (row.sent < membership.removed && row.sent.is_multiple_of(2))
            });
        let offset = row.place.offset;
        if admitted {
            self.events.push(Event::Received {
                client: speaker.name.clone(),
                connection: speaker.connection,
                tenant: speaker.tenant.to_owned(),
                topic: log.name.clone(),
                place: row.place,
                hash: row.hash,
                at: self.now,
            });
        } else if self.rng.percent(30) {
            let (client, topic) = (speaker.name.clone(), log.name.clone());
            self.events.push(Event::Moved { client, topic, offset, at: self.now });
        } else {
            self.clients[client].streams.insert(topic, (offset, known));
            return;
        }
        self.clients[client].streams.insert(topic, (offset, offset));
    }
}
