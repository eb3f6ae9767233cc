//! A world: nodes, clients, a bell and a database, and the faults that a seed has in store for them.

use std::{
    sync::{
        Arc,
        atomic::{AtomicBool, AtomicU64, AtomicUsize, Ordering},
    },
    time::Duration,
};

use antiphon_core::{AccessRule, Directory, Limits, MemberSettings, Store, TopicRule, TopicRules};
use antiphon_memory::{MemoryDirectory, MemoryStore};
use antiphon_node::Node;
use antiphon_protocol::{ClusterSecret, Entry, ProjectId, TenantId, Topic, TopicName, UserId};
use parking_lot::Mutex;
use tokio::time::Instant;

use crate::{
    bus::Bus,
    client::Client,
    database::{Database, Weather},
    dice::Dice,
    history::{Absence, History},
    instance::{Instance, Wire},
    sabotage::{Plant, Sabotage},
    time::pass,
};

pub const TENANT: &str = "acme";
/// The tenant's own topic, and one that only the project's members may read.
pub const TOPICS: &[&str] = &[TENANT, "room:p"];
const NODES: usize = 3;
const CLIENTS: usize = 7;
const ENTRIES_EACH: u64 = 12;
/// How long faults come, in the world's own time.
const STORM: Duration = Duration::from_secs(12);
/// How long everything may take to be as it should, after the last fault.
const CALM: Duration = Duration::from_secs(30);

pub struct World {
    pub history: Mutex<History>,
    nodes: Mutex<Vec<Option<Instance>>>,
    bus: Arc<Bus>,
    store: Arc<MemoryStore>,
    directory: Arc<MemoryDirectory>,
    weather: Arc<Weather>,
    dice: Dice,
    plant: Plant,
    secret: ClusterSecret,
    tenant: TenantId,
    next_wire: AtomicUsize,
    is_calm: AtomicBool,
    is_over: AtomicBool,
    began: Instant,
}

/// What came of it.
pub struct Outcome {
    pub violations: Vec<String>,
    pub entries: usize,
    pub given: usize,
    pub faults: String,
}

/// Lives one world through, in its own time.
pub fn live(seed: u64, plant: Plant) -> Outcome {
    let runtime = tokio::runtime::Builder::new_current_thread()
        .enable_time()
        .start_paused(true)
        .build()
        .expect("a runtime");
    runtime.block_on(async {
        let world = World::new(seed, plant).await;
        world.run(seed).await
    })
}

fn limits() -> Limits {
    Limits {
        // Small, so that clients fall out of the ring and read several pages; and no rate, since time is not the clock's.
        ring_entries: 6,
        page_entries: 4,
        rate_per_second: 0,
        engine_timeout: Duration::from_secs(2),
        ..Limits::default()
    }
}

fn project() -> ProjectId {
    ProjectId::parse("p").expect("an id")
}

fn user(id: &str) -> UserId {
    UserId::parse(id).expect("an id")
}

impl World {
    async fn new(seed: u64, plant: Plant) -> Arc<Self> {
        let dice = Dice::new(seed);
        let secret = ClusterSecret::new([7; 32]);
        let bus = Bus::new(dice.clone());
        bus.loss.store(dice.below(200), Ordering::Relaxed);
        let world = Arc::new(Self {
            history: Mutex::default(),
            nodes: Mutex::new((0..NODES).map(|_| None).collect()),
            bus,
            store: Arc::new(MemoryStore::new(secret.clone())),
            directory: Arc::new(MemoryDirectory::default()),
            weather: Arc::new(Weather { is_down: AtomicBool::new(false), failures: AtomicU64::new(0) }),
            dice,
            plant,
            secret,
            tenant: TenantId::parse(TENANT).expect("an id"),
            next_wire: AtomicUsize::new(0),
            is_calm: AtomicBool::new(false),
            is_over: AtomicBool::new(false),
            began: Instant::now(),
        });
        let directory = &world.directory;
        directory.put_tenant(&world.tenant).await.expect("memory");
        for number in 0..CLIENTS {
            directory.put_user(&world.tenant, &user(&name(number))).await.expect("memory");
        }
        directory.put_project(&world.tenant, &project()).await.expect("memory");
        for number in 0..CLIENTS {
            world.put_member(&*world.directory, &name(number)).await.expect("memory");
        }
        (0..NODES).for_each(|index| world.start(index));
        world
    }

