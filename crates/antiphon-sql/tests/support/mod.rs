//! Fresh engines, and short ways to say what is put in.
#![allow(dead_code, reason = "each test file uses its part")]
#![allow(clippy::unwrap_used)]

use antiphon_core::{Appended, MemberSettings, Retention, Store, TrimCursor};
use antiphon_protocol::{Content, Draft, Key, ProjectId, TenantId, Topic, TopicName, UserId};
use antiphon_sql::{Database, Engines, OpenOptions};
use sqlx::Connection;

/// An engine with what has to outlive it.
pub struct Fresh {
    pub engines: Engines,
    pub database: Database,
    url: Option<String>,
    _folder: Option<tempfile::TempDir>,
}

impl Fresh {
    /// The PostgreSQL's URL.
    pub fn url(&self) -> &str {
        self.url.as_deref().unwrap()
    }

    /// Says a statement to the database beside the engine.
    pub async fn say(&self, sql: &'static str) {
        match &self.database {
            Database::Sqlite(path) => {
                let options = sqlx::sqlite::SqliteConnectOptions::new().filename(path);
                let mut connection = sqlx::SqliteConnection::connect_with(&options).await.unwrap();
                sqlx::query(sql).execute(&mut connection).await.unwrap();
            }
            Database::Postgres(_) => {
                let mut connection = sqlx::PgConnection::connect(self.url.as_ref().unwrap()).await.unwrap();
                sqlx::query("set search_path = antiphon").execute(&mut connection).await.unwrap();
                sqlx::query(sql).execute(&mut connection).await.unwrap();
            }
        }
    }
}

pub async fn sqlite() -> Fresh {
    let folder = tempfile::tempdir().unwrap();
    let database = Database::Sqlite(folder.path().join("antiphon.db"));
    let engines = database.open(OpenOptions::default()).await.unwrap();
    Fresh { engines, database, url: None, _folder: Some(folder) }
}

/// A migrated database on PostgreSQL; none (and said so) where there is no PostgreSQL.
pub async fn postgres(test: &str) -> Option<Fresh> {
    let url = antiphon_testkit::shared_postgres(test)?.url();
    let database = Database::parse_url(&url).unwrap();
    database.migrate(&OpenOptions::default()).await.unwrap();
    let engines = database.open(OpenOptions::default()).await.unwrap();
    Some(Fresh { engines, database, url: Some(url), _folder: None })
}

/// Each engine that is here.
pub async fn each(test: &str) -> Vec<Fresh> {
    std::iter::once(sqlite().await).chain(postgres(test).await).collect()
}

pub fn tenant(id: &str) -> TenantId {
    TenantId::parse(id).unwrap()
}

pub fn user(id: &str) -> UserId {
    UserId::parse(id).unwrap()
}

pub fn project(id: &str) -> ProjectId {
    ProjectId::parse(id).unwrap()
}

pub fn topic(name: &str) -> Topic {
    Topic::new(tenant("acme"), TopicName::parse(name).unwrap())
}

pub fn draft(name: &str, text: &str) -> Draft {
    Draft {
        topic: topic(name),
        author: None,
        named_project: None,
        key: None,
        content: Content::text(text).unwrap(),
    }
}

pub fn keyed(name: &str, author: Option<&str>, key: &str, text: &str) -> Draft {
    Draft { author: author.map(user), key: Some(Key::parse(key).unwrap()), ..draft(name, text) }
}

pub fn member(id: &str) -> MemberSettings {
    MemberSettings { user: user(id), deliver: None, push: None }
}

/// The first step of a round by age; how many went.
pub async fn trim_before(store: &dyn Store, before_ms: i64) -> u64 {
    store.trim(&Retention::before(before_ms), TrimCursor::default()).await.unwrap().removed
}

/// Appends one group, which must be taken.
pub async fn append(store: &dyn Store, drafts: Vec<Draft>) -> Vec<Appended> {
    store.append(&[(1, drafts)]).await.unwrap().remove(0).unwrap()
}
