//! Two nodes in this process on one PostgreSQL, with an application's table beside, and sockets of users.
#![allow(dead_code, reason = "each test file uses its part")]
#![allow(clippy::unwrap_used, missing_docs)]

use std::{collections::HashSet, sync::Arc, time::Duration};

use antiphon::{
    Antiphon, AuthError, Authenticator, Content, Directory, Draft, Identity, Key, Limits, ProjectId, Receipt,
    SeamError, Settings, TenantId, Topic, TopicName, UserId, UserState, async_trait,
    sqlx::{self, Connection, PgConnection},
};
use antiphon_client::Raw;
use antiphon_testkit::{Database, shared_postgres};
use parking_lot::Mutex;
use serde_json::{Value, json};

pub const PATIENCE: Duration = Duration::from_secs(20);
/// Longer than any test.
const NEVER: Duration = Duration::from_secs(3600);
/// The lock of the node that tails.
const TAIL: i64 = 0x7461_696c;

/// Everybody's token is their name; all are of one company.
struct Names;

#[async_trait]
impl Authenticator for Names {
    async fn authenticate(&self, tokens: &[&str]) -> Vec<Result<Identity, AuthError>> {
        let identity = |name: &&str| {
            Ok(Identity {
                tenant: acme(),
                user: UserId::parse(name).unwrap(),
                expires_at: None,
                revocations: 0,
            })
        };
        tokens.iter().map(identity).collect()
    }
}

/// A directory that antiphon does not keep: one company, whose users are all there; changes of it, and the members of one
/// project.
#[derive(Clone, Default)]
pub struct Company(Arc<Mutex<(u64, HashSet<String>)>>);

impl Company {
    pub fn change(&self, change: impl FnOnce(&mut HashSet<String>)) {
        let mut held = self.0.lock();
        held.0 += 1;
        change(&mut held.1);
    }
}

#[async_trait]
impl Directory for Company {
    async fn revisions(&self, tenants: &[TenantId]) -> Result<Vec<u64>, SeamError> {
        let revision = self.0.lock().0 + 1;
        Ok(tenants.iter().map(|tenant| if *tenant == acme() { revision } else { 0 }).collect())
    }

    async fn user_states(&self, _: &TenantId, users: &[UserId]) -> Result<(u64, Vec<UserState>), SeamError> {
        let held = self.0.lock();
        let state = |user: &UserId| {
            let projects = held.1.contains(user.as_str()).then(|| (project(), Settings::default()));
            UserState { exists: true, projects: projects.into_iter().collect(), ..UserState::default() }
        };
        Ok((held.0 + 1, users.iter().map(state).collect()))
    }

    async fn changed_users(
        &self,
        tenant: &TenantId,
        users: &[UserId],
        _since: u64,
    ) -> Result<(u64, Vec<(UserId, UserState)>), SeamError> {
        let (revision, states) = self.user_states(tenant, users).await?;
        Ok((revision, users.iter().cloned().zip(states).collect()))
    }
}

pub struct Place {
    pub database: Database,
    pub nodes: [Antiphon; 2],
    urls: [String; 2],
    /// Holds the tail's lock, where nobody is to tail.
    _tail: Option<PgConnection>,
}

/// What delivers what nobody has rung for.
#[derive(Clone, Copy, PartialEq, Eq)]
pub enum Healing {
    Tail,
    Tick,
    Nothing,
}

impl Place {
    /// Two nodes, helped by nothing else than this. With antiphon's own directory, or with this one.
    pub async fn new(test: &str, healing: Healing, company: Option<Company>) -> Option<Self> {
        let database = shared_postgres(test)?;
        let mut tail = None;
        if healing != Healing::Tail {
            let mut connection = PgConnection::connect(&database.url()).await.unwrap();
            sqlx::query("select pg_advisory_lock($1)").bind(TAIL).execute(&mut connection).await.unwrap();
            tail = Some(connection);
        }
        let one = start(&database, healing, company.clone()).await;
        let two = start(&database, healing, company).await;
        let urls = [serve(&one).await, serve(&two).await];
        database.sql("create table orders (id int primary key)");
        Some(Self { database, nodes: [one, two], urls, _tail: tail })
    }

