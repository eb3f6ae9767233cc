//! A node on memory engines behind real doors, asked over HTTP without a socket.

#![allow(dead_code)]

pub mod line;

use std::{sync::Arc, time::Duration};

use antiphon_auth::{KeyRing, OpaqueAuthenticator, issue};
use antiphon_axum::{Doors, HttpOptions};
use antiphon_core::{Authenticator, Authorizer, Directory, Limits, Scope, Tasks, TopicRules};
use antiphon_memory::{MemoryBus, MemoryDirectory, MemoryPresence, MemoryStore};
use antiphon_node::{Engines, Node};
use antiphon_protocol::{ClusterSecret, ProjectId, TenantId, UserId};
use axum::{
    Router,
    body::Body,
    http::{HeaderMap, Method, Request, StatusCode},
};
use http_body_util::BodyExt;
use serde_json::Value;
use tower::ServiceExt;

pub fn tenant(id: &str) -> TenantId {
    TenantId::parse(id).unwrap()
}

pub fn user(id: &str) -> UserId {
    UserId::parse(id).unwrap()
}

pub fn project(id: &str) -> ProjectId {
    ProjectId::parse(id).unwrap()
}

/// How the house is built.
pub struct Plan {
    pub options: HttpOptions,
    pub limits: Limits,
    pub authenticator: Option<Arc<dyn Authenticator>>,
    pub authorizer: Arc<dyn Authorizer>,
}

impl Default for Plan {
    fn default() -> Self {
        Self {
            options: HttpOptions { shards: 1, ..HttpOptions::default() },
            limits: Limits::default(),
            authenticator: None,
            authorizer: Arc::new(TopicRules::default()),
        }
    }
}

/// A node with its doors, and two tenants: acme with ann and bob, globex with gus.
pub struct House {
    pub doors: Arc<Doors>,
    pub directory: Arc<MemoryDirectory>,
    pub bus: Arc<MemoryBus>,
    pub router: Router,
    /// A key that may do everything.
    pub admin: String,
}

/// What was answered.
#[derive(Debug)]
pub struct Answer {
    pub status: StatusCode,
    pub headers: HeaderMap,
    pub body: Vec<u8>,
}

impl Answer {
    pub fn json(&self) -> Value {
        serde_json::from_slice(&self.body)
            .unwrap_or_else(|_| panic!("not JSON: {:?}", String::from_utf8_lossy(&self.body)))
    }

    /// Checks that it is a problem document with this status and code.
    #[track_caller]
    pub fn is_problem(&self, status: u16, code: &str) {
        let text = String::from_utf8_lossy(&self.body);
        assert_eq!(self.status.as_u16(), status, "{text}");
        assert_eq!(self.header("content-type"), "application/problem+json", "{text}");
        let body = self.json();
        assert_eq!((&body["status"], &body["code"]), (&status.into(), &code.into()), "{text}");
        assert!(body["detail"].as_str().is_some_and(|detail| !detail.is_empty()), "{text}");
    }

    pub fn header(&self, name: &str) -> &str {
        self.headers.get(name).map_or("", |value| value.to_str().unwrap())
    }

    #[track_caller]
    pub fn is(self, status: u16) -> Self {
        assert_eq!(self.status.as_u16(), status, "{}", String::from_utf8_lossy(&self.body));
        self
    }
}

impl House {
    pub async fn new() -> Self {
        Self::of(Plan::default()).await
    }

    pub async fn of(plan: Plan) -> Self {
        let directory = Arc::new(MemoryDirectory::default());
        let bus = MemoryBus::new();
        let secret = ClusterSecret::new([9; 32]);
        let authenticator =
            plan.authenticator.unwrap_or_else(|| Arc::new(OpaqueAuthenticator::new(directory.clone())));
        let engines = Engines {
            store: Arc::new(MemoryStore::new(secret.clone())),
            tail: None,
            broker: Arc::new(bus.broker()),
            plain: None,
            directory: directory.clone(),
            presence: Arc::new(MemoryPresence::default()),
            authenticator,
            authorizer: plan.authorizer,
            hook: None,
            tokens: Some(directory.clone()),
            keys: Some(directory.clone()),
        };
        for (of, who) in [("acme", "ann"), ("acme", "bob"), ("globex", "gus")] {
            directory.put_user(&tenant(of), &user(who)).await.unwrap();
        }
        let tasks = Tasks::new(tokio::runtime::Handle::current());
        let doors = Doors::open(Node::start(engines, secret, plan.limits, tasks), plan.options).unwrap();
        let router = antiphon_axum::router(&doors).fallback(antiphon_axum::not_found);
        let house = Self { router, doors, directory, bus, admin: String::new() };
        let admin = house.key(&[Scope::Admin], None).await;
        Self { admin, ..house }
    }

