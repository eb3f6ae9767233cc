//! What is published: its content names its tenant, project and author, so that a stray one gives itself away.

use antiphon_checker::{Event, Outcome, fingerprint};

use super::{Rng, recorder::Recorder};

/// The two projects of every tenant.
pub const PROJECTS: [&str; 2] = ["apollo", "hermes"];

/// The topics of a tenant.
pub fn topics(tenant: &str) -> Vec<String> {
    [tenant, "news", "chat:1", "project:apollo", "project:hermes"].map(str::to_owned).to_vec()
}

/// Who speaks.
#[derive(Debug, Clone)]
pub struct Speaker {
    pub name: String,
    pub tenant: String,
    pub user: String,
}

/// An entry that shall be published.
#[derive(Debug, Clone)]
pub struct Draft {
    pub topic: String,
    /// As it is said.
    pub project: Option<String>,
    pub key: String,
    pub text: String,
}

impl Draft {
    /// The `number`th of this speaker.
    pub fn new(speaker: &Speaker, number: u64, rng: &mut Rng) -> Self {
        // Mostly to projects of which it is a member, unless it was removed.
        let member: usize =
            speaker.user.trim_start_matches(|letter: char| !letter.is_ascii_digit()).parse().unwrap();
        let mine: &[&str] = match member {
            0..4 => &PROJECTS[..1],
            4..7 => &PROJECTS,
            7..10 => &PROJECTS[1..],
            _ => &[],
        };
        let projects = if rng.percent(5) { &PROJECTS } else { mine };
        let mut topic = rng.pick(&[&*speaker.tenant, "news", "chat:1"]).to_string();
        let mut project = None;
        if rng.percent(40) && !projects.is_empty() {
            let chosen = *rng.pick(projects);
            if rng.percent(60) {
                topic = format!("project:{chosen}");
            } else {
                project = Some(chosen.to_owned());
            }
        }
        let draft = Self { topic, project, key: format!("{}-{number}", speaker.name), text: String::new() };
        let audience = draft.audience().unwrap_or("-");
        let filler = "x".repeat(rng.below(200));
        let text =
            format!("{}|{audience}|{}|{number}|{:016x}|{filler}", speaker.tenant, speaker.name, rng.number());
        Self { text, ..draft }
    }

    /// The project for whose members alone it is.
    pub fn audience(&self) -> Option<&str> {
        self.topic.strip_prefix("project:").or(self.project.as_deref())
    }

    /// An attempt to publish it, as it is recorded.
    pub fn attempt(
        &self,
        speaker: &Speaker,
        connection: u32,
        node: &str,
        sent: u64,
        answered: Option<u64>,
        outcome: Outcome,
    ) -> Event {
        Event::Published {
            client: speaker.name.clone(),
            connection,
            node: node.to_owned(),
            topic: self.topic.clone(),
            project: self.audience().map(str::to_owned),
            key: self.key.clone(),
            hash: fingerprint(self.text.as_bytes()),
            sent,
            answered,
            outcome,
        }
    }
}

/// An entry as it came.
pub struct Arrived<'a> {
    pub tenant: &'a str,
    pub topic: &'a str,
    pub text: &'a str,
    pub position: &'a str,
}

impl Arrived<'_> {
    /// Records it; whatever names a foreign tenant wins.
    pub fn record(&self, recorder: &Recorder, speaker: &Speaker, connection: u32) {
        let claimed = self.text.split('|').next().unwrap_or_default();
        let tenant = if self.tenant == speaker.tenant { claimed } else { self.tenant };
        recorder.push(Event::Received {
            client: speaker.name.clone(),
            connection,
            tenant: tenant.to_owned(),
            topic: self.topic.to_owned(),
            place: place(self.position),
            hash: fingerprint(self.text.as_bytes()),
            at: recorder.now(),
        });
    }
}

/// Reads `epoch-offset-link`.
pub fn place(position: &str) -> antiphon_checker::Place {
    let mut parts = position.split('-').skip(1);
    let offset = parts.next().and_then(|text| text.parse().ok()).expect("a position");
    let link = parts.next().and_then(|text| u64::from_str_radix(text, 16).ok()).expect("a position");
    antiphon_checker::Place { offset, link }
}
