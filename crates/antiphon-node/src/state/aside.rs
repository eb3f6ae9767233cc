//! Jobs whose topic somebody else holds. Each such topic has a queue of its own, so that its lane goes on with all others.

use std::{
    collections::{HashMap, VecDeque},
    time::Instant,
};

use antiphon_protocol::Topic;
use parking_lot::Mutex;
use tokio::sync::Semaphore;

use crate::state::lane::Job;

/// How many topics are waited for at one time, each by a connection of the database's pool.
const TURNS: usize = 3;

/// Of the bound over all topics, one topic may take one in so many.
const SHARE: usize = 8;

/// A job, and since when it waits.
pub(crate) struct Waiting {
    pub since: Instant,
    pub job: Job,
}

/// The queues by topic. A queue is there, if empty, for as long as somebody works at it.
pub(crate) struct Aside {
    // Nothing else is locked while it is.
    queues: Mutex<Queues>,
    pub turns: Semaphore,
    /// Jobs over all topics.
    bound: usize,
}

#[derive(Default)]
struct Queues {
    by_topic: HashMap<Topic, VecDeque<Waiting>>,
    waiting: usize,
}

/// Where a job is now.
pub(crate) enum Place {
    /// Behind others of its topic.
    Behind,
    /// The first of its topic: somebody has to begin to work at the queue.
    First(Topic),
    /// Nowhere: it goes to several topics, or there are too many.
    Refused(Box<Job>),
}

impl Aside {
    pub fn new(bound: usize) -> Self {
        Self { queues: Mutex::default(), turns: Semaphore::new(TURNS), bound }
    }

    /// Takes a job if something that it has to follow is waiting here; else gives it back.
    pub fn follow(&self, job: Job) -> Result<Place, Box<Job>> {
        let queues = self.queues.lock();
        if !queues.by_topic.keys().any(|topic| job.work.is_about(topic)) {
            return Err(Box::new(job));
        }
        drop(queues);
        Ok(self.put(job))
    }

    /// Takes a job whose topic is held.
    pub fn put(&self, job: Job) -> Place {
        let Some(topic) = job.work.only_topic().cloned() else { return Place::Refused(Box::new(job)) };
        let mut queues = self.queues.lock();
        let of_topic = queues.by_topic.get(&topic).map_or(0, VecDeque::len);
        if queues.waiting >= self.bound || of_topic >= (self.bound / SHARE).max(1) {
            return Place::Refused(Box::new(job));
        }
        queues.waiting += 1;
        let waiting = Waiting { since: Instant::now(), job };
        match queues.by_topic.get_mut(&topic) {
            Some(queue) => {
                queue.push_back(waiting);
                Place::Behind
            }
            None => {
                queues.by_topic.insert(topic.clone(), VecDeque::from([waiting]));
                Place::First(topic)
            }
        }
    }

    /// Fills up a batch from the front; false: there is nothing more to do, and the queue is gone.
    pub fn take(&self, topic: &Topic, batch: &mut Vec<Waiting>, size: usize) -> bool {
        let mut queues = self.queues.lock();
        let Some(queue) = queues.by_topic.get_mut(topic) else { return false };
        let count = queue.len().min(size.saturating_sub(batch.len()));
        batch.extend(queue.drain(..count));
        queues.waiting -= count;
        if batch.is_empty() {
            queues.by_topic.remove(topic);
        }
        !batch.is_empty()
    }

    /// How many jobs are waiting.
    pub fn waiting(&self) -> usize {
        self.queues.lock().waiting
    }
}
