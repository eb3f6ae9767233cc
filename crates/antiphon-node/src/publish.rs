//! Publish: checks, one transaction, then the bell.

use std::{
    collections::HashMap,
    sync::Arc,
    time::{Duration, Instant},
};

use antiphon_core::{Action, AppendRefusal, Appended, Channel};
use antiphon_hub::Delivery;
use antiphon_protocol::{
    Draft, Entry, Envelope, Parcel, Refusal, TenantId, TopicKind, content_range, encode_message,
    encode_plain_message,
};
use bytes::Bytes;
use tokio::sync::{mpsc, oneshot};

use crate::{
    caller::By,
    node::{Node, refuse},
    state::lane::{Job, Work},
};

/// What a publish is answered with whose topic somebody else holds.
pub(crate) fn held_for_now() -> Refusal {
    Refusal::unavailable(200)
}

/// What a publish was answered with.
pub type Published = Result<Vec<Appended>, Refusal>;

impl Node {
    /// Appends drafts of one tenant, all or none, and resolves after the commit.
    pub async fn publish(&self, by: &By, drafts: Vec<Draft>) -> Published {
        let since = Instant::now();
        let Some(hook) = self.hook_for(by) else { return self.append(by.clone(), drafts, since).await };
        let Some(_place) = self.asking.place() else { return Err(Refusal::unavailable(1000)) };
        self.publish_asked(&*hook, by, drafts, since).await
    }

    /// Appends drafts about which nobody has to be asked, or was.
    pub(crate) async fn append(&self, by: By, drafts: Vec<Draft>, since: Instant) -> Published {
        let (answer, wait) = oneshot::channel();
        self.append_then(by, drafts, since, move |published| drop(answer.send(published)));
        wait.await.unwrap_or_else(|_| Err(Refusal::unavailable(1000)))
    }

    /// The same without waiting: `done` is called after the commit, in the order in which one tenant's drafts were given.
    pub(crate) fn append_then(
        &self,
        by: By,
        drafts: Vec<Draft>,
        since: Instant,
        done: impl FnOnce(Published) + Send + 'static,
    ) {
        let Some(tenant) = drafts.first().map(|draft| draft.topic.tenant().clone()) else {
            return done(Err(Refusal::invalid("there is nothing to publish")));
        };
        if drafts.iter().any(|draft| *draft.topic.tenant() != tenant) {
            return done(Err(Refusal::forbidden()));
        }
        self.queue(Job { by, tenant, work: Work::Append(drafts), done: Box::new(done), since });
    }

    pub(crate) fn queue(&self, job: Job) {
        if let Err(refusal) = self.guard() {
            return (job.done)(Err(refusal));
        }
        if let Err(job) = self.lanes.push(job) {
            (job.done)(Err(Refusal::unavailable(1000)));
        }
    }

    pub(crate) async fn run_lane(self: Arc<Self>, mut lane: mpsc::Receiver<Job>) {
        let mut batch = Vec::new();
        while lane.recv_many(&mut batch, self.limits.commit_batch).await > 0 {
            self.work_at_lane(std::mem::take(&mut batch)).await;
        }
    }

