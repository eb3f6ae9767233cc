//! What is published: its content names its tenant, audience and author, so that a stray one gives itself away.

use antiphon_checker::{Event, Outcome, Place, fingerprint};

use antiphon_checker::Rng;

/// The two projects of both tenants.
pub const PROJECTS: [&str; 2] = ["soak-apollo", "soak-hermes"];
/// The topic of the signals, which has entries too.
pub const SIGNALS: &str = "soak-news";

/// The topics of a tenant.
pub fn topics(tenant: &str) -> Vec<String> {
    let projects = PROJECTS.map(|project| format!("project:{project}"));
    [tenant, SIGNALS, "soak-chat"].map(str::to_owned).into_iter().chain(projects).collect()
}

/// Users whose numbers are equal modulo this are members of the same projects.
pub const KINDS: usize = 6;

/// Of which projects a user is a member: of six in a row two are in the first, one in both, two in the second, and the
/// last one never is in any.
pub fn projects(number: usize) -> &'static [&'static str] {
    match number % KINDS {
        0 | 1 => &PROJECTS[..1],
        2 => &PROJECTS,
        3 | 4 => &PROJECTS[1..],
        _ => &[],
    }
}

/// An entry that shall be published.
#[derive(Debug, Clone)]
pub struct Draft {
    /// Where.
    pub topic: String,
    /// As it is said.
    pub project: Option<String>,
    /// The idempotency key.
    pub key: String,
    /// The content.
    pub text: String,
}

/// Who publishes, and when and through which node it is tried first.
#[derive(Debug)]
pub struct Author<'a> {
    /// Its name in the history.
    pub name: &'a str,
    /// Its tenant.
    pub tenant: &'a str,
    /// The projects to which it may write.
    pub projects: &'a [&'a str],
    /// The node.
    pub node: usize,
    /// When, in microseconds of the run.
    pub now: u64,
}

impl Draft {
    /// The `number`th of this author.
    pub fn new(author: &Author<'_>, number: u64, rng: &mut Rng) -> Self {
        // Now and then to where it may not.
        let projects = if rng.percent(2) { &PROJECTS } else { author.projects };
        let mut topic = (*rng.pick(&[author.tenant, SIGNALS, "soak-chat"])).to_owned();
        let mut project = None;
        if rng.percent(40) && !projects.is_empty() {
            let chosen = *rng.pick(projects);
            if rng.percent(60) {
                topic = format!("project:{chosen}");
            } else {
                project = Some(chosen.to_owned());
            }
        }
        let draft = Self { topic, project, key: key(author.name, number), text: String::new() };
        let text = Payload {
            tenant: author.tenant,
            audience: draft.audience(),
            author: author.name,
            number,
            node: author.node,
            sent: author.now,
        };
        Self { text: text.write(rng), ..draft }
    }

    /// The project for whose members alone it is.
    pub fn audience(&self) -> Option<&str> {
        self.topic.strip_prefix("project:").or(self.project.as_deref())
    }

    /// An attempt to publish it, as it is recorded.
    pub fn attempt(&self, attempt: Attempt<'_>, answered: Option<u64>, outcome: Outcome) -> Event {
        Event::Published {
            client: attempt.client.to_owned(),
            connection: attempt.connection,
            node: attempt.node.to_owned(),
            topic: self.topic.clone(),
            project: self.audience().map(str::to_owned),
            key: self.key.clone(),
            hash: fingerprint(self.text.as_bytes()),
            sent: attempt.sent,
            answered,
            outcome,
        }
    }
}

/// By whom, where and when something was tried.
#[derive(Debug, Clone, Copy)]
pub struct Attempt<'a> {
    /// The name in the history.
    pub client: &'a str,
    /// The connection's number.
    pub connection: u32,
    /// The node's URL.
    pub node: &'a str,
    /// In microseconds of the run.
    pub sent: u64,
}

/// The key of an author's `number`th.
pub fn key(author: &str, number: u64) -> String {
    format!("{author}-{number}")
}

/// What a content says of itself.
#[derive(Debug, PartialEq, Eq)]
pub struct Payload<'a> {
    /// The tenant in which it was published.
    pub tenant: &'a str,
    /// The project for whose members alone it is.
    pub audience: Option<&'a str>,
    /// Who.
    pub author: &'a str,
    /// Its how manieth.
    pub number: u64,
    /// The node through which it was tried first.
    pub node: usize,
    /// When that was.
    pub sent: u64,
}

impl<'a> Payload<'a> {
    /// Ids have no spaces.
    pub fn write(&self, rng: &mut Rng) -> String {
        let Self { tenant, audience, author, number, node, sent } = self;
        let (audience, chance) = (audience.unwrap_or("-"), rng.number());
        let filler = "x".repeat(rng.below(200));
        format!("{tenant} {audience} {author} {number} {node} {sent} {chance:016x} {filler}")
    }

    /// Reads it; none: it is nothing of ours.
    pub fn read(text: &'a str) -> Option<Self> {
        let mut words = text.split(' ');
        Some(Self {
            tenant: words.next()?,
            audience: Some(words.next()?).filter(|audience| *audience != "-"),
            author: words.next()?,
            number: words.next()?.parse().ok()?,
            node: words.next()?.parse().ok()?,
            sent: words.next()?.parse().ok()?,
        })
    }
}

/// An entry as it came.
#[derive(Debug)]
pub struct Arrived<'a> {
    /// The tenant that its frame names.
    pub tenant: &'a str,
    /// The topic.
    pub topic: &'a str,
    /// The content.
    pub text: &'a str,
    /// Where it stands.
    pub place: Place,
}

impl Arrived<'_> {
    /// As it is recorded for a client of the tenant `own`; whatever names a foreign tenant wins.
    pub fn event(&self, client: &str, own: &str, connection: u32, at: u64) -> Event {
        let claimed = self.text.split(' ').next().unwrap_or_default();
        Event::Received {
            client: client.to_owned(),
            connection,
            tenant: (if self.tenant == own { claimed } else { self.tenant }).to_owned(),
            topic: self.topic.to_owned(),
            place: self.place,
            hash: fingerprint(self.text.as_bytes()),
            at,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_content_says_what_it_is() {
        let author = Author { name: "a-user3", tenant: "acme", projects: projects(3), node: 1, now: 4711 };
        let mut rng = Rng::new(7);
        for number in 0..200 {
            let draft = Draft::new(&author, number, &mut rng);
            let payload = Payload::read(&draft.text).unwrap();
            assert_eq!((payload.tenant, payload.author, payload.number), ("acme", "a-user3", number));
            assert_eq!((payload.audience, payload.node, payload.sent), (draft.audience(), 1, 4711));
            assert_eq!(draft.key, key(payload.author, payload.number));
            assert!(topics("acme").contains(&draft.topic));
        }
        assert_eq!(Payload::read("hello"), None);
    }
}
