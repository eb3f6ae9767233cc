//! Publishes, from the call to the commit: bounded, in order within a topic, said again with the same key after a
//! refusal for now and after the loss of a line.

use std::{
    collections::{BTreeMap, HashMap, VecDeque},
    future::Future,
    pin::Pin,
    sync::Arc,
    task::{Context, Poll},
    time::Duration,
};

use antiphon_protocol::{ErrorCode, Refusal};
use parking_lot::Mutex;
use tokio::{
    sync::{Notify, oneshot},
    time::Instant,
};

use crate::{
    Error,
    ask::{Ask, Draft, fits},
    event::Accepted,
    ledger::{Ledger, Purpose},
    lines::LineId,
};

/// How much may wait, and for how long.
#[derive(Debug, Clone, Copy)]
pub(crate) struct OutboxBounds {
    pub(crate) publishes: usize,
    pub(crate) bytes: usize,
    /// Publishes of a topic that may be under way at once.
    pub(crate) window: usize,
    pub(crate) timeout: Duration,
}

#[derive(Debug)]
struct Publish {
    draft: Draft,
    bytes: usize,
    /// The line that it was said on, until it is answered.
    under_way: Option<LineId>,
    deadline: Instant,
    reply: oneshot::Sender<Result<Accepted, Error>>,
}

/// The publishes of one topic, oldest first.
#[derive(Debug, Default)]
struct Lane {
    waiting: VecDeque<u64>,
    rests_until: Option<Instant>,
}

#[derive(Debug, Default)]
struct Queue {
    /// All have the same time, so the first is the first to be late.
    publishes: BTreeMap<u64, Publish>,
    lanes: HashMap<Option<String>, Lane>,
    bytes: usize,
    /// The connection's rate is reached: every lane rests.
    rests_until: Option<Instant>,
    next: u64,
    end: Option<Error>,
}

#[derive(Debug)]
pub(crate) struct Outbox {
    bounds: OutboxBounds,
    queue: Mutex<Queue>,
    stir: Arc<Notify>,
}

/// A publish on its way: gives what became of it. Dropping it does not take the publish back.
#[derive(Debug)]
#[must_use = "whether it was refused is told here"]
pub struct Publishing {
    answer: oneshot::Receiver<Result<Accepted, Error>>,
}

impl Future for Publishing {
    type Output = Result<Accepted, Error>;

    fn poll(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Self::Output> {
        Pin::new(&mut self.answer).poll(cx).map(|answer| answer.unwrap_or(Err(Error::Closed)))
    }
}

impl Outbox {
    /// `stir` wakes the driver.
    pub(crate) fn new(bounds: OutboxBounds, stir: Arc<Notify>) -> Self {
        Self { bounds, queue: Mutex::default(), stir }
    }

    /// Takes a draft, to be said once its turn comes.
    pub(crate) fn publish(&self, draft: Draft) -> Result<Publishing, Error> {
        let frame = Ask::message(&draft).encode(Some(u64::MAX));
        fits(&frame)?;
        let mut queue = self.queue.lock();
        if let Some(end) = &queue.end {
            return Err(end.clone());
        }
        let bytes = frame.len();
        if queue.publishes.len() >= self.bounds.publishes || queue.bytes + bytes > self.bounds.bytes {
            return Err(Error::QueueFull { publishes: queue.publishes.len(), bytes: queue.bytes });
        }
        let (reply, answer) = oneshot::channel();
        let id = queue.next;
        queue.next += 1;
        queue.bytes += bytes;
        queue.lanes.entry(draft.topic.clone()).or_default().waiting.push_back(id);
        let deadline = Instant::now() + self.bounds.timeout;
        queue.publishes.insert(id, Publish { draft, bytes, under_way: None, deadline, reply });
        drop(queue);
        self.stir.notify_one();
        Ok(Publishing { answer })
    }