    /// A user's socket at each node, once what one node says is heard at the other.
    pub async fn ears(&self, users: [&str; 2]) -> [Ear; 2] {
        let mut ears = [Ear::at(&self.urls[0], users[0]).await, Ear::at(&self.urls[1], users[1]).await];
        // A bell that rings before the broker is there is lost, and here nothing else would tell.
        let mut count = 0;
        let heard = async {
            while tokio::time::timeout(Duration::from_millis(200), ears[1].text()).await.is_err() {
                count += 1;
                self.nodes[0].publish(draft("news", &format!("warm {count}"))).await.unwrap();
            }
        };
        tokio::time::timeout(PATIENCE, heard).await.unwrap();
        self.meet(&mut ears).await;
        ears
    }

    /// Reads on until both have heard all that was said.
    pub async fn meet(&self, ears: &mut [Ear; 2]) -> Vec<Vec<String>> {
        let mut heard = Vec::new();
        self.nodes[0].publish(draft("news", "met")).await.unwrap();
        for ear in ears {
            let mut texts = Vec::new();
            loop {
                match ear.text().await.as_str() {
                    "met" => break,
                    text => texts.push(text.to_owned()),
                }
            }
            heard.push(texts);
        }
        heard
    }

    /// A connection of the application's own.
    pub async fn app(&self) -> PgConnection {
        PgConnection::connect(&self.database.url()).await.unwrap()
    }

    /// Writes an order and its entry, and commits.
    pub async fn order(&self, id: i32, draft: Draft) -> Receipt {
        let mut app = self.app().await;
        let mut tx = app.begin().await.unwrap();
        sqlx::query("insert into orders values ($1)").bind(id).execute(&mut *tx).await.unwrap();
        let receipt = self.nodes[0].append_in(&mut tx, draft).await.unwrap();
        tx.commit().await.unwrap();
        receipt
    }
}

async fn start(database: &Database, healing: Healing, company: Option<Company>) -> Antiphon {
    let limits = match healing {
        Healing::Tick => Limits::default(),
        _ => Limits { tick: NEVER, tick_without_broker: NEVER, ..Limits::default() },
    };
    let builder = Antiphon::builder().database(database.url()).migrate().authenticator(Names).limits(limits);
    match company {
        Some(company) => builder.directory(company),
        None => builder,
    }
    .start()
    .await
    .unwrap()
}

async fn serve(node: &Antiphon) -> String {
    let listener = tokio::net::TcpListener::bind("127.0.0.1:0").await.unwrap();
    let url = format!("ws://{}/ws", listener.local_addr().unwrap());
    let router = antiphon::router(node);
    tokio::spawn(async move { axum::serve(listener, router).await });
    url
}

/// A user's socket.
pub struct Ear(Raw);

impl Ear {
    async fn at(url: &str, user: &str) -> Self {
        let mut raw = Raw::connect(url).await.unwrap().deadline(PATIENCE);
        raw.send_json(&json!({"type": "SUBSCRIBE", "token": user, "topics": ["news"]})).await.unwrap();
        raw.frame_of("SUBSCRIPTION_SUCCESSFUL").await.unwrap();
        Self(raw)
    }

    pub async fn hear(&mut self) -> Value {
        self.0.frame_of("MESSAGE").await.unwrap()
    }

    pub async fn text(&mut self) -> String {
        self.hear().await["text"].as_str().unwrap().to_owned()
    }
}

pub fn acme() -> TenantId {
    TenantId::parse("acme").unwrap()
}

pub fn project() -> ProjectId {
    ProjectId::parse("p").unwrap()
}

pub fn draft(topic: &str, text: &str) -> Draft {
    Draft {
        topic: Topic::new(acme(), TopicName::parse(topic).unwrap()),
        author: None,
        named_project: None,
        key: None,
        content: Content::text(text).unwrap(),
    }
}

pub fn keyed(topic: &str, text: &str, key: &str) -> Draft {
    Draft { key: Some(Key::parse(key).unwrap()), ..draft(topic, text) }
}
