//! The two nodes: started, killed as a crash would, and brought back on the same port.

use std::{
    net::{IpAddr, Ipv4Addr, SocketAddr},
    sync::Arc,
    time::Duration,
};

use antiphon_auth::{Authenticators, OpaqueAuthenticator};
use antiphon_axum::{Doors, HttpOptions};
use antiphon_core::{Limits, Tasks, TopicRules};
use antiphon_memory::MemoryBus;
use antiphon_node::{Engines, Node};
use antiphon_sql::{Database, OpenOptions};
use serde::Serialize;
use tokio::sync::Mutex;

use super::cast::{self, Project, User};
use crate::{failure::Failure, listen};

const NODES: usize = 2;

/// Everything that the page shows.
pub struct Stage {
    database: antiphon_sql::Engines,
    bus: Arc<MemoryBus>,
    users: Vec<User>,
    page: SocketAddr,
    nodes: Vec<Slot>,
    /// Where the database lives, for as long as the demo does.
    _folder: tempfile::TempDir,
}

/// A node's place: its address stays, whether it runs or not.
struct Slot {
    address: SocketAddr,
    running: Mutex<Option<Running>>,
}

struct Running {
    doors: Arc<Doors>,
    tasks: Tasks,
}

/// A node on the page.
#[derive(Serialize)]
struct NodeState {
    id: usize,
    name: String,
    url: String,
    up: bool,
    connections: u64,
}

/// What the page asks for each second.
#[derive(Serialize)]
pub struct State {
    tenant: &'static str,
    projects: Vec<Project>,
    users: Vec<User>,
    nodes: Vec<NodeState>,
    cluster: u64,
}

impl Stage {
    /// Makes the cast and starts the nodes; `page` is where the page is.
    pub async fn set(page: SocketAddr) -> Result<Self, Failure> {
        let folder = tempfile::tempdir().map_err(Failure::running)?;
        let database = Database::Sqlite(folder.path().join("demo.db"));
        let database = database.open(OpenOptions::default()).await.map_err(Failure::running)?;
        let users = cast::users(&database).await.map_err(Failure::running)?;
        let mut stage =
            Self { database, bus: MemoryBus::new(), users, page, nodes: Vec::new(), _folder: folder };
        for _ in 0..NODES {
            // A free port, which the node keeps through every restart.
            let listener = listen::bind(&SocketAddr::new(IpAddr::V4(Ipv4Addr::LOCALHOST), 0).to_string())?;
            let address = listener.local_addr().map_err(Failure::running)?;
            let running = Mutex::new(Some(stage.node(listener)?));
            stage.nodes.push(Slot { address, running });
        }
        Ok(stage)
    }

    fn node(&self, listener: tokio::net::TcpListener) -> Result<Running, Failure> {
        let database = &self.database;
        let engines = Engines {
            store: database.store.clone(),
            tail: None,
            broker: Arc::new(self.bus.broker()),
            plain: None,
            directory: database.directory.clone(),
            presence: database.presence.clone(),
            authenticator: Arc::new(
                Authenticators::new().with_opaque(OpaqueAuthenticator::new(database.tokens.clone())),
            ),
            authorizer: Arc::new(TopicRules::default()),
            hook: None,
            tokens: Some(database.tokens.clone()),
            keys: Some(database.keys.clone()),
        };
        let tasks = Tasks::new(tokio::runtime::Handle::current());
        let node = Node::start(engines, database.secret.clone(), Limits::default(), tasks.clone());
        let origins = ["127.0.0.1", "localhost"].map(|host| format!("http://{host}:{}", self.page.port()));
        let origins = origins.iter().filter_map(|origin| url::Url::parse(origin).ok());
        let options = HttpOptions {
            allowed_origins: origins.map(|url| url.origin()).collect(),
            ..HttpOptions::default()
        };
        let doors = Doors::open(node, options).map_err(Failure::running)?;
        let app = antiphon_axum::router(&doors).into_make_service_with_connect_info::<SocketAddr>();
        tasks.spawn_until_end(async move {
            if let Err(error) = axum::serve(listener, app).await {
                tracing::error!(%error, "a node can't be served any more");
            }
        });
        Ok(Running { doors, tasks })
    }

    /// Ends a node without a word to anybody. False: there is no such node.
    pub async fn kill(&self, id: usize) -> bool {
        let Some(slot) = self.nodes.get(id) else { return false };
        if let Some(Running { doors, tasks }) = slot.running.lock().await.take() {
            tasks.end(Duration::from_millis(500)).await;
            tokio::task::block_in_place(|| doors.reactor().kill());
        }
        true
    }

    /// Brings a node back. False: there is no such node.
    pub async fn start(&self, id: usize) -> Result<bool, Failure> {
        let Some(slot) = self.nodes.get(id) else { return Ok(false) };
        let mut running = slot.running.lock().await;
        if running.is_none() {
            *running = Some(self.node(listen::bind(&slot.address.to_string())?)?);
        }
        Ok(true)
    }

    /// Ends everything.
    pub async fn clear(&self) {
        for id in 0..self.nodes.len() {
            self.kill(id).await;
        }
    }

    /// Where the nodes are.
    pub fn addresses(&self) -> impl Iterator<Item = SocketAddr> + '_ {
        self.nodes.iter().map(|slot| slot.address)
    }

    /// What there is to be shown.
    pub async fn state(&self) -> State {
        let mut nodes = Vec::new();
        for (id, slot) in self.nodes.iter().enumerate() {
            let running = slot.running.lock().await;
            let count = |running: &Running| running.doors.node().metrics().identified.get();
            nodes.push(NodeState {
                id,
                name: format!("Node {}", id + 1),
                url: format!("http://{}", slot.address),
                up: running.is_some(),
                connections: running.as_ref().map_or(0, count),
            });
        }
        let cluster = nodes.iter().map(|node| node.connections).sum();
        State { tenant: cast::TENANT, projects: cast::projects(), users: self.users.clone(), nodes, cluster }
    }
}
