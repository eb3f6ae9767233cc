//! A tenant's application: publishes over HTTP with the API key, through one node after the other.

use std::{sync::Arc, time::Duration};

use antiphon_checker::{Outcome, Place, Rng};
use serde_json::json;
use tokio::time::{Instant, sleep_until};

use super::{
    api::{Answer, Method},
    company::{Company, SIDES, pause},
    draft::{Attempt, Author, Draft, PROJECTS},
    stage,
};

/// One of a tenant's workers.
pub struct Worker {
    company: Arc<Company>,
    side: usize,
    name: String,
    /// Its first number, and how many workers there are.
    turn: (u64, u64),
    rng: Rng,
}

impl Worker {
    /// The `number`th of `workers` of the tenant `side`.
    pub fn new(company: Arc<Company>, side: usize, number: u64, workers: u64, rng: Rng) -> Self {
        let name = stage::application(SIDES[side]);
        Self { company, side, name, turn: (number, workers), rng }
    }

    /// Publishes until all is over.
    pub async fn run(mut self) {
        let (mut number, workers) = self.turn;
        let pace = self.company.plan.http_pace * u32::try_from(workers).unwrap_or(u32::MAX);
        let connection = self.company.journal.recorder.connection();
        let mut next = Instant::now() + self.rng.between(Duration::ZERO, pace);
        while !self.company.is_over() {
            sleep_until(next.min(Instant::now() + Duration::from_millis(200))).await;
            if !self.company.works() || Instant::now() < next {
                continue;
            }
            next = Instant::now() + self.rng.between(pace / 2, pace * 3 / 2);
            self.publish(number, connection).await;
            number += workers;
        }
    }

    /// Tries until it is answered for good.
    async fn publish(&mut self, number: u64, connection: u32) {
        let company = self.company.clone();
        let (api, journal) = (&company.api, &company.journal);
        journal.recorder.begin_publish();
        let mut node = self.rng.below(api.len());
        let tenant = company.plan.tenants[self.side].as_str();
        let author = Author { name: &self.name, tenant, projects: &PROJECTS, node, now: journal.now() };
        let draft = Draft::new(&author, number, &mut self.rng);
        let mut body = json!({"text": draft.text, "key": draft.key});
        if let Some(project) = &draft.project {
            body["projectId"] = json!(project);
        }
        while !company.is_over() {
            let attempt =
                Attempt { client: &self.name, connection, node: api.name(node), sent: journal.now() };
            journal.count(|figures| figures.nodes[node].attempts += 1);
            let path = ["tenants", tenant, "topics", draft.topic.as_str(), "entries"];
            let outcome = match api.change(node, Method::POST, &path, Some(&body)).await {
                Answer::Done(_, json) => match json["position"].as_str().and_then(Place::parse) {
                    Some(place) => Outcome::Accepted { place, duplicate: json["duplicate"] == true },
                    None => Outcome::Unknown,
                },
                Answer::Refused { code, .. } => {
                    journal.error(if code.is_empty() { "REFUSED" } else { &code });
                    Outcome::Refused
                }
                Answer::Unknown { code, .. } => {
                    journal.error(code);
                    Outcome::Unknown
                }
            };
            let answered = Some(journal.now()).filter(|_| outcome != Outcome::Unknown);
            journal.recorder.push(draft.attempt(attempt, answered, outcome));
            if outcome != Outcome::Unknown {
                journal.recorder.end_publish();
                return;
            }
            node = self.rng.below(api.len());
            pause(self.rng.millis(200, 800)).await;
        }
    }
}
