//! An application on the Rust client: what reaches its callback is what counts. Now and then it ends as a process would,
//! and a new one goes on from the positions that it had stored.

use std::{collections::BTreeMap, sync::Arc, time::Duration};

use antiphon_checker::{EndedBy, Event as Recorded, Outcome};
use antiphon_client::{Backoff, Client, Content, Error, Event, Start};
use tokio::time::{Instant, sleep_until};

use super::{
    Rng,
    directory::Account,
    draft::{Arrived, Draft, place, topics},
    pause,
    speaker::Company,
};

/// How long one attempt to publish may take before its outcome counts as unknown.
const ASK_TIMEOUT: Duration = Duration::from_secs(8);

pub struct Application {
    pub company: Arc<Company>,
    pub account: Arc<Account>,
    pub rng: Rng,
    positions: BTreeMap<String, String>,
    drafts: u64,
    open: Option<Draft>,
}

impl Application {
    pub fn new(company: Arc<Company>, account: Arc<Account>, rng: Rng) -> Self {
        Self { company, account, rng, positions: BTreeMap::new(), drafts: 0, open: None }
    }

    pub async fn run(mut self) {
        while !self.company.is_over() {
            let (token, issued) = self.account.token();
            let mut sockets = self.company.doors.sockets.clone();
            let first = self.rng.below(sockets.len());
            sockets.rotate_left(first);
            let builder =
                sockets[1..].iter().fold(Client::builder(&sockets[0]), |builder, url| builder.url(url));
            let backoff = Backoff {
                base: Duration::from_millis(100),
                cap: Duration::from_secs(2),
                ..Backoff::default()
            };
            let connected = builder
                .token(token)
                .backoff(backoff)
                .connect_timeout(Duration::from_secs(5))
                .ask_timeout(ASK_TIMEOUT)
                .silence(Duration::from_secs(30))
                .connect();
            if let Ok(client) = connected.await {
                self.live(client, issued).await;
            }
            pause(self.rng.millis(100, 500)).await;
        }
    }

    /// One process of the application.
    async fn live(&mut self, client: Client, issued: u64) {
        let recorder = self.company.recorder.clone();
        let connection = recorder.connection();
        let speaker = self.account.speaker.clone();
        let (name, node) = (speaker.name.clone(), "library".to_owned());
        recorder.push(Recorded::Connected { client: name, connection, node, issued, at: recorder.now() });
        let ends = Instant::now() + self.rng.millis(5_000, 60_000);
        let wanted = topics(&speaker.tenant);
        let given: BTreeMap<String, u64> =
            self.positions.iter().map(|(topic, position)| (topic.clone(), place(position).offset)).collect();
        let Ok(mut events) = client.subscribe_from(wanted, self.positions.clone()).await else { return };
        for (topic, outcome) in events.topics() {
            let Ok(Start { position, recovered }) = outcome else { continue };
            recorder.push(Recorded::Subscribed {
                client: speaker.name.clone(),
                connection,
                topic: topic.clone(),
                given: given.get(topic).copied(),
                from: place(position),
                recovered: *recovered,
                at: recorder.now(),
            });
            self.positions.insert(topic.clone(), position.clone());
        }
        let mut next_draft = Instant::now() + self.rng.millis(0, self.company.pace.as_millis() as u64);
        let mut publish: Option<tokio::task::JoinHandle<Option<bool>>> = None;
        loop {
            if let Some(done) = publish.take_if(|task| task.is_finished()) {
                // Whether it has its final answer; else the same draft is tried again.
                if done.await.unwrap() == Some(true) {
                    self.open = None;
                    recorder.end_publish();
                }
            }
            let is_leaving = Instant::now() > ends && !self.company.is_quiet();
            if (is_leaving || self.company.is_over()) && publish.is_none() {
                break;
            }
            let may_begin = self.open.is_some() || (!self.company.is_quiet() && Instant::now() >= next_draft);
            if publish.is_none() && may_begin && !is_leaving {
                let pace = self.company.pace.as_millis() as u64;
                next_draft = Instant::now() + self.rng.millis(pace / 2, pace * 3 / 2);
                if self.open.is_none() {
                    self.drafts += 1;
                    self.open = Some(Draft::new(&speaker, self.drafts, &mut self.rng));
                    recorder.begin_publish();
                }
                publish = self.open.clone().map(|draft| {
                    let (company, account, client) =
                        (self.company.clone(), self.account.clone(), client.clone());
                    tokio::spawn(async move { say(&company, &account, &client, connection, draft).await })
                });
            }
            tokio::select! {
                event = events.next() => match event {
                    Some(event) => if self.hear(event, connection) { return self.abandon(publish).await },
                    None => return self.abandon(publish).await,
                },
                () = sleep_until(Instant::now() + Duration::from_millis(200)) => {}
            }
        }
        drop(events);
        let _ = client.close().await;
    }

    async fn abandon(&mut self, publish: Option<tokio::task::JoinHandle<Option<bool>>>) {
        if let Some(task) = publish
            && task.await.unwrap() == Some(true)
        {
            self.open = None;
            self.company.recorder.end_publish();
        }
    }

    /// Takes an event; tells whether a new client is needed.
    fn hear(&mut self, event: Event, connection: u32) -> bool {
        let recorder = &self.company.recorder;
        let client = self.account.speaker.name.clone();
        let at = recorder.now();
        match event {
            Event::Message(message) => {
                let Content::Text(text) = &message.content else { panic!("all of them are texts") };
                let (tenant, topic) = (&message.entry.tenant, &message.entry.topic);
                Arrived { tenant, topic, text, position: &message.position }.record(
                    recorder,
                    &self.account.speaker,
                    connection,
                );
                self.positions.insert(topic.clone(), message.position);
            }
            Event::Position { topic, position, offset } => {
                recorder.push(Recorded::Moved { client, topic: topic.clone(), offset, at });
                self.positions.insert(topic, position);
            }
            Event::Reset { topic, reason, position } => {
                let to = place(&position);
                recorder.push(Recorded::Reset { client, topic: topic.clone(), reason, to, at });
                self.positions.insert(topic, position);
            }
            Event::Unsubscribed { topic, .. } => {
                recorder.push(Recorded::Unsubscribed { client, topic, by: EndedBy::Server, at });
                // Once it is a member again it finds out with its next process.
            }
            Event::Terminated { .. } => return true,
            _ => {}
        }
        false
    }
}

/// One attempt; tells whether it is final.
async fn say(
    company: &Company,
    account: &Account,
    client: &Client,
    connection: u32,
    draft: Draft,
) -> Option<bool> {
    let recorder = &company.recorder;
    let mut said = antiphon_client::Draft::text(&draft.text).topic(&draft.topic).key(&draft.key);
    if let Some(project) = &draft.project {
        said = said.project(project);
    }
    let sent = recorder.now();
    let answer = client.publish(said).await;
    let (outcome, is_final) = match &answer {
        Ok(accepted) => {
            let place = place(&accepted.position);
            (Outcome::Accepted { place, duplicate: accepted.duplicate }, true)
        }
        Err(Error::Refused(refusal)) if refusal.retry_after_ms.is_none() => {
            assert_eq!(refusal.code, antiphon_client::ErrorCode::Forbidden, "{refusal}");
            (Outcome::Refused, true)
        }
        Err(_) => (Outcome::Unknown, false),
    };
    let answered = answer.is_ok().then(|| recorder.now());
    recorder.push(draft.attempt(&account.speaker, connection, "library", sent, answered, outcome));
    if !is_final {
        pause(Duration::from_millis(200)).await;
    }
    Some(is_final)
}
