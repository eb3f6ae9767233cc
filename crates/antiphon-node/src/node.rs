//! The node: its engines, its hub, and the tasks that look after them.

use std::{
    sync::{
        Arc, Weak,
        atomic::{AtomicU64, Ordering},
    },
    time::Duration,
};

use antiphon_core::{
    ApiKeys, Authenticator, Authorizer, Broker, BrokerState, Channel, Directory, Limits, Located,
    PlainChannel, Presence, PublishHook, SeamError, Store, Tail, Tasks, Tokens,
};
use antiphon_hub::{Hub, RingBounds};
use antiphon_protocol::{ClusterSecret, NodeId, Refusal, Topic};
use tokio::sync::Notify;

use crate::{
    metrics::Metrics,
    state::{
        aside::Aside, asking::Asking, asks::Asks, audiences::Audiences, door::Doorkeeper, existing::Existing,
        fence::Fence, health::HealthState, lane::Lanes, leases::Leases, pages::Pages, parked::PlainQueue,
        repairs::Repairs, replays::Replays, shares::Shares,
    },
};

/// What a node works with.
#[derive(Clone)]
pub struct Engines {
    /// The log.
    pub store: Arc<dyn Store>,
    /// What other programs append to the log, if they can.
    pub tail: Option<Arc<dyn Tail>>,
    /// The bell.
    pub broker: Arc<dyn Broker>,
    /// The post's plain channels, if wanted.
    pub plain: Option<Arc<dyn PlainChannel>>,
    /// Tenants, users, projects, members.
    pub directory: Arc<dyn Directory>,
    /// Which nodes are alive.
    pub presence: Arc<dyn Presence>,
    /// From tokens to identities.
    pub authenticator: Arc<dyn Authenticator>,
    /// Who may.
    pub authorizer: Arc<dyn Authorizer>,
    /// The application's say in what its users publish, if it wants one.
    pub hook: Option<Arc<dyn PublishHook>>,
    /// Opaque tokens, if they are ours.
    pub tokens: Option<Arc<dyn Tokens>>,
    /// API keys, if they are ours.
    pub keys: Option<Arc<dyn ApiKeys>>,
}

/// One running instance.
pub struct Node {
    /// Itself, for the tasks that it starts.
    pub(crate) me: Weak<Self>,
    pub(crate) id: NodeId,
    pub(crate) engines: Engines,
    pub(crate) secret: ClusterSecret,
    pub(crate) limits: Limits,
    pub(crate) tasks: Tasks,
    pub(crate) hub: Arc<Hub>,
    pub(crate) audiences: Audiences,
    pub(crate) existing: Existing,
    pub(crate) doorkeeper: Doorkeeper,
    pub(crate) lanes: Lanes,
    pub(crate) aside: Aside,
    pub(crate) asking: Asking,
    pub(crate) pages: Pages,
    pub(crate) repairs: Repairs,
    pub(crate) replays: Replays,
    pub(crate) shares: Shares,
    /// Numbers this node's signals.
    pub(crate) signals_sent: AtomicU64,
    pub(crate) asks: Asks,
    pub(crate) leases: Leases,
    pub(crate) plain_queue: PlainQueue,
    pub(crate) health: HealthState,
    pub(crate) fence: Fence,
    /// The broker came or went.
    pub(crate) broker_changed: Notify,
    pub(crate) metrics: Metrics,
}

