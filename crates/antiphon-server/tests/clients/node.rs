//! The nodes of a conversation: one that most share, or its own.

use std::{
    io::{Read, Write},
    net::TcpStream,
    sync::Arc,
    time::Duration,
};

use antiphon_testkit::{Antiphon, AntiphonLaunch, Database, run_antiphon, shared_postgres};
use parking_lot::Mutex;
use serde_json::{Value, json};

const PATIENCE: Duration = Duration::from_secs(30);

/// Some nodes on one database.
#[derive(Clone)]
pub struct Nodes(Arc<Own>);

struct Own {
    nodes: Vec<Mutex<Antiphon>>,
    addresses: Vec<std::net::SocketAddr>,
    key: String,
    _folder: tempfile::TempDir,
    _database: Option<Database>,
}

impl Nodes {
    /// The nodes that a case wants; none: they can't be had here.
    pub fn of_case(case: &Value, shared: &Self) -> Option<Self> {
        if let Some(args) = case["node"].as_array() {
            let args: Vec<&str> = args.iter().map(|arg| arg.as_str().unwrap()).collect();
            return Some(Self::start(&args, None));
        }
        let Some(count) = case["nodes"].as_u64() else { return Some(shared.clone()) };
        let database = shared_postgres("conformance of the clients over several nodes")?;
        Some(Self::start(&["--drain", "1s"], Some((database, count))))
    }

    /// One on a SQLite file of its own, or so many on a database.
    pub fn start(args: &[&str], shared: Option<(Database, u64)>) -> Self {
        let folder = tempfile::tempdir().unwrap();
        let own = format!("sqlite:{}", folder.path().join("a.db").display());
        let url = shared.as_ref().map_or(own, |(database, _)| database.url());
        if shared.is_some() {
            run(&["migrate", "--database", &url]);
        }
        let unlimited: &[&str] = if args.contains(&"--rate-limit") { &[] } else { &["--rate-limit", "0"] };
        let count = shared.as_ref().map_or(1, |(_, count)| *count);
        let start = |_| {
            let launch = AntiphonLaunch::new().program(env!("CARGO_BIN_EXE_antiphon"));
            launch.args(["--database", &url]).args(unlimited).args(args).start().unwrap()
        };
        let nodes: Vec<Antiphon> = (0..count).map(start).collect();
        let key = run(&["key", "issue", "--database", &url]);
        let addresses = nodes.iter().map(Antiphon::address).collect();
        let nodes = nodes.into_iter().map(Mutex::new).collect();
        Self(Arc::new(Own {
            nodes,
            addresses,
            key,
            _folder: folder,
            _database: shared.map(|(database, _)| database),
        }))
    }

    pub fn addresses(&self) -> &[std::net::SocketAddr] {
        &self.0.addresses
    }

    pub fn kill(&self, at: usize) {
        self.with(at, Antiphon::kill9);
    }

    pub fn start_again(&self, at: usize) {
        self.with(at, |node| node.restart().unwrap());
    }

    pub fn drain(&self, at: usize) {
        assert_eq!(self.with(at, |node| node.terminate(PATIENCE)).code(), Some(0));
    }

    fn with<T>(&self, at: usize, does: impl FnOnce(&mut Antiphon) -> T) -> T {
        tokio::task::block_in_place(|| does(&mut self.0.nodes[at].lock()))
    }

    /// A fresh token of a user.
    pub fn token(&self, tenant: &str, user: &str, ttl_seconds: u64) -> String {
        let path = format!("/tenants/{tenant}/users/{user}/tokens");
        let answer = self.api("POST", &path, Some(&json!({"ttlSeconds": ttl_seconds})));
        answer["token"].as_str().unwrap().to_owned()
    }

    /// A request with a key of all scopes to a node that runs.
    pub fn api(&self, method: &str, path: &str, body: Option<&Value>) -> Value {
        let body = body.map(Value::to_string).unwrap_or_default();
        let request = format!(
            "{method} /api/v1{path} HTTP/1.1\r\nhost: a\r\nauthorization: Bearer {}\r\nconnection: close\r\n\
             content-type: application/json\r\ncontent-length: {}\r\n\r\n{body}",
            self.0.key,
            body.len()
        );
        let answer = tokio::task::block_in_place(|| {
            let mut socket = self.0.addresses.iter().find_map(|at| TcpStream::connect(at).ok()).unwrap();
            socket.set_read_timeout(Some(PATIENCE)).unwrap();
            socket.write_all(request.as_bytes()).unwrap();
            let mut answer = String::new();
            socket.read_to_string(&mut answer).unwrap();
            answer
        });
        assert!(answer.starts_with("HTTP/1.1 2"), "{method} {path}: {answer}");
        let body = answer.split_once("\r\n\r\n").map_or("", |(_, body)| body);
        if body.is_empty() { Value::Null } else { serde_json::from_str(body).unwrap() }
    }
}

fn run(args: &[&str]) -> String {
    let finished = run_antiphon(args, &[]).unwrap();
    assert!(finished.status.success(), "{args:?}: {}", finished.stderr);
    finished.stdout
}
