//! How fast a user may ask over HTTP: as fast as one connection of its may say frames. An API key is the application's own
//! and may ask as it likes.

use std::{collections::HashMap, time::Instant};

use antiphon_core::Limits;
use antiphon_node::Caller;
use antiphon_protocol::{Refusal, TenantId, UserId};
use antiphon_session::{Pace, Paced};
use parking_lot::Mutex;

/// How many users are remembered; whoever has been quiet for a burst's length needs no place.
const USERS_MAX: usize = 10_000;

/// By user. Nothing else is locked while this is.
#[derive(Default)]
pub(crate) struct Paces(Mutex<HashMap<(TenantId, UserId), Pace>>);

impl Paces {
    /// One more request of this user.
    pub fn step(&self, caller: &Caller, limits: &Limits) -> Result<(), Refusal> {
        let now = Instant::now();
        let user = (caller.tenant().clone(), caller.identity.user.clone());
        let mut paces = self.0.lock();
        if paces.len() >= USERS_MAX && !paces.contains_key(&user) {
            paces.retain(|_, pace| !pace.is_full(now));
            // So many busy users: all begin anew, rather than that one is refused for the others.
            if paces.len() >= USERS_MAX {
                paces.clear();
            }
        }
        match paces.entry(user).or_default().step(limits, now) {
            Paced::Fine => Ok(()),
            Paced::TooFast(wait_ms) => Err(Refusal::rate_limited(wait_ms)),
            Paced::Enough => Err(Refusal::rate_limited(u64::from(limits.rate_burst_seconds) * 1000)),
        }
    }
}