impl Node {
    /// Starts a node. Its tasks end with `tasks`; shards join its hub before the first client comes.
    pub fn start(engines: Engines, secret: ClusterSecret, limits: Limits, tasks: Tasks) -> Arc<Self> {
        let bounds =
            RingBounds { entries: limits.ring_entries, bytes: limits.ring_bytes, age: limits.ring_age };
        let (doorkeeper, knocks) = Doorkeeper::new(limits.half_open.max(1));
        let (lanes, lane_ends) = Lanes::new(limits.publish_queue);
        let (plain_queue, plain_end) = PlainQueue::new(limits.parked_signals);
        let metrics = Metrics::new();
        let node = Arc::new_cyclic(|me| Self {
            me: me.clone(),
            id: NodeId(rand::random()),
            hub: Hub::new(bounds, secret.clone()),
            audiences: Audiences::default(),
            existing: Existing::default(),
            doorkeeper,
            lanes,
            aside: Aside::new(limits.publish_queue),
            asking: Asking::new(&limits),
            pages: Pages::new(limits.catch_up_reads, limits.catch_up_bytes),
            repairs: Repairs::default(),
            replays: Replays::default(),
            shares: Shares::default(),
            signals_sent: AtomicU64::new(1),
            asks: Asks::default(),
            leases: Leases::default(),
            plain_queue,
            health: HealthState::default(),
            // Shorter than its own tick it would fall by itself.
            fence: Fence::new(limits.fence.max(3 * limits.tick)),
            broker_changed: Notify::new(),
            metrics,
            engines,
            secret,
            limits,
            tasks,
        });
        // A broker that is no connection is there from the start, which is not worth a word.
        node.health.hears.store(node.engines.broker.current_state() == BrokerState::Up, Ordering::Relaxed);
        node.engines.broker.attach(node.clone());
        node.engines.broker.listen(&Channel::Nodes);
        if let Some(plain) = &node.engines.plain {
            plain.attach_plain(node.clone());
        }
        node.tasks.spawn_until_end(node.clone().keep_door(knocks));
        for lane in lane_ends {
            node.tasks.spawn_until_end(node.clone().run_lane(lane));
        }
        node.tasks.spawn_until_end(node.clone().run_plain(plain_end));
        node.tasks.spawn_until_end(node.clone().run_ticks());
        node.tasks.spawn_until_end(node.clone().run_fence());
        if let Some(tail) = node.engines.tail.clone() {
            node.tasks.spawn_until_end(node.clone().run_tail(tail));
        }
        node.tasks.spawn_until_end(node.clone().run_lease());
        node.tasks.spawn_until_end(node.clone().run_retention());
        node
    }

    /// Its id.
    pub fn id(&self) -> NodeId {
        self.id
    }

    /// Its bounds.
    pub fn limits(&self) -> &Limits {
        &self.limits
    }

    /// What it works with.
    pub fn engines(&self) -> &Engines {
        &self.engines
    }

    /// Its tasks.
    pub fn tasks(&self) -> &Tasks {
        &self.tasks
    }

    /// Its hub.
    pub fn hub(&self) -> &Arc<Hub> {
        &self.hub
    }

    /// Its figures.
    pub fn metrics(&self) -> &Metrics {
        &self.metrics
    }

    /// Waits for an engine, but not for ever; notes how the database is.
    pub(crate) async fn timed<T>(
        &self,
        what: &'static str,
        ask: impl Future<Output = Result<T, SeamError>>,
    ) -> Result<T, SeamError> {
        let result = self.bounded(what, ask).await;
        self.health.database_answered(result.as_ref().err());
        result
    }

    /// Waits for an engine that writes, but not for ever. How the database is, is not told by this: one whose disk is full
    /// answers all that reads.
    pub(crate) async fn bounded<T>(
        &self,
        what: &'static str,
        ask: impl Future<Output = Result<T, SeamError>>,
    ) -> Result<T, SeamError> {
        let answer = tokio::time::timeout(self.limits.engine_timeout, ask).await;
        answer.unwrap_or_else(|_| Err(SeamError::unavailable(what, "no answer in time")))
    }

    /// Asks the store where a topic's log is, and for the link at an offset.
    pub(crate) async fn located(&self, topic: &Topic, at: Option<u64>) -> Result<Located, SeamError> {
        self.metrics.locates.inc();
        self.timed("the store", self.engines.store.locate(topic, at)).await
    }
}

/// What a client is told when an engine failed: the cause goes to the log.
pub(crate) fn refuse(error: &SeamError) -> Refusal {
    match error {
        SeamError::Unavailable { .. } => tracing::warn!(%error, "refused for now"),
        SeamError::Broken { .. } | SeamError::NotKept => tracing::error!(%error, "refused"),
    }
    Refusal::unavailable(retry_after().as_millis() as u64)
}

fn retry_after() -> Duration {
    Duration::from_millis(rand::random_range(500..1500))
}
