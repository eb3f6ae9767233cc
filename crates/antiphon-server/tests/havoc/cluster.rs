//! The servers, each node with proxies of its own to the database and to Redis.

use std::{net::SocketAddr, time::Duration};

use antiphon_testkit::{
    Antiphon, AntiphonLaunch, CommitCutter, Database, FaultProxy, Haproxy, Postgres, Redis, or_skip,
    run_antiphon, wait_until_async,
};

use super::http;

/// More than a start takes on a busy machine.
pub const PATIENCE: Duration = Duration::from_secs(60);

/// What writes entries, in the text of a statement.
const WRITES: &[&str] = &["insert into antiphon.entries"];

/// One node and its links.
pub struct Site {
    pub node: Antiphon,
    pub to_database: FaultProxy,
    /// Before the proxy above, seen from the node.
    pub cutter: CommitCutter,
    pub to_redis: FaultProxy,
}

/// Everything that runs.
pub struct Cluster {
    pub sites: Vec<Site>,
    pub haproxy: Option<Haproxy>,
    pub redis: Redis,
    pub postgres: Postgres,
    pub database: Database,
    pub key: String,
}

/// Where clients find it.
#[derive(Clone)]
pub struct Doors {
    pub nodes: Vec<SocketAddr>,
    /// Each node, and the balancer last.
    pub sockets: Vec<String>,
    pub key: String,
}

impl Cluster {
    pub fn start(test: &str, nodes: usize) -> Option<Self> {
        let postgres = or_skip(test, Postgres::start())?;
        let redis = or_skip(test, Redis::start())?;
        let database = postgres.create_database();
        let env = [("ANTIPHON_DATABASE", database.url())];
        let env: Vec<(&str, &str)> = env.iter().map(|(name, value)| (*name, value.as_str())).collect();
        let migrated = or_skip(test, run_antiphon(&["migrate"], &env))?;
        assert!(migrated.status.success(), "{}", migrated.stderr);
        let key = run_antiphon(&["key", "issue"], &env).unwrap().stdout;
        let sites = (0..nodes).map(|_| Site::start(&postgres, &database, &redis)).collect::<Vec<_>>();
        let addresses: Vec<SocketAddr> = sites.iter().map(|site| site.node.address()).collect();
        let haproxy = or_skip(test, Haproxy::in_front_of(&addresses))?;
        Some(Self { sites, haproxy: Some(haproxy), redis, postgres, database, key })
    }

    pub fn doors(&self) -> Doors {
        let nodes = self.sites.iter().map(|site| site.node.address()).collect();
        let sockets = self.sites.iter().map(|site| site.node.ws_url());
        let sockets = sockets.chain(self.haproxy.iter().map(Haproxy::ws_url)).collect();
        Doors { nodes, sockets, key: self.key.clone() }
    }
}

impl Doors {
    /// Until every node says that it is ready.
    pub async fn ready(&self) {
        for node in &self.nodes {
            wait_until_async(PATIENCE, "a node is ready", async || {
                let asked = http::call(
                    *node,
                    "GET /health/ready",
                    &self.key,
                    &serde_json::Value::Null,
                    Duration::from_secs(5),
                );
                asked.await.is_some_and(|(status, _)| status == 200)
            })
            .await;
        }
    }
}

impl Site {
    fn start(postgres: &Postgres, database: &Database, redis: &Redis) -> Self {
        let local = |port: u16| SocketAddr::from(([127, 0, 0, 1], port));
        let to_database = FaultProxy::start(local(postgres.port())).unwrap();
        let cutter = CommitCutter::start(to_database.address(), WRITES).unwrap();
        let to_redis = FaultProxy::start(local(redis.port())).unwrap();
        let node = AntiphonLaunch::new()
            .args(["--database", &cutter.url_for(&database.url())])
            .args(["--redis", &to_redis.url_for(&redis.url())])
            .args(["--rate-limit", "0"])
            .start()
            .unwrap();
        Self { node, to_database, cutter, to_redis }
    }
}
