//! A hub with one shard, and connections that remember what was written to them.

#![allow(dead_code, missing_docs, clippy::unwrap_used)]

use std::{collections::HashMap, sync::Arc, time::Duration};

use antiphon_hub::{
    Delivery, Feed, Hub, Login, MemberState, Outlets, RingBounds, Shard, SubscriberKey, Taken,
    TenantAudience, Wake,
};
use antiphon_protocol::{Epoch, Key, Link, Position, ProjectId, TenantId, Topic, UserId};
use bytes::Bytes;

pub struct NoWake;

impl Wake for NoWake {
    fn wake(&self) {}
}

/// Connections, of which some are blocked.
#[derive(Default)]
pub struct Sockets {
    pub written: HashMap<usize, Vec<Bytes>>,
    pub blocked: Vec<usize>,
    pub counts_only: bool,
    pub writes: usize,
}

impl Outlets for Sockets {
    fn write(&mut self, connection: usize, bytes: &Bytes) -> Taken {
        if self.blocked.contains(&connection) {
            return Taken::Blocked;
        }
        self.writes += 1;
        if !self.counts_only {
            self.written.entry(connection).or_default().push(bytes.clone());
        }
        Taken::All
    }
}

impl Sockets {
    /// The texts of the frames that a connection got.
    pub fn frames(&self, connection: usize) -> Vec<String> {
        let mut frames = Vec::new();
        for bytes in self.written.get(&connection).into_iter().flatten() {
            let mut rest = &bytes[..];
            while let [0x81, len, ..] = *rest {
                let len = usize::from(len);
                assert!(len < 126, "the tests' frames are short");
                frames.push(String::from_utf8(rest[2..2 + len].to_vec()).unwrap());
                rest = &rest[2 + len..];
            }
            assert!(rest.is_empty());
        }
        frames
    }
}

pub struct House {
    pub hub: Arc<Hub>,
    pub audience: Arc<TenantAudience>,
    pub shard: Shard,
    pub sockets: Sockets,
    pub fallen: Vec<(usize, SubscriberKey)>,
    pub logins: Vec<Login>,
}

pub fn topic() -> Topic {
    Topic::of_tenant(&TenantId::parse("acme").unwrap())
}

pub fn at(offset: u64) -> Position {
    Position { epoch: Epoch(1), offset, link: Link(offset * 7) }
}

pub fn entry(offset: u64, project: Option<&str>) -> Delivery {
    let project = project.map(|id| ProjectId::parse(id).unwrap());
    Delivery::entry(at(offset), project, None, None, format!("{{{offset}}}").as_bytes())
}

pub fn keyed_entry(offset: u64, author: &str) -> Delivery {
    let (author, key) = (UserId::parse(author).unwrap(), Key::parse("k").unwrap());
    Delivery::entry(at(offset), None, Some(author), Some(key), format!("{{{offset}}}").as_bytes())
}

pub fn state(projects: &[(&str, bool)]) -> MemberState {
    let projects = projects.iter().map(|(id, wants)| (ProjectId::parse(id).unwrap(), *wants)).collect();
    MemberState { exists: true, projects, ..MemberState::default() }
}

impl House {
    pub fn new(ring_entries: usize) -> Self {
        let bounds = RingBounds { entries: ring_entries, bytes: 1 << 20, age: Duration::from_secs(60) };
        let hub = Hub::new(bounds, antiphon_protocol::ClusterSecret::new([1; 32]));
        let (index, mailbox) = hub.add_shard(Arc::new(NoWake));
        let audience = Arc::new(TenantAudience::new(TenantId::parse("acme").unwrap()));
        Self {
            hub,
            audience,
            shard: Shard::new(index, mailbox),
            sockets: Sockets::default(),
            fallen: Vec::new(),
            logins: Vec::new(),
        }
    }

    /// A user with this state subscribes on connection `connection`, from `from` on.
    pub fn subscribe(
        &mut self,
        connection: usize,
        user: &str,
        state: MemberState,
        from: u64,
    ) -> SubscriberKey {
        let login = self.audience.login(&UserId::parse(user).unwrap(), 1, state);
        let (subscription, _) = self.hub.subscribe(&topic(), &self.audience, login.member());
        self.logins.push(login);
        subscription.feed().begin(at(from));
        self.shard.add(connection, subscription, at(from))
    }

    pub fn feed(&self) -> Arc<Feed> {
        self.hub.feed(&topic()).expect("somebody is subscribed")
    }

    pub fn pass(&mut self) {
        for feed in self.shard.dirty_feeds() {
            self.shard.pass(&feed, &mut self.sockets, &mut self.fallen).expect("no member has changed");
        }
    }
}
