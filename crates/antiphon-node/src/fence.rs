//! The fence: a node that could verify nothing for too long takes no work and delivers nothing, until it can again.

use std::{sync::Arc, time::Duration};

use antiphon_core::FenceAction;
use antiphon_protocol::Refusal;

use crate::node::Node;

/// How often a fallen fence is looked at.
const LOOK_EVERY: Duration = Duration::from_millis(100);

impl Node {
    /// What is held of the local tenants was verified recently enough to act on it. Shards ask this before they deliver.
    pub fn is_verified(&self) -> bool {
        self.fence.is_open()
    }

    /// Its clients have to go: it has verified nothing for too long, and is not told to hold them.
    pub fn lets_go(&self) -> bool {
        self.limits.fence_action == FenceAction::Close && self.fence.is_down_for_good()
    }

    /// Refuses work that would rest on what is not verified.
    ///
    /// # Errors
    ///
    /// `UNAVAILABLE`, with a time to come back.
    pub fn guard(&self) -> Result<(), Refusal> {
        if self.is_verified() { Ok(()) } else { Err(Refusal::unavailable(rand::random_range(1000..3000))) }
    }

    /// Says in the log when the fence falls and when it stands again.
    pub(crate) async fn run_fence(self: Arc<Self>) {
        loop {
            match self.fence.change() {
                Some(false) => tracing::error!(
                    limit = ?self.limits.fence,
                    action = ?self.limits.fence_action,
                    "nothing could be verified for too long: no work is taken and nothing delivered"
                ),
                Some(true) => tracing::info!("verified again: work is taken"),
                None => {}
            }
            tokio::time::sleep(self.fence.left().max(LOOK_EVERY)).await;
        }
    }
}
