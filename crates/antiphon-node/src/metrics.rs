//! The node's figures. Labels have bounded values only: never a topic, a user or a tenant.

use std::sync::{
    Arc,
    atomic::{AtomicU64, Ordering},
};

use prometheus_client::{
    encoding::{EncodeLabelSet, EncodeLabelValue},
    metrics::{
        counter::Counter,
        family::Family,
        gauge::Gauge,
        histogram::{Histogram, exponential_buckets},
    },
    registry::{Registry, Unit},
};

/// Why a connection ended.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, EncodeLabelValue)]
pub enum EndReason {
    /// The client closed it.
    Closed,
    /// The socket broke.
    Reset,
    /// Nothing was heard from it.
    Silent,
    /// It took nothing.
    NoProgress,
    /// Broken framing.
    Protocol,
    /// Its identity ended or was none.
    Terminated,
    /// Over its rate.
    RateLimited,
    /// The node drained, or the application disconnected it.
    Restart,
    /// A panic in one of its steps.
    Panic,
    /// Its node could verify nothing for too long.
    Fenced,
}

/// What the application said about a publish.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, EncodeLabelValue)]
pub(crate) enum HookOutcome {
    /// It may be published.
    Allowed,
    /// The application has published it.
    Published,
    /// It may not.
    Refused,
    /// Nothing that could be used, or nothing in time.
    Failed,
}

#[derive(Debug, Clone, PartialEq, Eq, Hash, EncodeLabelSet)]
struct HookLabels {
    outcome: HookOutcome,
}

#[derive(Debug, Clone, PartialEq, Eq, Hash, EncodeLabelSet)]
struct EndLabels {
    reason: EndReason,
}

/// A count that goes up and down with guards elsewhere.
#[derive(Debug, Clone, Default)]
pub struct Level(Arc<AtomicU64>);

impl Level {
    /// One more.
    pub fn inc(&self) {
        self.0.fetch_add(1, Ordering::Relaxed);
    }

    /// One less.
    pub fn dec(&self) {
        self.0.fetch_sub(1, Ordering::Relaxed);
    }

    /// How many now.
    pub fn get(&self) -> u64 {
        self.0.load(Ordering::Relaxed)
    }
}

/// All figures of a node.
pub struct Metrics {
    pub(crate) registry: Registry,
    /// Connections that are upgraded.
    pub connections: Level,
    /// Those of them with an identity.
    pub identified: Level,
    /// Subscriptions.
    pub subscriptions: Level,
    /// Entries published here.
    pub entries: Counter,
    /// Signals published here.
    pub signals: Counter,
    /// Signals and plain messages dropped.
    pub signals_dropped: Counter,
    /// Frames of entries and signals written, or kept for a slow socket.
    pub deliveries: Counter,
    /// Bytes written to sockets.
    pub bytes_out: Counter,
    /// Bytes read from sockets.
    pub bytes_in: Counter,
    /// Envelopes that did not prove themselves or could not be read.
    pub envelopes_refused: Counter,
    /// Signals that were heard before, or are too old.
    pub signals_repeated: Counter,
    /// Plain messages that were refused.
    pub plain_refused: Counter,
    /// Readings of the store for what a feed missed.
    pub repairs: Counter,
    /// Readings of the store for pages that subscribers had missed.
    pub pages: Counter,
    /// Questions to the store where a topic's log is: of subscribers, and before a repair.
    pub locates: Counter,
    /// Panics in a session's step.
    pub panics: Counter,
    /// From a publish's arrival to its answer.
    pub publish_seconds: Histogram,
    /// From an entry's or signal's arrival in its feed to the end of the pass that wrote it.
    pub write_seconds: Histogram,
    /// How long the application took for its answer about a publish.
    pub(crate) hook_seconds: Histogram,
    hook_answers: Family<HookLabels, Counter>,
    ends: Family<EndLabels, Counter>,
    pub(crate) connections_gauge: Gauge,
    pub(crate) identified_gauge: Gauge,
    pub(crate) subscriptions_gauge: Gauge,
    pub(crate) topics_gauge: Gauge,
    pub(crate) tenants_gauge: Gauge,
    pub(crate) queue_gauge: Gauge,
    pub(crate) hook_gauge: Gauge,
    pub(crate) broker_up: Gauge,
    pub(crate) spare_rings: Gauge,
    pub(crate) broker_dropped: Gauge,
    pub(crate) nodes_gauge: Gauge,
    pub(crate) verified_gauge: Gauge,
    pub(crate) writable_gauge: Gauge,
}

