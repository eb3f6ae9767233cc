//! The order of what one connection publishes, while the application is asked about it.

use std::{collections::VecDeque, sync::Arc};

use parking_lot::Mutex;

use super::{asking::Place, lane::Job};

/// What one connection publishes and signals, one after the other. It holds nothing until the application is asked.
#[derive(Default)]
pub struct Turns(Option<Arc<Line>>);

/// No other lock is taken under it.
#[derive(Default)]
pub(crate) struct Line(Mutex<Waiting>);

#[derive(Default)]
struct Waiting {
    jobs: VecDeque<(Place, Job)>,
    /// A task looks after them; it ends when nothing waits any more.
    is_looked_after: bool,
}

impl Turns {
    /// True if nothing is under way: what comes now overtakes nothing.
    pub(crate) fn is_idle(&self) -> bool {
        self.0.as_ref().is_none_or(|line| !line.0.lock().is_looked_after)
    }

    /// Queues a job; gives the line to whoever has to look after it from now on.
    pub(crate) fn push(&mut self, place: Place, job: Job) -> Option<Arc<Line>> {
        let line = self.0.get_or_insert_default();
        let mut waiting = line.0.lock();
        waiting.jobs.push_back((place, job));
        let was_looked_after = std::mem::replace(&mut waiting.is_looked_after, true);
        (!was_looked_after).then(|| line.clone())
    }
}

impl Line {
    /// The next job. None: nobody looks after the line any more.
    pub fn next(&self) -> Option<(Place, Job)> {
        let mut waiting = self.0.lock();
        let next = waiting.jobs.pop_front();
        if next.is_none() {
            // A burst is over: an idle connection holds no memory for it.
            *waiting = Waiting::default();
        }
        next
    }
}
