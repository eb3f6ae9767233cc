//! Signals: never stored, at most once, and yet only for those who are meant at the time.

use std::{sync::atomic::Ordering, time::Instant};

use antiphon_core::{Action, Channel};
use antiphon_hub::Delivery;
use antiphon_protocol::{Parcel, Refusal, Signal, encode_signal, now_ms};
use bytes::Bytes;
use tokio::sync::oneshot;

use crate::{
    caller::By,
    node::Node,
    publish::Published,
    state::lane::{Job, Work},
};

impl Node {
    /// Sends a signal.
    pub async fn signal(&self, by: &By, signal: Signal) -> Result<(), Refusal> {
        let (answer, wait) = oneshot::channel();
        self.signal_then(by.clone(), signal, move |sent| drop(answer.send(sent)));
        wait.await.unwrap_or_else(|_| Err(Refusal::unavailable(1000))).map(|_| ())
    }

    /// Sends a signal behind what its tenant has queued; `done` hears of it.
    pub(crate) fn signal_then(&self, by: By, signal: Signal, done: impl FnOnce(Published) + Send + 'static) {
        let tenant = signal.topic.tenant().clone();
        let (work, since) = (Work::Signal(signal), Instant::now());
        self.queue(Job { by, tenant, work, done: Box::new(done), since });
    }

    /// Sends a signal at once if nothing has to be asked for it; else gives it back.
    pub fn signal_now(&self, by: &By, signal: Signal) -> Result<Result<(), Refusal>, Signal> {
        if let Err(refusal) = self.guard() {
            return Ok(Err(refusal));
        }
        let tenant = signal.topic.tenant();
        let Some(revision) = self.engines.directory.revision_now(tenant).filter(|revision| *revision > 0)
        else {
            return Err(signal);
        };
        let is_fresh = self.audiences.held(tenant).is_none_or(|held| held.audience.revision() >= revision);
        if !is_fresh {
            return Err(signal);
        }
        let allowed = self.authorize(by, Action::Publish, &signal.topic, signal.project().as_ref());
        if allowed.is_ok() {
            self.emit_signal(&signal, revision);
        }
        Ok(allowed)
    }

    pub(crate) fn emit_signal(&self, signal: &Signal, revision: u64) {
        let json: Bytes = encode_signal(signal).into();
        let project = signal.project();
        self.metrics.signals.inc();
        if let Some(feed) = self.hub.feed(&signal.topic) {
            self.judge(&feed, revision, Delivery::signal(project.clone(), &json));
        }
        let number = self.signals_sent.fetch_add(1, Ordering::Relaxed);
        let topic = signal.topic.clone();
        let parcel = Parcel::Signal { topic, revision, number, sent_at: now_ms(), project, json };
        self.post(&Channel::Topic(signal.topic.clone()), parcel);
    }
}
