//! One connection of a shard.

use std::{
    sync::{
        Arc,
        atomic::{AtomicUsize, Ordering},
    },
    time::Instant,
};

use antiphon_node::{EndReason, Turns};
use antiphon_session::Session;
use antiphon_ws::Decoder;

use crate::{outlet::Outlet, post::HalfOpenPlace};

pub(crate) struct Connection {
    /// Tells this connection from an earlier one in the same place.
    pub generation: u32,
    pub outlet: Outlet,
    pub decoder: Decoder,
    pub session: Session,
    /// The order of what it publishes.
    pub turns: Turns,
    /// Bytes that came while the session did not want frames.
    pub unread: Option<Vec<u8>>,
    /// The socket may have more to read.
    pub is_readable: bool,
    /// The page of the log that is being read for one of its subscribers.
    pub reads_page: bool,
    pub last_heard: Instant,
    pub pinged_at: Option<Instant>,
    /// Said goodbye at this time; what comes is thrown away.
    pub closing_since: Option<Instant>,
    /// Until it has an identity.
    pub half_open: Option<Box<HalfOpen>>,
    /// Why it said goodbye.
    pub reason: Option<EndReason>,
    /// It is taken out at the end of this turn.
    pub is_over: bool,
    /// The tick of the timing wheel at which it is looked at next.
    pub armed_at: u64,
}

/// Counts a connection as half open until this is dropped, here and where it was accepted.
pub(crate) struct HalfOpen {
    count: Arc<AtomicUsize>,
    _place: Option<HalfOpenPlace>,
}

impl HalfOpen {
    pub fn new(count: Arc<AtomicUsize>, place: Option<HalfOpenPlace>) -> Self {
        count.fetch_add(1, Ordering::Relaxed);
        Self { count, _place: place }
    }
}

impl Drop for HalfOpen {
    fn drop(&mut self) {
        self.count.fetch_sub(1, Ordering::Relaxed);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_idle_connection_is_a_small_struct() {
        println!("{} of which the session {}", size_of::<Connection>(), size_of::<Session>());
        assert!(size_of::<Connection>() <= 512, "{}", size_of::<Connection>());
    }
}
