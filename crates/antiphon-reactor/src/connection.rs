//! One connection of a shard.

use std::time::Instant;

use antiphon_node::EndReason;
use antiphon_session::Session;
use antiphon_ws::Decoder;

use crate::outlet::Outlet;

pub(crate) struct Connection {
    /// Tells this connection from an earlier one in the same place.
    pub generation: u32,
    pub outlet: Outlet,
    pub decoder: Decoder,
    pub session: Session,
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
    /// In the half-open count until it has an identity.
    pub is_half_open: bool,
    /// Why it said goodbye.
    pub reason: Option<EndReason>,
    /// It is taken out at the end of this turn.
    pub is_over: bool,
    /// The tick of the timing wheel at which it is looked at next.
    pub armed_at: u64,
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