    async fn put_member(&self, directory: &dyn Directory, id: &str) -> Result<u64, antiphon_core::SeamError> {
        let member = MemberSettings { user: user(id), deliver: None, push: None };
        directory.put_members(&self.tenant, &project(), &[member]).await
    }

    fn database(&self) -> Arc<Database> {
        Database::new(
            self.store.clone(),
            self.directory.clone(),
            self.dice.clone(),
            self.weather.clone(),
            self.plant == Plant::OldMembers,
        )
    }

    fn start(&self, index: usize) {
        let room = TopicRule {
            r#match: "room:*".to_owned(),
            subscribe: AccessRule::Members,
            publish: AccessRule::Members,
        };
        let instance = Instance::start(
            &self.bus,
            self.database(),
            TopicRules(vec![room]),
            (&self.tenant, &self.secret),
            limits(),
            Sabotage::new(self.plant),
        );
        self.nodes.lock()[index] = Some(instance);
    }

    /// To some node that is there.
    pub fn connect(&self, dice: &Dice) -> Option<Wire> {
        let nodes = self.nodes.lock();
        let there: Vec<&Instance> = nodes.iter().flatten().collect();
        let node = there.get(dice.below(there.len() as u64) as usize)?;
        Some(node.connect(self.next_wire.fetch_add(1, Ordering::Relaxed)))
    }

    pub fn is_calm(&self) -> bool {
        self.is_calm.load(Ordering::Relaxed)
    }

    pub fn is_over(&self) -> bool {
        self.is_over.load(Ordering::Relaxed)
    }

    async fn run(self: &Arc<Self>, seed: u64) -> Outcome {
        for number in 0..CLIENTS {
            let comes_and_goes = number == CLIENTS - 1;
            let client = Client {
                number,
                user: name(number),
                comes_and_goes,
                is_member: !comes_and_goes,
                to_publish: if comes_and_goes { 0 } else { ENTRIES_EACH },
                dice: Dice::new(seed.wrapping_add(1 + number as u64)),
            };
            tokio::spawn(client.run(self.clone()));
        }
        let members = tokio::spawn(self.clone().change_members());
        self.storm().await;
        self.heal();
        drop(members.await);
        self.wait_until_all_is_there().await;
        self.is_over.store(true, Ordering::Relaxed);
        self.outcome().await
    }

    /// One fault after the other, some at the same time.
    async fn storm(self: &Arc<Self>) {
        while self.began.elapsed() < STORM {
            pass(self.dice.ms(50, 900)).await;
            let (world, index) = (self.clone(), self.dice.below(NODES as u64) as usize);
            let lasts = self.dice.ms(50, 2500);
            let kind = self.dice.below(6);
            tokio::spawn(async move { world.fault(kind, index, lasts).await });
        }
    }

    async fn fault(&self, kind: u64, index: usize, lasts: Duration) {
        let ear = self.nodes.lock()[index].as_ref().map(|instance| instance.ear.clone());
        match (kind, ear) {
            (0, Some(_)) => {
                let killed = self.nodes.lock()[index].take();
                self.history.lock().fault("node killed");
                killed.into_iter().for_each(Instance::kill);
                pass(lasts).await;
                if self.nodes.lock()[index].is_none() {
                    self.start(index);
                }
            }
            (1, Some(ear)) => {
                self.history.lock().fault("bell cut in silence");
                ear.is_cut.store(true, Ordering::Release);
                pass(lasts).await;
                ear.is_cut.store(false, Ordering::Release);
            }
            (2, Some(ear)) => {
                self.history.lock().fault("bell away");
                ear.set_down(true);
                pass(lasts).await;
                ear.set_down(false);
            }
            (3, _) => {
                self.history.lock().fault("database away");
                self.weather.is_down.store(true, Ordering::Release);
                pass(lasts).await;
                self.weather.is_down.store(false, Ordering::Release);
            }
            (4, _) => {
                self.history.lock().fault("database fails now and then");
                self.weather.failures.store(200, Ordering::Relaxed);
                pass(lasts).await;
                self.weather.failures.store(0, Ordering::Relaxed);
            }
            _ => {}
        }
    }

