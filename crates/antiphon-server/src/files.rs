//! The limit of open files: raised as far as we may, and the bound that it puts on connections.

use std::os::fd::{AsFd, AsRawFd};

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

/// True if a client may have one more file, so that the database and Redis find one when they have lost theirs: a copy of
/// this one gets the lowest number that is free, which tells how many are open.
pub fn has_room(file: &impl AsFd) -> bool {
    let limit = getrlimit(Resource::Nofile).current.unwrap_or(u64::MAX);
    let copy = file.as_fd().try_clone_to_owned();
    copy.is_ok_and(|copy| {
        u64::try_from(copy.as_raw_fd()).is_ok_and(|open| open < limit - kept_below(limit) / 4)
    })
}

/// How many connections fit below a limit. One through TLS costs three files: itself and a pumped pair.
pub fn connections_below(limit: u64, tls: bool) -> usize {
    let free = limit - kept_below(limit);
    usize::try_from(free / if tls { 3 } else { 1 }).unwrap_or(usize::MAX)
}

fn kept_below(limit: u64) -> u64 {
    RESERVE.min(limit / 4)
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
