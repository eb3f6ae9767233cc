//! The seams between a node and the world: what it asks of a store, a broker, a directory, of tokens and
//! leases, and what these promise. Beside them what every room needs: limits, tasks and the error of a seam; and what
//! each engine of a broker needs: its ear, its queue of posts, its patience.

mod access;
mod backoff;
mod broker;
mod bucket;
mod credential;
mod directory;
mod ear;
mod error;
mod hook;
mod identity;
mod lease;
mod limits;
mod posts;
mod retention;
mod store;
mod tail;
mod tasks;

pub use access::{Access, AccessRule, Action, Authorizer, Membership, TopicRule, TopicRules};
pub use backoff::backoff;
pub use broker::{Broker, BrokerState, Channel, Inbox, PlainChannel, PlainInbox};
pub use bucket::{Bucket, Buckets, Rate};
pub use credential::{
    KEY_PREFIX, TOKEN_PREFIX, end_after, find_key, hash_credential, is_credential, issue_token,
    make_credential, random_bytes,
};
pub use directory::{Directory, Listed, MemberSettings, Page, Settings, UserState};
pub use ear::Ear;
pub use error::SeamError;
pub use hook::{PublishHook, Verdict};
pub use identity::{
    ApiKey, ApiKeys, AuthError, Authenticator, Identity, NewKey, NewToken, OpaqueToken, Scope, Tokens,
};
pub use lease::{Lease, Presence};
pub use limits::{FenceAction, Limits};
pub use posts::{Post, Posts, WaitingPosts};
pub use retention::{Retention, TrimCursor, Trimmed};
pub use store::{AppendRefusal, Appended, GroupOutcome, HistoryPage, Located, Store};
pub use tail::{Tail, Tailed};
pub use tasks::Tasks;