impl Metrics {
    pub(crate) fn new() -> Self {
        let latency = || Histogram::new(exponential_buckets(0.000_1, 2.0, 18));
        let mut this = Self {
            registry: Registry::with_prefix("antiphon"),
            connections: Level::default(),
            identified: Level::default(),
            subscriptions: Level::default(),
            entries: Counter::default(),
            signals: Counter::default(),
            signals_dropped: Counter::default(),
            deliveries: Counter::default(),
            bytes_out: Counter::default(),
            bytes_in: Counter::default(),
            envelopes_refused: Counter::default(),
            signals_repeated: Counter::default(),
            plain_refused: Counter::default(),
            repairs: Counter::default(),
            pages: Counter::default(),
            locates: Counter::default(),
            panics: Counter::default(),
            publish_seconds: latency(),
            write_seconds: latency(),
            hook_seconds: latency(),
            hook_answers: Family::default(),
            ends: Family::default(),
            connections_gauge: Gauge::default(),
            identified_gauge: Gauge::default(),
            subscriptions_gauge: Gauge::default(),
            topics_gauge: Gauge::default(),
            tenants_gauge: Gauge::default(),
            queue_gauge: Gauge::default(),
            hook_gauge: Gauge::default(),
            broker_up: Gauge::default(),
            spare_rings: Gauge::default(),
            broker_dropped: Gauge::default(),
            nodes_gauge: Gauge::default(),
            verified_gauge: Gauge::default(),
            writable_gauge: Gauge::default(),
        };
        this.register();
        this
    }

    fn register(&mut self) {
        let r = &mut self.registry;
        r.register("connections", "Upgraded connections", self.connections_gauge.clone());
        r.register("connections_identified", "Connections with an identity", self.identified_gauge.clone());
        r.register("subscriptions", "Subscriptions", self.subscriptions_gauge.clone());
        r.register("topics", "Topics with a subscriber here", self.topics_gauge.clone());
        r.register("tenants", "Tenants with a connected user here", self.tenants_gauge.clone());
        r.register("entries", "Entries published here", self.entries.clone());
        r.register("signals", "Signals published here", self.signals.clone());
        r.register("signals_dropped", "Signals and plain messages dropped", self.signals_dropped.clone());
        r.register("deliveries", "Writes of entries and signals to subscribers", self.deliveries.clone());
        r.register_with_unit("sent", "Written to sockets", Unit::Bytes, self.bytes_out.clone());
        r.register_with_unit("received", "Read from sockets", Unit::Bytes, self.bytes_in.clone());
        r.register(
            "envelopes_refused",
            "Envelopes that did not prove themselves",
            self.envelopes_refused.clone(),
        );
        r.register("signals_repeated", "Signals heard before, or too old", self.signals_repeated.clone());
        r.register("plain_refused", "Plain messages refused", self.plain_refused.clone());
        r.register("pages", "Readings of the store for what subscribers had missed", self.pages.clone());
        r.register("locates", "Questions to the store where a topic's log is", self.locates.clone());
        r.register("repairs", "Readings of the store for what a feed missed", self.repairs.clone());
        r.register("panics", "Panics in a session's step", self.panics.clone());
        r.register_with_unit(
            "publish",
            "From a publish's arrival to its answer",
            Unit::Seconds,
            self.publish_seconds.clone(),
        );
        r.register_with_unit(
            "commit_to_write",
            "From an entry's arrival in its feed to the end of the pass that wrote it",
            Unit::Seconds,
            self.write_seconds.clone(),
        );
        r.register("connections_ended", "Connections ended, by reason", self.ends.clone());
        r.register_with_unit(
            "publish_hook",
            "From asking the publish hook to its answer",
            Unit::Seconds,
            self.hook_seconds.clone(),
        );
        r.register("publish_hook_answers", "Answers of the publish hook", self.hook_answers.clone());
        r.register("publish_hook_queue", "Publishes at or before the publish hook", self.hook_gauge.clone());
        r.register("publish_queue", "Publishes waiting for a commit", self.queue_gauge.clone());
        r.register("broker_up", "1 while the broker answers", self.broker_up.clone());
        r.register(
            "broker_spare",
            "1 while the spare broker rings in the place of the first",
            self.spare_rings.clone(),
        );
        r.register("broker_posts_dropped", "Posts dropped since the start", self.broker_dropped.clone());
        r.register("nodes", "Nodes alive, this one included", self.nodes_gauge.clone());
        r.register("verified", "1 while the fence stands and work is taken", self.verified_gauge.clone());
        r.register(
            "database_writable",
            "1 while the database takes what is published",
            self.writable_gauge.clone(),
        );
    }

    pub(crate) fn hook_answered(&self, outcome: HookOutcome) {
        self.hook_answers.get_or_create(&HookLabels { outcome }).inc();
    }

    /// A connection ended.
    pub fn ended(&self, reason: EndReason) {
        self.ends.get_or_create(&EndLabels { reason }).inc();
    }

    /// How many connections have ended for this reason.
    pub fn ended_for(&self, reason: EndReason) -> u64 {
        self.ends.get_or_create(&EndLabels { reason }).get()
    }
}
