//! How fast a user may ask over HTTP: as fast as one connection of its may say frames, and within what its user and its
//! tenant have in all. An API key is the application's own and may ask as it likes.

use std::time::Instant;

use antiphon_core::Buckets;
use antiphon_node::{Caller, Node};
use antiphon_protocol::{Refusal, TenantId, UserId};

/// By user.
#[derive(Default)]
pub(crate) struct Paces(Buckets<(TenantId, UserId)>);

impl Paces {
    /// One more request of this user.
    pub fn step(&self, caller: &Caller, node: &Node) -> Result<(), Refusal> {
        let limits = node.limits();
        let user = (caller.tenant().clone(), caller.identity.user.clone());
        self.0
            .take(&user, limits.rate(limits.rate_per_second), Instant::now())
            .map_err(Refusal::rate_limited)?;
        node.keep_shares(caller)
    }
}
