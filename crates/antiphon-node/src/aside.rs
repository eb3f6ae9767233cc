//! Publishing to topics that somebody else holds, as an application in a long transaction: each of them apart from its lane.

use std::{sync::Arc, time::Duration};

use antiphon_protocol::Topic;

use crate::{
    node::Node,
    publish::held_for_now,
    state::{aside::Place, lane::Job},
};

/// How long a publish may wait for its topic.
const PATIENCE: Duration = Duration::from_secs(2);
/// For how long of that the database is asked at a time: others want the connection too.
const TURN: Duration = Duration::from_millis(100);
/// Between two turns.
const PAUSE: Duration = Duration::from_millis(50);

impl Node {
    /// The jobs that need not wait behind others of a held topic.
    pub(crate) fn without_those_behind(&self, batch: Vec<Job>) -> Vec<Job> {
        let goes_on = |job| match self.aside.follow(job) {
            Err(job) => Some(*job),
            Ok(place) => {
                self.is_placed(place);
                None
            }
        };
        batch.into_iter().filter_map(goes_on).collect()
    }

    /// Lets a job wait for its topic. One that goes to several topics, all or none, is waited for here, but not for long.
    pub(crate) async fn set_aside(&self, job: Job) {
        match self.aside.follow(job) {
            Ok(place) => self.is_placed(place),
            Err(job) if job.work.only_topic().is_some() => self.is_placed(self.aside.put(*job)),
            Err(job) => {
                let held = self.work(vec![*job], TURN).await;
                held.into_iter().for_each(|job| (job.done)(Err(held_for_now())));
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
        let mut batch = Vec::new();
        while self.aside.take(&topic, &mut batch, self.limits.commit_batch) {
            let Ok(turn) = self.aside.turns.acquire().await else { return };
            let held = self.work(std::mem::take(&mut batch), TURN).await;
            drop(turn);
            if held.is_empty() {
                continue;
            }
            for job in held {
                if job.since.elapsed() > PATIENCE {
                    (job.done)(Err(held_for_now()));
                } else {
                    batch.push(job);
                }
            }
            tokio::time::sleep(PAUSE).await;
        }
    }
}
