//! What waits for a subscription that is slow: bounded by count and bytes. What does not fit is not waited for, so that
//! one who does not read stops nobody; the driver lets the topic rest, and is stirred once there is room.

use std::{collections::VecDeque, sync::Arc};

use parking_lot::Mutex;
use tokio::sync::Notify;

use crate::event::Event;

/// How much may wait.
#[derive(Debug, Clone, Copy)]
pub(crate) struct InboxBounds {
    pub(crate) events: usize,
    /// The last event may go over it.
    pub(crate) bytes: usize,
}

/// The events of one subscription.
#[derive(Debug)]
pub(crate) struct Inbox {
    bounds: InboxBounds,
    waiting: Mutex<Waiting>,
    came: Notify,
    stir: Arc<Notify>,
}

#[derive(Debug, Default)]
struct Waiting {
    events: VecDeque<(Event, usize)>,
    bytes: usize,
    /// Something did not fit.
    rests: bool,
    /// Nothing more comes.
    over: bool,
    /// Nobody reads any more.
    gone: bool,
}

impl Inbox {
    /// `stir` wakes the driver.
    pub(crate) fn new(bounds: InboxBounds, stir: Arc<Notify>) -> Arc<Self> {
        Arc::new(Self { bounds, waiting: Mutex::default(), came: Notify::new(), stir })
    }

    /// Takes an event whose frame had so many bytes; false: there is no room.
    pub(crate) fn push(&self, event: Event, bytes: usize) -> bool {
        let mut waiting = self.waiting.lock();
        if waiting.is_full(self.bounds) {
            return false;
        }
        waiting.take(event, bytes);
        drop(waiting);
        self.came.notify_one();
        true
    }

    /// Takes an event that must not be left out: there are few of them. Of several resets of a topic without anything
    /// between them the last one says all.
    pub(crate) fn force(&self, event: Event) {
        let mut waiting = self.waiting.lock();
        let topic = |event: &Event| match event {
            Event::Reset { topic, .. } => Some(topic.clone()),
            _ => None,
        };
        let last = waiting.events.back().and_then(|(event, _)| topic(event));
        if last.is_some() && last == topic(&event) {
            waiting.events.pop_back();
        }
        waiting.take(event, 0);
        drop(waiting);
        self.came.notify_one();
    }

    /// Something had no room: who reads tells when there is some.
    pub(crate) fn rest(&self) {
        let mut waiting = self.waiting.lock();
        // It may have been read meanwhile.
        waiting.rests = !waiting.has_room(self.bounds);
        if !waiting.rests {
            self.stir.notify_one();
        }
    }

    pub(crate) fn rests(&self) -> bool {
        self.waiting.lock().rests
    }

    /// Nothing more comes; what waits can still be read.
    pub(crate) fn end(&self) {
        self.waiting.lock().over = true;
        self.came.notify_one();
    }

    /// Nobody reads any more.
    pub(crate) fn leave(&self) {
        let mut waiting = self.waiting.lock();
        *waiting = Waiting { over: true, gone: true, ..Waiting::default() };
        drop(waiting);
        self.stir.notify_one();
    }

    pub(crate) fn is_left(&self) -> bool {
        self.waiting.lock().gone
    }

    pub(crate) fn is_empty(&self) -> bool {
        self.waiting.lock().events.is_empty()
    }

    /// The next event; none: nothing more comes. May be dropped and called again.
    pub(crate) async fn next(&self) -> Option<Event> {
        loop {
            let came = self.came.notified();
            if let Some(next) = self.take() {
                return next;
            }
            came.await;
        }
    }

    /// The next event, or that nothing more comes, if either is known.
    fn take(&self) -> Option<Option<Event>> {
        let mut waiting = self.waiting.lock();
        let Some((event, bytes)) = waiting.events.pop_front() else { return waiting.over.then_some(None) };
        waiting.bytes -= bytes;
        if waiting.rests && waiting.has_room(self.bounds) {
            waiting.rests = false;
            self.stir.notify_one();
        }
        Some(Some(event))
    }
}

impl Waiting {
    fn is_full(&self, bounds: InboxBounds) -> bool {
        self.events.len() >= bounds.events || self.bytes >= bounds.bytes
    }

    fn has_room(&self, bounds: InboxBounds) -> bool {
        self.events.len() <= bounds.events / 2 && self.bytes <= bounds.bytes / 2
    }

    fn take(&mut self, event: Event, bytes: usize) {
        if self.gone {
            return;
        }
        self.bytes += bytes;
        self.events.push_back((event, bytes));
    }
}
