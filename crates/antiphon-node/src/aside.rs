//! Publishing to topics that somebody else holds, as an application in a long transaction: each of them apart from its lane.

use std::{
    sync::Arc,
    time::{Duration, Instant},
};

use antiphon_protocol::Topic;

use crate::{
    node::Node,
    publish::held_for_now,
    state::{
        aside::{Place, Waiting},
        lane::Job,
    },
};

/// How long a publish may wait for its topic apart from its lane.
const PATIENCE: Duration = Duration::from_secs(2);
/// How long a lane waits for its topics: another node's transaction has mostly ended by then.
const BRIEFLY: Duration = Duration::from_millis(10);
/// For how long of that the database is asked at a time: others want the connection too.
const TURN: Duration = Duration::from_millis(100);
/// Between two turns.
const PAUSE: Duration = Duration::from_millis(50);

impl Node {
    /// Does what a lane has taken. Who holds a topic for longer than a moment delays that topic alone.
    pub(crate) async fn work_at_lane(&self, batch: Vec<Job>) {
        let batch = self.without_those_behind(batch);
        let held = self.work(batch, Duration::ZERO).await;
        let held = self.work(held, BRIEFLY).await;
        let mut is_held = Vec::new();
        for job in held {
            self.set_aside(job, &mut is_held).await;
        }
    }

    /// The jobs that need not wait behind others of a held topic.
    fn without_those_behind(&self, batch: Vec<Job>) -> Vec<Job> {
        let goes_on = |job| match self.aside.follow(job) {
            Err(job) => Some(*job),
            Ok(place) => {
                self.is_placed(place);
                None
            }
        };
        batch.into_iter().filter_map(goes_on).collect()
    }

    /// Lets a job wait for its topic. One that goes to several topics, all or none, is waited for here, but not for long, and
    /// not for one that was waited for in vain just now.
    async fn set_aside(&self, job: Job, is_held: &mut Vec<Topic>) {
        match self.aside.follow(job) {
            Ok(place) => self.is_placed(place),
            Err(job) if job.work.only_topic().is_some() => self.is_placed(self.aside.put(*job)),
            Err(job) if is_held.iter().any(|topic| job.work.is_about(topic)) => {
                (job.done)(Err(held_for_now()))
            }
            Err(job) => {
                for job in self.work(vec![*job], TURN).await {
                    is_held.extend(job.work.topics().cloned());
                    (job.done)(Err(held_for_now()));
                }
            }
        }
    }

    fn is_placed(&self, place: Place) {
        match (place, self.me.upgrade()) {
            (Place::Behind, _) | (Place::First(_), None) => {}
            (Place::First(topic), Some(node)) => {
                self.tasks.spawn_until_end(node.run_aside(topic));
            }
            (Place::Refused(job), _) => (job.done)(Err(held_for_now())),
        }
    }

    async fn run_aside(self: Arc<Self>, topic: Topic) {
        let mut batch: Vec<Waiting> = Vec::new();
        while self.aside.take(&topic, &mut batch, self.limits.commit_batch) {
            let patience = batch.first().map_or(PATIENCE, |first| left_of(first.since));
            if let Ok(Ok(turn)) = tokio::time::timeout(patience, self.aside.turns.acquire()).await {
                batch = self.try_again(std::mem::take(&mut batch)).await;
                drop(turn);
            }
            let (waits, in_vain) = batch.into_iter().partition(|one| !left_of(one.since).is_zero());
            batch = waits;
            in_vain.into_iter().for_each(|one: Waiting| (one.job.done)(Err(held_for_now())));
            if !batch.is_empty() {
                tokio::time::sleep(PAUSE).await;
            }
        }
    }

    /// Tries what waits for one topic once more; gives back what has to go on waiting.
    async fn try_again(&self, batch: Vec<Waiting>) -> Vec<Waiting> {
        let count = batch.len();
        let (since, jobs): (Vec<Instant>, Vec<Job>) =
            batch.into_iter().map(|one| (one.since, one.job)).unzip();
        let held = self.work(jobs, TURN).await;
        // Mostly all or none of one topic is held; else some are taken for a little younger than they are.
        let since = since.into_iter().skip(count - held.len());
        since.zip(held).map(|(since, job)| Waiting { since, job }).collect()
    }
}

/// What is left of the patience of one that was set aside then.
fn left_of(since: Instant) -> Duration {
    PATIENCE.saturating_sub(since.elapsed())
}