    fn heal(&self) {
        self.is_calm.store(true, Ordering::Relaxed);
        self.weather.is_down.store(false, Ordering::Release);
        self.weather.failures.store(0, Ordering::Relaxed);
        self.bus.loss.store(0, Ordering::Relaxed);
        for index in 0..NODES {
            if self.nodes.lock()[index].is_none() {
                self.start(index);
            }
        }
        for instance in self.nodes.lock().iter().flatten() {
            instance.ear.is_cut.store(false, Ordering::Release);
            instance.ear.set_down(false);
        }
    }

    /// The last client is removed and added again, through any node.
    async fn change_members(self: Arc<Self>) {
        let who = name(CLIENTS - 1);
        while !self.is_calm() {
            pass(self.dice.ms(100, 900)).await;
            let Some((node, database)) = self.some_node() else { continue };
            if !matches!(database.delete_member(&self.tenant, &project(), &user(&who)).await, Ok(true)) {
                continue;
            }
            node.tenant_changed(&self.tenant).await;
            self.history.lock().absences.push(Absence { from: Instant::now(), to: None });
            pass(self.dice.ms(0, 900)).await;
            if let Some(last) = self.history.lock().absences.last_mut() {
                last.to = Some(Instant::now());
            }
            while self.put_member(&*self.database(), &who).await.is_err() {
                pass(self.dice.ms(10, 100)).await;
            }
            if let Some((node, _)) = self.some_node() {
                node.tenant_changed(&self.tenant).await;
            }
        }
    }

    fn some_node(&self) -> Option<(Arc<Node>, Arc<Database>)> {
        let nodes = self.nodes.lock();
        let there: Vec<&Instance> = nodes.iter().flatten().collect();
        let node = there.get(self.dice.below(there.len() as u64) as usize)?;
        Some((node.node.clone(), self.database()))
    }

    async fn logs(&self) -> Vec<Vec<Entry>> {
        let mut logs = Vec::new();
        for name in TOPICS {
            let topic = Topic::new(self.tenant.clone(), TopicName::parse(name).expect("a name"));
            logs.push(self.store.read(&topic, 0, u32::MAX, usize::MAX).await.expect("memory"));
        }
        logs
    }

    /// Everything is published and answered, and everybody is at the head.
    async fn wait_until_all_is_there(&self) {
        let until = Instant::now() + CALM;
        while Instant::now() < until {
            pass(Duration::from_millis(100)).await;
            let logs = self.logs().await;
            let history = self.history.lock();
            let is_published = history.publishes.len() as u64 == (CLIENTS as u64 - 1) * ENTRIES_EACH
                && history.publishes.values().all(|publish| publish.accepted.is_some());
            let is_at_head = |number: usize| {
                TOPICS.iter().zip(&logs).all(|(topic, log)| {
                    let stream = history.streams.get(&(number, (*topic).to_owned()));
                    let head = log.last().map_or(0, |entry| entry.position.offset);
                    stream.is_some_and(|stream| stream.passed >= head)
                })
            };
            if is_published && (0..CLIENTS - 1).all(is_at_head) {
                return;
            }
        }
        let unanswered =
            self.history.lock().publishes.values().filter(|publish| publish.accepted.is_none()).count();
        self.history.lock().violation(format!(
            "{unanswered} publishes had no answer, or somebody was not at the head in time"
        ));
    }

    async fn outcome(&self) -> Outcome {
        let logs = self.logs().await;
        let mut history = self.history.lock();
        for number in 0..CLIENTS - 1 {
            for (topic, log) in TOPICS.iter().zip(&logs) {
                history.compare(number, topic, true, log);
            }
        }
        history.compare_publishes(&logs);
        let faults: Vec<String> =
            history.faults.iter().map(|(kind, count)| format!("{count} x {kind}")).collect();
        Outcome {
            violations: std::mem::take(&mut history.violations),
            entries: logs.iter().map(Vec::len).sum(),
            given: history.streams.values().map(|stream| stream.got.len()).sum(),
            faults: faults.join(", "),
        }
    }
}

fn name(number: usize) -> String {
    format!("u{number}")
}