    pub async fn key(&self, scopes: &[Scope], of: Option<&str>) -> String {
        let ring = KeyRing::new(self.directory.clone());
        ring.issue(scopes, of.map(tenant), None).await.unwrap().0
    }

    pub async fn token(&self, of: &str, who: &str) -> String {
        let hour = Some(Duration::from_secs(3600));
        issue(&*self.directory, &tenant(of), &user(who), hour).await.unwrap().0
    }

    /// Asks with a bearer ("" for none) and a body ("" for none).
    pub async fn ask(&self, method: &str, path: &str, bearer: &str, body: &str) -> Answer {
        let mut request = Request::builder().method(Method::from_bytes(method.as_bytes()).unwrap()).uri(path);
        if !bearer.is_empty() {
            request = request.header("authorization", format!("Bearer {bearer}"));
        }
        self.send(request.body(Body::from(body.to_owned())).unwrap()).await
    }

    pub async fn send(&self, request: Request<Body>) -> Answer {
        let response = self.router.clone().oneshot(request).await.unwrap();
        let (parts, body) = response.into_parts();
        let body = body.collect().await.unwrap().to_bytes().to_vec();
        Answer { status: parts.status, headers: parts.headers, body }
    }

    /// The same below `/api/v1`, by the key that may do everything.
    pub async fn api(&self, method: &str, path: &str, body: &str) -> Answer {
        self.ask(method, &format!("/api/v1{path}"), &self.admin, body).await
    }
}

/// Every operation: method, path below `/api/v1/tenants/{tenant}` with ids of acme's, a good body, and the scope.
pub const OPERATIONS: &[(&str, &str, &str, Scope)] = &[
    ("GET", "/topics/news/entries", "", Scope::Publish),
    ("GET", "/topics/news/entries/0190a8e4-0000-7000-8000-000000000000", "", Scope::Publish),
    ("POST", "/topics/news/entries", r#"{"text":"hi"}"#, Scope::Publish),
    ("POST", "/entries", r#"[{"topic":"news","text":"hi"}]"#, Scope::Publish),
    ("POST", "/topics/news/signals", r#"{"text":"hi"}"#, Scope::Publish),
    ("GET", "/topics/news/presence", "", Scope::Publish),
    ("GET", "", "", Scope::Directory),
    ("PUT", "", "", Scope::Directory),
    ("GET", "/users", "", Scope::Directory),
    ("GET", "/users/bob", "", Scope::Directory),
    ("PUT", "/users/bob", "", Scope::Directory),
    ("GET", "/projects", "", Scope::Directory),
    ("GET", "/projects/p1", "", Scope::Directory),
    ("PUT", "/projects/p1", "", Scope::Directory),
    ("GET", "/projects/p1/members", "", Scope::Directory),
    ("PUT", "/projects/p1/members", r#"[{"userId":"bob"}]"#, Scope::Directory),
    ("GET", "/projects/p1/members/bob", "", Scope::Directory),
    ("PUT", "/projects/p1/members/bob", "", Scope::Directory),
    ("GET", "/projects/p1/members/bob/settings", "", Scope::Directory),
    ("PUT", "/projects/p1/members/bob/settings", r#"{"deliver":false}"#, Scope::Directory),
    ("POST", "/users/bob/tokens", r#"{"ttlSeconds":60}"#, Scope::Directory),
    ("DELETE", "/users/bob/tokens", "", Scope::Directory),
    ("DELETE", "/users/bob/connections", "", Scope::Directory),
    ("DELETE", "/projects/p1/members/bob", "", Scope::Directory),
    ("DELETE", "/projects/p1", "", Scope::Directory),
    ("DELETE", "/users/bob", "", Scope::Directory),
    ("DELETE", "", "", Scope::Directory),
];
