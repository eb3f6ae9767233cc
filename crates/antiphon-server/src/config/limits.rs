//! The `[limits]` section: the bounds of a node that an operator may want to move. What the protocol fixes
//! (a frame's size, publishes in flight, a page of history) is not among them.

use antiphon_core::Limits;
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use super::Span;

/// A bound as it stands in the file, and as the node has it.
trait Bound: Sized {
    type Inner;
    fn from_inner(inner: Self::Inner) -> Self;
    fn into_inner(self) -> Self::Inner;
    fn is_zero(&self) -> bool;
}

macro_rules! number {
    ($($kind:ty),*) => {$(
        impl Bound for $kind {
            type Inner = $kind;
            fn from_inner(inner: $kind) -> Self {
                inner
            }
            fn into_inner(self) -> $kind {
                self
            }
            fn is_zero(&self) -> bool {
                *self == 0
            }
        }
    )*};
}
number!(u32, usize);

impl Bound for Span {
    type Inner = std::time::Duration;
    fn from_inner(inner: std::time::Duration) -> Self {
        Self(inner)
    }
    fn into_inner(self) -> std::time::Duration {
        self.0
    }
    fn is_zero(&self) -> bool {
        self.0.is_zero()
    }
}

/// What is not bounded at 0.
const MAY_BE_ZERO: [&str; 2] = ["user_rate", "tenant_rate"];

macro_rules! bounds {
    ($($(#[doc = $doc:literal])+ $(#[schemars($($more:tt)*)])? $name:ident: $kind:ty,)*) => {
        /// The bounds of a node. Sizes are bytes.
        #[derive(Debug, Clone, Serialize, Deserialize, JsonSchema)]
        #[serde(default, deny_unknown_fields)]
        pub struct LimitsSection {
            $($(#[doc = $doc])+ #[schemars(range(min = 1))] $(#[schemars($($more)*)])? pub $name: $kind,)*
        }

        impl Default for LimitsSection {
            fn default() -> Self {
                let limits = Limits::default();
                Self { $($name: Bound::from_inner(limits.$name),)* }
            }
        }

        impl LimitsSection {
            /// The bounds with these in their places.
            pub fn applied(&self) -> Limits {
                Limits { $($name: self.$name.into_inner(),)* ..Limits::default() }
            }

            /// The first of them that is zero and may not be.
            pub fn zero(&self) -> Option<&'static str> {
                $(if self.$name.is_zero() && !MAY_BE_ZERO.contains(&stringify!($name)) {
                    return Some(stringify!($name));
                })*
                None
            }
        }
    };
}

bounds! {
    /// Drafts of one tenant's lane that may wait for a commit, over all connections.
    publish_queue: usize,
    /// Drafts that go into one transaction.
    commit_batch: usize,
    /// Publishes that the publish hook is being asked about at once.
    publish_hook_calls: usize,
    /// Publishes and signals that may wait for the publish hook or behind it, over all connections.
    publish_hook_queue: usize,
    /// How long a publish may wait until the publish hook is asked about it.
    publish_hook_wait: Span,
    /// How long the publish hook may take for its answer.
    publish_hook_timeout: Span,
    /// Topics that one connection may be subscribed to.
    topics_per_connection: usize,
    /// How many seconds' worth of frames may come in one burst.
    rate_burst_seconds: u32,
    /// Frames over the rate in a row after which a connection is closed with 4029.
    rate_strikes: u32,
    /// Frames and requests a second of all connections of one user at this node; 0: no bound.
    #[schemars(extend("minimum" = 0))]
    user_rate: u32,
    /// Frames and requests a second of all users of one tenant at this node; 0: no bound.
    #[schemars(extend("minimum" = 0))]
    tenant_rate: u32,
    /// Connections that are no socket yet, idle ones of HTTP/1 too, and sockets without an identity yet, of this node.
    half_open: usize,
    /// The same from one address that is neither loopback nor a trusted proxy.
    half_open_per_address: usize,
    /// Entries that a topic keeps in memory for its subscribers.
    ring_entries: usize,
    /// Bytes that these may have.
    ring_bytes: usize,
    /// For how long an entry stays there at least while nothing pushes it out.
    ring_age: Span,
    /// Bytes of answers that may wait for a slow connection before its reading stops.
    answers_bytes: usize,
    /// Entries of one page of a catch-up.
    page_entries: u32,
    /// Bytes of one page of a catch-up.
    page_bytes: usize,
    /// Readings of the store at one time for what subscribers have missed; who comes when there are as many is told to come later.
    catch_up_reads: usize,
    /// Bytes of pages that are kept for some seconds for others who have missed the same.
    catch_up_bytes: usize,
    /// Bytes of an HTTP request's body.
    body_bytes: usize,
    /// Bytes of an HTTP request's head.
    // The smallest buffer that hyper takes.
    #[schemars(extend("minimum" = 8192))]
    head_bytes: usize,
    /// Headers of an HTTP request.
    headers: usize,
    /// Entries of one batch over HTTP.
    batch_entries: usize,
    /// Signals of one tenant that may wait for a fresher audience.
    parked_signals: usize,
    /// Until when a request's head has to be there.
    handshake_timeout: Span,
    /// Until when a connection's first token has to be shown.
    first_token_timeout: Span,
    /// How often the server pings.
    keep_alive: Span,
    /// How long after a ping something has to arrive.
    pong_timeout: Span,
    /// How long a socket may take nothing while something waits for it.
    progress_timeout: Span,
    /// How long a node goes on listening to a topic that nobody here is subscribed to any more.
    linger: Span,
    /// How often the heads of all local topics and the revisions of all local tenants are read.
    tick: Span,
    /// The same while the broker is away, when only this tells of other nodes.
    tick_without_broker: Span,
    /// How long a node may deliver and take work without having read the revisions of all local tenants.
    fence: Span,
    /// How long an entry that came before those before it waits for them, until they are read from the store.
    reorder_patience: Span,
    /// How often a node renews its lease.
    lease_renewal: Span,
    /// After which time without renewal a node counts as dead.
    lease_ttl: Span,
    /// How long other nodes have to answer a question.
    ask_timeout: Span,
    /// How long one operation of the database may take.
    engine_timeout: Span,
}
