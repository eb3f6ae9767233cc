//! The lanes to the store: what one tenant publishes goes through one lane, in order; what has queued there goes into
//! one transaction.

use std::hash::{BuildHasher, BuildHasherDefault, DefaultHasher};

use antiphon_core::Appended;
use antiphon_protocol::{Draft, Refusal, Signal, TenantId, Topic};
use tokio::sync::mpsc;

use crate::caller::By;

/// How many lanes there are.
const LANES: usize = 8;

pub(crate) type Done = Box<dyn FnOnce(Result<Vec<Appended>, Refusal>) + Send>;

/// What is wanted.
pub(crate) enum Work {
    /// Drafts that are appended all or none.
    Append(Vec<Draft>),
    /// A signal, which keeps its place behind what its sender published before.
    Signal(Signal),
}

impl Work {
    /// Whose it is; none where there is nothing to do.
    pub fn tenant(&self) -> Option<&TenantId> {
        match self {
            Self::Append(drafts) => drafts.first().map(|draft| draft.topic.tenant()),
            Self::Signal(signal) => Some(signal.topic.tenant()),
        }
    }

    /// Whether it goes to this topic.
    pub fn is_about(&self, topic: &Topic) -> bool {
        match self {
            Self::Append(drafts) => drafts.iter().any(|draft| draft.topic == *topic),
            Self::Signal(signal) => signal.topic == *topic,
        }
    }

    /// Its topics.
    pub fn topics(&self) -> impl Iterator<Item = &Topic> {
        let (drafts, signal) = match self {
            Self::Append(drafts) => (drafts.as_slice(), None),
            Self::Signal(signal) => (&[][..], Some(&signal.topic)),
        };
        drafts.iter().map(|draft| &draft.topic).chain(signal)
    }

    /// The topic, where it is one alone.
    pub fn only_topic(&self) -> Option<&Topic> {
        match self {
            Self::Append(drafts) => {
                let first = &drafts.first()?.topic;
                drafts.iter().all(|draft| draft.topic == *first).then_some(first)
            }
            Self::Signal(signal) => Some(&signal.topic),
        }
    }
}

pub(crate) struct Job {
    pub by: By,
    pub tenant: TenantId,
    pub work: Work,
    pub done: Done,
    pub since: std::time::Instant,
}

pub(crate) struct Lanes(Vec<mpsc::Sender<Job>>);

impl Lanes {
    pub fn new(bound: usize) -> (Self, Vec<mpsc::Receiver<Job>>) {
        let (to, from) = (0..LANES).map(|_| mpsc::channel(bound)).unzip();
        (Self(to), from)
    }

    /// Queues a job, or gives it back where the lane is full.
    pub fn push(&self, job: Job) -> Result<(), Box<Job>> {
        let hash = BuildHasherDefault::<DefaultHasher>::default().hash_one(&job.tenant);
        let lane = &self.0[hash as usize % LANES];
        lane.try_send(job).map_err(|error| Box::new(error.into_inner()))
    }

    /// How many jobs are waiting.
    pub fn waiting(&self) -> usize {
        self.0.iter().map(|lane| lane.max_capacity() - lane.capacity()).sum()
    }
}
