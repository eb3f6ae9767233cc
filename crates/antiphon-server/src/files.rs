//! The limit of open files: raised as far as we may, and the bound that it puts on connections.

use rustix::process::{Resource, getrlimit, setrlimit};

/// What is left for the database, Redis, listeners, keys and logs.
const RESERVE: u64 = 256;

/// Raises the soft limit to the hard one; the limit now.
pub fn raise() -> u64 {
    let mut limit = getrlimit(Resource::Nofile);
    if limit.current < limit.maximum {
        let raised = rustix::process::Rlimit { current: limit.maximum, ..limit };
        match setrlimit(Resource::Nofile, raised) {
            Ok(()) => limit = raised,
            Err(error) => tracing::warn!(%error, "the limit of open files could not be raised"),
        }
    }
    limit.current.unwrap_or(u64::MAX)
}

/// How many connections fit below a limit. One through TLS costs three files: itself and a pumped pair.
pub fn connections_below(limit: u64, tls: bool) -> usize {
    let free = limit - RESERVE.min(limit / 4);
    usize::try_from(free / if tls { 3 } else { 1 }).unwrap_or(usize::MAX)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn connections_leave_room_for_other_files() {
        assert_eq!(connections_below(200, false), 150);
        assert_eq!(connections_below(65_536, false), 65_280);
        assert_eq!(connections_below(65_536, true), 21_760);
    }
}
