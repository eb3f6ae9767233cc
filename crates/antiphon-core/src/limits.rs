//! Every bound, in one struct.

use std::time::Duration;

use crate::Rate;

/// What a node does with its clients once it could verify nothing for [`Limits::fence`].
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum FenceAction {
    /// It lets them go, with a code that brings them to another node.
    Close,
    /// It keeps them, and delivers nothing to them until it has verified again.
    Hold,
}

/// The bounds of a node. Sizes are bytes.
#[derive(Debug, Clone)]
pub struct Limits {
    /// A client's frame, and a fragmented message as a whole.
    pub frame_bytes: usize,
    /// Publishes of one connection that may wait for their commit.
    pub publishes_in_flight: usize,
    /// Drafts of one tenant's lane that may wait for a commit, over all connections.
    pub publish_queue: usize,
    /// Drafts that go into one transaction.
    pub commit_batch: usize,
    /// Publishes that the application is being asked about at once.
    pub publish_hook_calls: usize,
    /// Publishes and signals that may wait for it or behind it, over all connections.
    pub publish_hook_queue: usize,
    /// How long a publish may wait until the application is asked about it.
    pub publish_hook_wait: Duration,
    /// How long the application may take for its answer.
    pub publish_hook_timeout: Duration,
    /// Topics that one connection may be subscribed to.
    pub topics_per_connection: usize,
    /// Frames a second of one connection; 0: no bound.
    pub rate_per_second: u32,
    /// How many seconds' worth may come in one burst.
    pub rate_burst_seconds: u32,
    /// Frames over the rate in a row after which the connection is closed with 4029.
    pub rate_strikes: u32,
    /// Frames and requests a second of all connections of one user at this node; 0: no bound.
    pub user_rate: u32,
    /// Frames and requests a second of all users of one tenant at this node; 0: no bound.
    pub tenant_rate: u32,
    /// Connections of this node.
    pub connections: usize,
    /// Half-open connections (no identity yet) of this node.
    pub half_open: usize,
    /// Half-open connections from one address that is neither loopback nor a trusted proxy.
    pub half_open_per_address: usize,
    /// Entries that a topic keeps in memory for its subscribers.
    pub ring_entries: usize,
    /// Bytes that these may have.
    pub ring_bytes: usize,
    /// For how long an entry stays there at least while nothing pushes it out.
    pub ring_age: Duration,
    /// Bytes of answers that may wait for a slow connection before its reading stops.
    pub answers_bytes: usize,
    /// Entries of one page of a catch-up.
    pub page_entries: u32,
    /// Bytes of one page of a catch-up.
    pub page_bytes: usize,
    /// Readings of the store at one time for what subscribers have missed; who comes when there are as many is told to come later.
    pub catch_up_reads: usize,
    /// Bytes of pages that are kept for some seconds for others who have missed the same.
    pub catch_up_bytes: usize,
    /// Bytes of a page of history.
    pub history_bytes: usize,
    /// Bytes of an HTTP request's body.
    pub body_bytes: usize,
    /// Bytes of an HTTP request's head.
    pub head_bytes: usize,
    /// Headers of an HTTP request.
    pub headers: usize,
    /// Entries of one batch over HTTP.
    pub batch_entries: usize,
    /// Signals of one tenant that may wait for a fresher audience.
    pub parked_signals: usize,
    /// Until when a request's head has to be there.
    pub handshake_timeout: Duration,
    /// Until when the first token has to be shown.
    pub first_token_timeout: Duration,
    /// How often the server pings.
    pub keep_alive: Duration,
    /// How long after a ping something has to arrive.
    pub pong_timeout: Duration,
    /// How long a socket may take nothing while something waits for it.
    pub progress_timeout: Duration,
    /// How long a node goes on listening to a topic that nobody here is subscribed to any more.
    pub linger: Duration,
    /// How often a filtered client is told its position.
    pub position_interval: Duration,
    /// How often the heads of all local topics and the revisions of all local tenants are read.
    pub tick: Duration,
    /// The same while the broker is away, when only this tells of other nodes.
    pub tick_without_broker: Duration,
    /// How long a node may deliver and take work without having read the revisions of all local tenants; at least three ticks.
    pub fence: Duration,
    /// What becomes of its clients then.
    pub fence_action: FenceAction,
    /// How long an entry that came before those before it waits for them, until they are read from the store.
    pub reorder_patience: Duration,
    /// How often a node renews its lease.
    pub lease_renewal: Duration,
    /// After which time without renewal a node counts as dead.
    pub lease_ttl: Duration,
    /// How long other nodes have to answer a question.
    pub ask_timeout: Duration,
    /// How long entries are kept; none: for ever.
    pub retention: Option<Duration>,
    /// Entries that a topic keeps at most; none: no bound.
    pub retention_count: Option<u64>,
    /// Bytes of contents that a topic keeps at most; none: no bound.
    pub retention_bytes: Option<u64>,
    /// How long one operation of an engine may take.
    pub engine_timeout: Duration,
}

impl Limits {
    /// So many a second, in bursts as all rates have them.
    pub fn rate(&self, per_second: u32) -> Rate {
        Rate { per_second, burst_seconds: self.rate_burst_seconds }
    }
}

impl Default for Limits {
    fn default() -> Self {
        Self {
            frame_bytes: 64 * 1024,
            publishes_in_flight: 256,
            publish_queue: 4096,
            commit_batch: 64,
            publish_hook_calls: 256,
            publish_hook_queue: 4096,
            publish_hook_wait: Duration::from_secs(10),
            publish_hook_timeout: Duration::from_secs(5),
            topics_per_connection: 1000,
            rate_per_second: 100,
            rate_burst_seconds: 10,
            rate_strikes: 100,
            user_rate: 0,
            tenant_rate: 0,
            connections: 1_000_000,
            half_open: 20_000,
            half_open_per_address: 1000,
            ring_entries: 256,
            ring_bytes: 256 * 1024,
            ring_age: Duration::from_secs(30),
            answers_bytes: 512 * 1024,
            page_entries: 200,
            page_bytes: 256 * 1024,
            catch_up_reads: 32,
            catch_up_bytes: 32 * 1024 * 1024,
            history_bytes: 256 * 1024,
            body_bytes: 1024 * 1024,
            head_bytes: 8 * 1024,
            headers: 64,
            batch_entries: 100,
            parked_signals: 1024,
            handshake_timeout: Duration::from_secs(5),
            first_token_timeout: Duration::from_secs(10),
            keep_alive: Duration::from_secs(25),
            pong_timeout: Duration::from_secs(10),
            progress_timeout: Duration::from_secs(30),
            linger: Duration::from_secs(2),
            position_interval: Duration::from_secs(10),
            tick: Duration::from_millis(700),
            tick_without_broker: Duration::from_millis(200),
            fence: Duration::from_secs(30),
            fence_action: FenceAction::Close,
            reorder_patience: Duration::from_millis(50),
            lease_renewal: Duration::from_secs(2),
            lease_ttl: Duration::from_secs(7),
            ask_timeout: Duration::from_millis(500),
            retention: Some(Duration::from_secs(30 * 24 * 3600)),
            retention_count: None,
            retention_bytes: None,
            engine_timeout: Duration::from_secs(10),
        }
    }
}
