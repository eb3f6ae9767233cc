//! Who gets what, against a model that knows nothing of classes, batches and rings: a million questions.

#![allow(missing_docs, clippy::unwrap_used)]

mod support;

use std::{sync::Arc, time::Duration};

use antiphon_hub::{
    Delivery, Hub, Login, MemberState, RingBounds, Shard, SubscriberKey, TenantAudience, Verdict,
};
use antiphon_protocol::{Audience, Epoch, Key, Link, Position, ProjectId, TenantId, Topic, UserId};
use support::{NoWake, Sockets};

/// Users and projects have the same names in all of them, and some names begin others.
const TENANTS: [&str; 4] = ["acme", "acm", "acmeacme", "globex"];
const USERS: usize = 25;
const PROJECTS: usize = 6;
const ROUNDS: usize = 100;
const ENTRIES: usize = 100;

/// Numbers that the seed decides (SplitMix64).
struct Random(u64);

impl Random {
    fn below(&mut self, bound: usize) -> usize {
        self.0 = self.0.wrapping_add(0x9e37_79b9_7f4a_7c15);
        let mut mixed = self.0;
        mixed = (mixed ^ (mixed >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
        mixed = (mixed ^ (mixed >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
        usize::try_from((mixed ^ (mixed >> 31)) % bound as u64).unwrap()
    }
}

fn seed() -> u64 {
    let given = std::env::var("TESTKIT_SEED").ok().and_then(|seed| seed.parse().ok());
    let clock = std::time::SystemTime::UNIX_EPOCH.elapsed().unwrap().as_nanos() as u64;
    let seed = given.unwrap_or(clock);
    println!("TESTKIT_SEED={seed}");
    seed
}

/// What the model knows of a user: nothing but what was said of it.
#[derive(Clone, Default)]
struct Said {
    exists: bool,
    /// For each project: no member, a member that does not want it, one that does.
    projects: [Option<bool>; PROJECTS],
}

/// What the model knows of an entry.
#[derive(Clone)]
struct Sent {
    tenant: usize,
    /// None: for everyone.
    project: Option<usize>,
    text: String,
    /// What the author's own connections get.
    keyed: Option<(usize, String)>,
}

impl Said {
    fn random(random: &mut Random) -> Self {
        let projects = [(); PROJECTS].map(|()| match random.below(3) {
            0 => None,
            other => Some(other == 1),
        });
        Self { exists: random.below(10) > 0, projects }
    }

    fn state(&self) -> MemberState {
        let held = self.projects.iter().enumerate();
        let projects = held.filter_map(|(number, wants)| Some((project(number), (*wants)?))).collect();
        MemberState { exists: self.exists, projects, ..MemberState::default() }
    }
}

/// The model: may this user of this tenant get it?
fn gets(tenant: usize, said: &Said, sent: &Sent) -> bool {
    if tenant != sent.tenant || !said.exists {
        return false;
    }
    match sent.project {
        None => true,
        // One that nobody is a member of.
        Some(PROJECTS) => false,
        Some(project) => said.projects[project] == Some(true),
    }
}

fn project(number: usize) -> ProjectId {
    ProjectId::parse(&format!("p{number}")).unwrap()
}

fn user(number: usize) -> UserId {
    UserId::parse(&format!("u{number}")).unwrap()
}

struct One {
    key: SubscriberKey,
    said: Said,
    /// What it has not been asked about yet.
    pending: Vec<Sent>,
    is_behind: bool,
    expected: Vec<String>,
}

struct World {
    hub: Arc<Hub>,
    shard: Shard,
    audiences: Vec<Arc<TenantAudience>>,
    topics: Vec<Topic>,
    offsets: Vec<u64>,
    sockets: Sockets,
    ones: Vec<One>,
    logins: Vec<Login>,
    questions: usize,
}

impl World {
    fn new(random: &mut Random) -> Self {
        let hub = Hub::new(
            RingBounds { entries: 512, bytes: 1 << 22, age: Duration::from_secs(60) },
            antiphon_protocol::ClusterSecret::new([1; 32]),
        );
        let (index, mailbox) = hub.add_shard(Arc::new(NoWake));
        let tenants = TENANTS.map(|id| TenantId::parse(id).unwrap());
        let mut world = Self {
            hub,
            shard: Shard::new(index, mailbox),
            audiences: tenants.iter().map(|id| Arc::new(TenantAudience::new(id.clone()))).collect(),
            // The topics of all of them have the same name too.
            topics: tenants.map(|id| Topic::new(id, "news".parse_name())).into(),
            offsets: vec![0; TENANTS.len()],
            sockets: Sockets::default(),
            ones: Vec::new(),
            logins: Vec::new(),
            questions: 0,
        };
        for tenant in 0..TENANTS.len() {
            for number in 0..USERS {
                let said = Said::random(random);
                let audience = &world.audiences[tenant];
                let login = audience.login(&user(number), 1, said.state());
                let topic = &world.topics[tenant];
                let (subscription, _) = world.hub.subscribe(topic, audience, login.member());
                subscription.feed().begin(at(tenant, 0));
                let key = world.shard.add(world.ones.len(), subscription, at(tenant, 0));
                world.logins.push(login);
                let (pending, expected) = (Vec::new(), Vec::new());
                world.ones.push(One { key, said, pending, is_behind: false, expected });
            }
        }
        world
    }

    fn send(&mut self, random: &mut Random, number: usize) {
        let tenant = random.below(TENANTS.len());
        let project_number = Some(random.below(PROJECTS + 3)).filter(|number| *number <= PROJECTS);
        let text = format!("{{{}:{number}}}", TENANTS[tenant]);
        let of = project_number.map(project);
        let mut sent = Sent { tenant, project: project_number, text: text.clone(), keyed: None };
        let delivery = if random.below(5) == 0 {
            Delivery::signal(of, text.as_bytes())
        } else {
            self.offsets[tenant] += 1;
            let key = (random.below(3) == 0).then(|| Key::parse("k").unwrap());
            let author = random.below(USERS);
            if let Some(key) = &key {
                let keyed = antiphon_protocol::message_with_key(text.as_bytes(), key);
                sent.keyed = Some((author, String::from_utf8(keyed).unwrap()));
            }
            let position = at(tenant, self.offsets[tenant]);
            Delivery::entry(position, of, Some(user(author)), key, text.as_bytes())
        };
        let feed = self.hub.feed(&self.topics[tenant]).unwrap();
        let revision = self.audiences[tenant].revision();
        assert_eq!(feed.offer(revision, delivery), Verdict::Next);
        // Everyone of every tenant is asked about.
        self.questions += self.ones.len();
        self.ones.iter_mut().for_each(|one| one.pending.push(sent.clone()));
    }

    /// Some users of a tenant are somebody else now.
    fn change(&mut self, random: &mut Random) {
        let tenant = random.below(TENANTS.len());
        let revision = self.audiences[tenant].revision() + 1;
        let mut states = Vec::new();
        for _ in 0..random.below(8) {
            let number = random.below(USERS);
            let said = Said::random(random);
            states.push((user(number), said.state()));
            self.ones[tenant * USERS + number].said = said;
        }
        let hub = self.hub.clone();
        self.audiences[tenant].update(revision, states, |member| hub.member_changed(&member));
    }

    /// What is expected of one that is asked now; empty: nothing was for it.
    fn ask(&mut self, number: usize) -> Vec<String> {
        let one = &self.ones[number];
        let meant = one.pending.iter().filter(|sent| gets(number / USERS, &one.said, sent));
        let own = |sent: &Sent| match &sent.keyed {
            Some((author, keyed)) if *author == number % USERS => keyed.clone(),
            _ => sent.text.clone(),
        };
        meant.map(own).collect()
    }

    fn pass(&mut self) {
        for number in 0..self.ones.len() {
            if self.ones[number].is_behind {
                continue;
            }
            let frames = self.ask(number);
            let is_blocked = self.sockets.blocked.contains(&number);
            let one = &mut self.ones[number];
            one.is_behind = is_blocked && !frames.is_empty();
            if !one.is_behind {
                one.expected.extend(frames);
                one.pending.clear();
            }
        }
        let mut fallen = Vec::new();
        for feed in self.shard.dirty_feeds() {
            while self.shard.pass(&feed, &mut self.sockets, &mut fallen).is_err() {
                self.shard.mailbox().take_changes();
            }
        }
        assert!(fallen.is_empty(), "the ring is long enough");
    }

    /// Everybody takes something again.
    fn unblock(&mut self) {
        self.sockets.blocked.clear();
        drop(self.shard.mailbox().take_changes());
        for number in 0..self.ones.len() {
            if !std::mem::take(&mut self.ones[number].is_behind) {
                continue;
            }
            let frames = self.ask(number);
            let one = &mut self.ones[number];
            one.expected.extend(frames);
            one.pending.clear();
            assert!(!self.shard.go_on(one.key, &mut self.sockets).unwrap());
        }
    }

    fn compare(&mut self, seed: u64) {
        for (number, one) in self.ones.iter_mut().enumerate() {
            let (tenant, user) = (TENANTS[number / USERS], number % USERS);
            let got = self.sockets.frames(number);
            assert_eq!(got, one.expected, "u{user} of {tenant}, seed {seed}");
            one.expected.clear();
        }
        self.sockets.written.clear();
    }

    /// The same decision where it is asked for directly, as history does.
    fn compare_members(&self, seed: u64) {
        for (number, one) in self.ones.iter().enumerate() {
            let tenant = number / USERS;
            let member = self.audiences[tenant].member(&user(number % USERS)).unwrap();
            for of in (0..=PROJECTS).map(Some).chain([None]) {
                let audience = of.map_or(Audience::All, |of| Audience::Project(project(of)));
                let sent = Sent { tenant, project: of, text: String::new(), keyed: None };
                assert_eq!(member.is_meant(&audience), gets(tenant, &one.said, &sent), "{of:?}, seed {seed}");
            }
        }
    }
}

fn at(tenant: usize, offset: u64) -> Position {
    Position { epoch: Epoch(tenant as u64 + 1), offset, link: Link(offset * 7) }
}

trait ParseName {
    fn parse_name(self) -> antiphon_protocol::TopicName;
}

impl ParseName for &str {
    fn parse_name(self) -> antiphon_protocol::TopicName {
        antiphon_protocol::TopicName::parse(self).unwrap()
    }
}

#[test]
fn a_million_times_an_entry_reaches_exactly_those_that_the_model_says() {
    let seed = seed();
    let mut random = Random(seed);
    let mut world = World::new(&mut random);
    let mut number = 0;
    for _ in 0..ROUNDS {
        let mut sent = 0;
        while sent < ENTRIES {
            for _ in 0..=random.below(12) {
                number += 1;
                sent += 1;
                world.send(&mut random, number);
                if random.below(6) == 0 {
                    world.change(&mut random);
                }
            }
            world.sockets.blocked =
                (0..random.below(30)).map(|_| random.below(TENANTS.len() * USERS)).collect();
            world.pass();
        }
        world.unblock();
        world.compare(seed);
        world.compare_members(seed);
    }
    assert!(world.questions >= 1_000_000, "{}", world.questions);
}
