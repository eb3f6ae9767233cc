//! The servers of a figure: a PostgreSQL that syncs as in production, a Redis where there is one, and nodes.

use std::{net::SocketAddr, time::Duration};

use antiphon_testkit::{
    Antiphon, AntiphonLaunch, Database, Postgres, PostgresOptions, Redis, run_antiphon, variables, wait_until,
};
use serde_json::{Value, json};

use super::{PATIENCE, http};

/// The tenant of all figures.
pub const TENANT: &str = "acme";

pub struct Cluster {
    pub nodes: Vec<Antiphon>,
    pub redis: Option<Redis>,
    pub postgres: Postgres,
    pub database: Database,
    pub key: String,
}

/// What runs.
#[derive(Clone, Copy, PartialEq, Eq)]
pub enum Bell {
    Redis,
    Postgres,
}

impl std::fmt::Display for Bell {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str(if *self == Self::Redis { "with Redis" } else { "without Redis" })
    }
}

impl Cluster {
    /// So many nodes with these further arguments.
    pub fn start(nodes: usize, bell: Bell, args: &[&str]) -> Self {
        let settings = ["track_commit_timestamp=on", "shared_preload_libraries=pg_stat_statements"];
        let settings = settings.map(str::to_owned).to_vec();
        let options = PostgresOptions { durable: true, settings, ..PostgresOptions::default() };
        let postgres = Postgres::start_with(options).unwrap();
        let redis = (bell == Bell::Redis).then(|| Redis::start().unwrap());
        let database = postgres.create_database();
        let url = database.url();
        let run = |args: &[&str]| {
            let done = run_antiphon(args, &[("ANTIPHON_DATABASE", &url)]).unwrap();
            assert!(done.status.success(), "{}", done.stderr);
            done.stdout
        };
        run(&["migrate"]);
        let key = run(&["key", "issue"]);
        let launch = || {
            let mut launch = AntiphonLaunch::new().program(program()).args(["--database", &url]);
            if let Some(redis) = &redis {
                launch = launch.args(["--redis", &redis.url()]);
            }
            launch.args(["--rate-limit", "0", "--admin-listen", "127.0.0.1:0"]).args(args).start().unwrap()
        };
        let nodes = (0..nodes).map(|_| launch()).collect();
        let cluster = Self { nodes, redis, postgres, database, key };
        cluster.is_whole();
        cluster
    }

    /// Waits until every node is ready and hears the others.
    pub fn is_whole(&self) {
        for node in 0..self.nodes.len() {
            wait_until(PATIENCE, "a node hears the others", || {
                let (status, ready) =
                    http::call(self.address(node), "GET /health/ready", &self.key, &Value::Null);
                status == 200 && ready.contains("\"broker\":true")
            });
        }
    }

    pub fn address(&self, node: usize) -> SocketAddr {
        self.nodes[node].address()
    }

    pub fn addresses(&self) -> Vec<SocketAddr> {
        self.nodes.iter().map(Antiphon::address).collect()
    }

    /// A token of a user of the tenant.
    pub fn token(&self, user: &str) -> String {
        let request = format!("POST /api/v1/tenants/{TENANT}/users/{user}/tokens");
        let (_, answer) = http::call(self.address(0), &request, &self.key, &json!({"ttlSeconds": 36_000}));
        let body: Value = serde_json::from_str(&answer).unwrap_or_else(|_| panic!("{answer}"));
        body["token"].as_str().unwrap_or_else(|| panic!("{answer}")).to_owned()
    }

    /// One of a node's figures, or the sum of its kinds; without the prefix.
    pub fn figure(&self, node: usize, name: &str) -> u64 {
        let (_, text) = http::call(self.admin(node), "GET /metrics", "", &Value::Null);
        let name = format!("antiphon_{name}");
        let lines = text.lines().filter_map(|line| line.strip_prefix(&name));
        let values =
            lines.filter(|line| line.starts_with([' ', '{'])).filter_map(|line| line.rsplit(' ').next());
        values.filter_map(|value| value.parse::<u64>().ok()).sum()
    }

    /// The lines of a node's figures with this beginning, but for those that are nought.
    pub fn figure_lines(&self, node: usize, name: &str) -> String {
        let (_, text) = http::call(self.admin(node), "GET /metrics", "", &Value::Null);
        let name = format!("antiphon_{name}");
        let lines =
            text.lines().filter_map(|line| line.strip_prefix(&name)).filter(|line| !line.ends_with(" 0"));
        lines.collect::<Vec<_>>().join(" ")
    }

    /// Where a node's figures are: another port after each start.
    fn admin(&self, node: usize) -> SocketAddr {
        let lines = self.nodes[node].log().lines();
        let line = lines.iter().rev().find(|line| line.text.contains("health and metrics on")).unwrap();
        let (_, at) = line.text.rsplit_once("//").unwrap();
        let end = at.find(|c: char| c != '.' && c != ':' && !c.is_ascii_digit()).unwrap_or(at.len());
        at[..end].parse().unwrap()
    }

    /// A node's resident memory, in KiB.
    pub fn resident_kib(&self, node: usize) -> u64 {
        resident_kib(self.nodes[node].pid())
    }

    /// The processor time of a node.
    pub fn processor_time(&self, node: usize) -> Duration {
        let stat = std::fs::read_to_string(format!("/proc/{}/stat", self.nodes[node].pid())).unwrap();
        let mut fields = stat[stat.rfind(')').unwrap() + 1..].split_ascii_whitespace().skip(11);
        let mut ticks = || fields.next().unwrap().parse::<u64>().unwrap();
        // A tick is a hundredth of a second wherever Linux runs this.
        Duration::from_millis((ticks() + ticks()) * 10)
    }
}

/// A process's resident memory, in KiB; nought where it is gone.
pub fn resident_kib(pid: u32) -> u64 {
    let status = std::fs::read_to_string(format!("/proc/{pid}/status")).unwrap_or_default();
    let line = status.lines().find_map(|line| line.strip_prefix("VmRSS:")).unwrap_or("0 kB");
    line.trim().trim_end_matches(" kB").parse().unwrap()
}

/// The program that was built beside, or that `TESTKIT_ANTIPHON` names.
fn program() -> String {
    std::env::var(variables::ANTIPHON).unwrap_or_else(|_| env!("CARGO_BIN_EXE_antiphon").to_owned())
}
