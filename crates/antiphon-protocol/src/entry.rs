//! What is published: drafts, the entries that they become, and signals that are never stored.

use crate::{Content, Key, Position, ProjectId, Topic, TopicKind, UserId};

/// Who of a topic's subscribers gets something.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub enum Audience {
    /// Everyone subscribed.
    All,
    /// Members of this project whose settings want it.
    Project(ProjectId),
}

/// What somebody wants to publish.
#[derive(Debug, Clone)]
pub struct Draft {
    /// Where to.
    pub topic: Topic,
    /// Who says it; none for the application itself.
    pub author: Option<UserId>,
    /// The project named by the author; see [`Draft::project`] for the one that counts.
    pub named_project: Option<ProjectId>,
    /// The idempotency key.
    pub key: Option<Key>,
    /// What it says.
    pub content: Content,
}

impl Draft {
    /// The project it belongs to: the named one, or the topic's own.
    pub fn project(&self) -> Option<ProjectId> {
        effective_project(&self.topic, self.named_project.as_ref())
    }
}

fn effective_project(topic: &Topic, named: Option<&ProjectId>) -> Option<ProjectId> {
    match topic.kind() {
        TopicKind::Project(project) => Some(project),
        _ => named.cloned(),
    }
}

/// A published, durable message.
#[derive(Debug, Clone)]
pub struct Entry {
    /// Its id.
    pub id: uuid::Uuid,
    /// Its topic.
    pub topic: Topic,
    /// Its place in the topic's log.
    pub position: Position,
    /// Who said it.
    pub author: Option<UserId>,
    /// Its project.
    pub project: Option<ProjectId>,
    /// Its idempotency key.
    pub key: Option<Key>,
    /// What it says.
    pub content: Content,
    /// When it was appended, in milliseconds since the Unix epoch.
    pub created_at: i64,
    /// The tenant revision that an audience must have reached before this may be delivered.
    pub revision: u64,
}

impl Entry {
    /// Who of its topic's subscribers gets it.
    pub fn audience(&self) -> Audience {
        audience(self.project.as_ref())
    }
}

/// Something ephemeral: never stored, at most once.
#[derive(Debug, Clone)]
pub struct Signal {
    /// Where to.
    pub topic: Topic,
    /// Who says it.
    pub author: Option<UserId>,
    /// The project that was named.
    pub named_project: Option<ProjectId>,
    /// What it says.
    pub content: Content,
}

impl Signal {
    /// The project it belongs to: the named one, or the topic's own.
    pub fn project(&self) -> Option<ProjectId> {
        effective_project(&self.topic, self.named_project.as_ref())
    }

    /// Who of its topic's subscribers gets it.
    pub fn audience(&self) -> Audience {
        audience(self.project().as_ref())
    }
}

fn audience(project: Option<&ProjectId>) -> Audience {
    project.map_or(Audience::All, |project| Audience::Project(project.clone()))
}

/// The wall clock in milliseconds since the Unix epoch.
pub fn now_ms() -> i64 {
    let since = std::time::SystemTime::now().duration_since(std::time::UNIX_EPOCH);
    since.map_or(0, |time| i64::try_from(time.as_millis()).unwrap_or(i64::MAX))
}