    /// Does what a lane has taken; gives back, in their order, the jobs whose topics somebody else holds for longer than `wait`.
    pub(crate) async fn work(&self, batch: Vec<Job>, wait: Duration) -> Vec<Job> {
        if batch.is_empty() {
            return batch;
        }
        // The tenants, and whether a key asks.
        let mut tenants: HashMap<TenantId, bool> = HashMap::new();
        for job in &batch {
            *tenants.entry(job.tenant.clone()).or_default() |= matches!(job.by, By::Key);
        }
        let revisions = match self.revisions_of(tenants).await {
            Ok(revisions) => revisions,
            Err(refusal) => {
                batch.into_iter().for_each(|job| (job.done)(Err(refusal.clone())));
                return Vec::new();
            }
        };
        // What may be done, in the order in which it came.
        let (mut groups, mut jobs) = (Vec::new(), Vec::new());
        for job in batch {
            let revision = revisions.get(&job.tenant).copied().unwrap_or(0);
            match self.check(&job.by, &job.work, revision) {
                Err(refusal) => (job.done)(Err(refusal)),
                Ok(()) => {
                    let Job { by, tenant, work, done, since } = job;
                    let signal = match work {
                        Work::Append(drafts) => {
                            groups.push((revision, drafts));
                            None
                        }
                        Work::Signal(signal) => Some((revision, signal)),
                    };
                    jobs.push((by, tenant, signal, done, since));
                }
            }
        }
        let mut outcomes = if groups.is_empty() {
            Vec::new().into_iter()
        } else {
            let appended = self.bounded("the store", self.engines.store.append_within(&groups, wait)).await;
            self.health.database_took(appended.as_ref().err());
            match appended {
                Ok(outcomes) => outcomes.into_iter(),
                Err(error) => {
                    let refusal = refuse(&error);
                    jobs.into_iter().for_each(|(_, _, _, done, _)| done(Err(refusal.clone())));
                    return Vec::new();
                }
            }
        };
        let (mut groups, mut held) = (groups.into_iter(), Vec::<Job>::new());
        for (by, tenant, signal, done, since) in jobs {
            if let Some((revision, signal)) = signal {
                // It keeps its place behind what was published before.
                if held.iter().any(|job| job.work.is_about(&signal.topic)) {
                    held.push(Job { by, tenant, work: Work::Signal(signal), done, since });
                } else {
                    self.emit_signal(&signal, revision);
                    done(Ok(Vec::new()));
                }
                continue;
            }
            let (outcome, drafts) = (outcomes.next(), groups.next().map(|(_, drafts)| drafts));
            if let (Some(Err(AppendRefusal::Locked)), Some(drafts)) = (&outcome, drafts) {
                held.push(Job { by, tenant, work: Work::Append(drafts), done, since });
                continue;
            }
            // The answer is given before the bell rings: an author mostly sees ACCEPTED before its own MESSAGE.
            self.metrics.publish_seconds.observe(since.elapsed().as_secs_f64());
            match outcome {
                Some(Ok(appended)) => {
                    let new = appended.iter().filter(|one| !one.duplicate).map(|one| one.entry.clone());
                    let new: Vec<Entry> = new.collect();
                    done(Ok(appended));
                    new.iter().for_each(|entry| self.announce(entry));
                }
                Some(Err(AppendRefusal::Conflict(_))) => done(Err(Refusal::conflict())),
                // Whoever was allowed to say it is gone: as if it had come after the deletion.
                Some(Err(AppendRefusal::Gone)) => done(Err(Refusal::forbidden())),
                Some(Err(AppendRefusal::Locked)) | None => done(Err(held_for_now())),
            }
        }
        held
    }

    /// The tenants' revisions, read once after the batch was taken, with what is held here brought up to them. 0: there is
    /// no such tenant; of a deleted one that matters for keys alone, since it has no users.
    async fn revisions_of(
        &self,
        tenants: HashMap<TenantId, bool>,
    ) -> Result<HashMap<TenantId, u64>, Refusal> {
        let mut revisions = HashMap::new();
        for (tenant, by_key) in tenants {
            let mut revision = self.fresh(&tenant).await.map_err(|error| refuse(&error))?;
            if by_key && !self.exists_at(&tenant, revision).await.map_err(|error| refuse(&error))? {
                revision = 0;
            }
            revisions.insert(tenant, revision);
        }
        Ok(revisions)
    }

    pub(crate) fn check(&self, by: &By, work: &Work, revision: u64) -> Result<(), Refusal> {
        if revision == 0 {
            return Err(Refusal::forbidden());
        }
        match work {
            Work::Append(drafts) => drafts.iter().try_for_each(|draft| {
                self.authorize(by, Action::Publish, &draft.topic, draft.project().as_ref())
            }),
            Work::Signal(signal) => {
                self.authorize(by, Action::Publish, &signal.topic, signal.project().as_ref())
            }
        }
    }

    /// Gives a committed entry to the subscribers here and rings for the others.
    pub(crate) fn announce(&self, entry: &Entry) {
        let json: Bytes = encode_message(entry).into();
        self.metrics.entries.inc();
        self.tell(entry, json);
        if let Some(plain) = &self.engines.plain
            && entry.topic.kind() == TopicKind::Tenant
        {
            plain.post_plain(entry.topic.tenant(), encode_plain_message(entry).into());
        }
    }

    /// To the subscribers here, and to the other nodes.
    pub(crate) fn tell(&self, entry: &Entry, json: Bytes) {
        if let Some(feed) = self.hub.feed(&entry.topic) {
            self.judge(&feed, entry.revision, entry_delivery(entry, &json));
        }
        let parcel = Parcel::entry_with_json(entry, json);
        self.post(&Channel::Topic(entry.topic.clone()), parcel);
    }

    pub(crate) fn post(&self, channel: &Channel, parcel: Parcel) {
        let envelope = Envelope { origin: self.id, parcel };
        self.engines.broker.post(channel, envelope.seal(&self.secret));
    }
}

/// An entry as its subscribers here get it.
pub(crate) fn entry_delivery(entry: &Entry, json: &[u8]) -> Delivery {
    Delivery::entry(entry.position, entry.project.clone(), entry.author.clone(), entry.key.clone(), json)
        .chained(entry.id, content_range(entry.content.json().len()), json)
}
