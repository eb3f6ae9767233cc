//! The limit of open files: raised as far as we may, and the bound that it puts on connections.

use std::os::fd::{AsFd, AsRawFd};

use rustix::{
    event::{PollFd, PollFlags, Timespec, poll},
    process::{Resource, getrlimit, setrlimit},
};

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

/// Who asks for one more file.
#[derive(Debug, Clone, Copy)]
pub enum Asker {
    /// Whoever comes to the public door.
    Client,
    /// Whoever looks at health and metrics, while clients may have taken all of theirs.
    Operator,
}

/// True if one of these may have one more file, so that the database and Redis find one when they have lost theirs: a copy
/// of this one gets the lowest number that is free, which tells how many are open.
pub fn has_room(file: &impl AsFd, asker: Asker) -> bool {
    let limit = getrlimit(Resource::Nofile).current.unwrap_or(u64::MAX);
    let copy = file.as_fd().try_clone_to_owned();
    copy.is_ok_and(|copy| {
        u64::try_from(copy.as_raw_fd()).is_ok_and(|open| open < limit - kept_from(asker, limit))
    })
}

/// True if a connection waits to be accepted.
pub fn has_newcomer(listener: &impl AsFd) -> bool {
    let mut listeners = [PollFd::new(listener, PollFlags::IN)];
    poll(&mut listeners, Some(&Timespec::default())).is_ok_and(|ready| ready > 0)
}

/// How many connections fit below a limit. One through TLS costs three files: itself and a pumped pair.
pub fn connections_below(limit: u64, tls: bool) -> usize {
    let free = limit - kept_below(limit);
    usize::try_from(free / if tls { 3 } else { 1 }).unwrap_or(usize::MAX)
}

/// What neither may have. An eighth of the reserve is for operators alone.
fn kept_from(asker: Asker, limit: u64) -> u64 {
    let eighth = kept_below(limit) / 8;
    match asker {
        Asker::Client => 3 * eighth,
        Asker::Operator => 2 * eighth,
    }
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

    #[test]
    fn operators_find_files_that_clients_do_not_get_and_both_leave_some() {
        for limit in [64, 200, 20_000] {
            let [client, operator] = [Asker::Client, Asker::Operator].map(|asker| kept_from(asker, limit));
            assert!(client >= operator + 2 && operator >= 4, "{limit}: {client}, {operator}");
            assert!(client < kept_below(limit));
        }
    }
}
