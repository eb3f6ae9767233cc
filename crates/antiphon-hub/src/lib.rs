//! Local fan-out: from one entry to every subscriber at this node that its audience admits.
//!
//! A [`Feed`] holds what a topic has delivered and its ring of recent, encoded entries. A subscriber is a cursor
//! into that ring, kept by the [`Shard`] that owns its connection; the shard's pass writes what has gathered, one
//! prepared buffer for each audience class, straight to the sockets. Nothing here waits, calls a seam, or
//! allocates for a subscriber that is at the head.

mod audience;
mod delivery;
mod feed;
mod hub;
mod mailbox;
mod pass;
mod restart;
mod ring;
mod shard;

pub use audience::{Login, Member, MemberState, TenantAudience};
pub use delivery::Delivery;
pub use feed::{Feed, Start, Verdict};
pub use hub::{Hub, Subscription};
pub use mailbox::{Changes, Mailbox, Wake};
pub use pass::{Outlets, Taken};
pub use restart::Restart;
pub use ring::RingBounds;
pub use shard::{ChangesFirst, Shard, SubscriberKey};