    /// Says the oldest of each topic that are not under way; what is behind one that has to be said again waits for it.
    pub(crate) fn pump(&self, ledger: &mut Ledger) {
        let Some(line) = ledger.lines.current_id() else { return };
        let mut queue = self.queue.lock();
        let Queue { publishes, lanes, rests_until, .. } = &mut *queue;
        if rests_until.is_some() {
            return;
        }
        for lane in lanes.values().filter(|lane| lane.rests_until.is_none()) {
            // What an old line has not answered may still have to be said again, before what comes here.
            let elsewhere = |id: &u64| {
                publishes.get(id).and_then(|publish| publish.under_way).is_some_and(|on| on != line)
            };
            if lane.waiting.iter().take(self.bounds.window).any(elsewhere) {
                continue;
            }
            for id in lane.waiting.iter().take(self.bounds.window) {
                let Some(publish) = publishes.get_mut(id).filter(|publish| publish.under_way.is_none())
                else {
                    continue;
                };
                publish.under_way = Some(line);
                ledger.say(line, Ask::message(&publish.draft), Purpose::Publish(*id));
            }
        }
    }

    /// A publish was answered.
    pub(crate) fn settled(&self, id: u64, answer: Result<Accepted, Refusal>) {
        let mut queue = self.queue.lock();
        let Some(publish) = queue.publishes.get_mut(&id) else { return };
        publish.under_way = None;
        let refusal = match answer {
            Ok(accepted) => return queue.finish(id, Ok(accepted)),
            Err(refusal) => refusal,
        };
        let Some(after) = refusal.retry_after_ms else {
            return queue.finish(id, Err(Error::Refused(refusal)));
        };
        let until = Some(Instant::now() + Duration::from_millis(after));
        let topic = publish.draft.topic.clone();
        if refusal.code == ErrorCode::RateLimited {
            queue.rests_until = until;
        } else if let Some(lane) = queue.lanes.get_mut(&topic) {
            lane.rests_until = until;
        }
    }

    /// These were under way on a line that has ended.
    pub(crate) fn lost(&self, ids: &[u64]) {
        let mut queue = self.queue.lock();
        for id in ids {
            if let Some(publish) = queue.publishes.get_mut(id) {
                publish.under_way = None;
            }
        }
    }

    pub(crate) fn due(&self) -> Option<Instant> {
        let queue = self.queue.lock();
        let late = queue.publishes.values().next().map(|publish| publish.deadline);
        let rests = queue.lanes.values().filter_map(|lane| lane.rests_until).min();
        [late, rests, queue.rests_until].into_iter().flatten().min()
    }

    /// Ends rests, and tells who is late.
    pub(crate) fn fire(&self, now: Instant) {
        let mut queue = self.queue.lock();
        queue.rests_until = queue.rests_until.filter(|until| *until > now);
        for lane in queue.lanes.values_mut() {
            lane.rests_until = lane.rests_until.filter(|until| *until > now);
        }
        while let Some((id, publish)) = queue.publishes.first_key_value() {
            let id = *id;
            if publish.deadline > now {
                break;
            }
            queue.finish(id, Err(Error::Timeout));
        }
    }

    /// The client has ended.
    pub(crate) fn fail(&self, error: &Error) {
        let mut queue = self.queue.lock();
        queue.end = Some(error.clone());
        queue.lanes.clear();
        for publish in std::mem::take(&mut queue.publishes).into_values() {
            // Who no longer waits needs no answer.
            let _ = publish.reply.send(Err(error.clone()));
        }
    }
}

impl Queue {
    fn finish(&mut self, id: u64, outcome: Result<Accepted, Error>) {
        let Some(Publish { draft, bytes, reply, .. }) = self.publishes.remove(&id) else { return };
        self.bytes -= bytes;
        if let Some(lane) = self.lanes.get_mut(&draft.topic) {
            lane.waiting.retain(|waiting| *waiting != id);
            if lane.waiting.is_empty() {
                self.lanes.remove(&draft.topic);
            }
        }
        // Who no longer waits needs no answer.
        let _ = reply.send(outcome);
    }
}
