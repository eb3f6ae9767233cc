//! The proof that nothing is lost: a recorded history of a run, and the checker that reads it.
//!
//! Whoever makes a run (chaos, soak) pushes an [`Event`] into a [`History`], or the [`Recorder`] of one, for everything
//! that clients did and heard, adds the rows of the log at the end, and asks [`check`]. It reports each [`Violation`] of the ten promises, see
//! [`Kind`]. The history is written and read as JSON lines, so that a failed run can be looked at again.
//!
//! All times are microseconds of one monotonic clock. The events of one client stand in the order in which it saw
//! them; those of different clients may be mixed in any way. The checker knows nothing of how delivery works, only what
//! was promised: it must stay so.

mod event;
mod fingerprint;
mod ground;
mod history;
mod log;
mod members;
mod publishes;
mod recorder;
mod report;
mod rng;
mod segment;
mod streams;
mod successor;

pub use event::{Change, EndedBy, Event, Outcome, Place, Plant};
pub use fingerprint::fingerprint;
pub use history::{History, ReadError};
pub use recorder::Recorder;
pub use report::{Bounds, Kind, Report, Violation};
pub use rng::Rng;

/// Reads a whole history and tells what was broken. It takes O(n log n) for n events.
#[must_use]
pub fn check(history: &History, bounds: &Bounds) -> Report {
    let mut report = Report::default();
    let mut ground = ground::Ground::read(history);
    publishes::check(history, &mut ground, &mut report);
    streams::check(history, &ground, bounds, &mut report);
    report
}
