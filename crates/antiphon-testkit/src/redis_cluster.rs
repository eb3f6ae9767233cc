//! A Redis Cluster of three masters and three replicas.

use crate::error::StartError;
use crate::redis::{Redis, RedisOptions, RedisTls};
use crate::wait::wait_until;
use std::time::Duration;

const PATIENCE: Duration = Duration::from_secs(30);
const MASTERS: usize = 3;
const SLOTS: usize = 16_384;
/// Slots that a reshard moves in one step.
const SLOTS_AT_A_TIME: usize = 50;

/// Six Redis; a master is held for dead after a second.
#[derive(Debug)]
pub struct RedisCluster {
    /// At first the three masters, and after them the replica of each.
    pub servers: Vec<Redis>,
    password: Option<String>,
}

impl RedisCluster {
    /// Starts it and waits until each server sees it whole.
    pub fn start(password: Option<&str>, tls: Option<RedisTls>) -> Result<Self, StartError> {
        let mut args = vec!["--cluster-enabled", "yes", "--cluster-node-timeout", "1000"];
        args.extend(["--repl-diskless-sync-delay", "0", "--cluster-replica-validity-factor", "0"]);
        if let Some(password) = password {
            args.extend(["--masterauth", password]);
        }
        if tls.is_some() {
            args.extend(["--tls-cluster", "yes", "--tls-replication", "yes"]);
        }
        let options = RedisOptions {
            password: password.map(str::to_owned),
            tls,
            args: args.into_iter().map(str::to_owned).collect(),
        };
        let servers = (0..2 * MASTERS).map(|_| Redis::start_with(options.clone()));
        let cluster =
            Self { servers: servers.collect::<Result<_, _>>()?, password: password.map(str::to_owned) };
        cluster.form();
        Ok(cluster)
    }

    fn form(&self) {
        let share = SLOTS.div_ceil(MASTERS);
        for (at, server) in self.servers.iter().enumerate() {
            server.cli(&["CLUSTER", "SET-CONFIG-EPOCH", &(at + 1).to_string()]);
            if at < MASTERS {
                let (first, last) = (at * share, ((at + 1) * share).min(SLOTS) - 1);
                server.cli(&["CLUSTER", "ADDSLOTSRANGE", &first.to_string(), &last.to_string()]);
            }
        }
        for server in &self.servers[1..] {
            server.cli(&["CLUSTER", "MEET", "127.0.0.1", &self.servers[0].port().to_string()]);
        }
        let knows_all = |server: &Redis| {
            server.cli(&["CLUSTER", "NODES"]).lines().filter(|line| line.contains(" connected")).count()
                == 2 * MASTERS
        };
        wait_until(PATIENCE, "all know each other", || self.servers.iter().all(knows_all));
        for at in 0..MASTERS {
            let id = self.id(at);
            self.servers[MASTERS + at].cli(&["CLUSTER", "REPLICATE", &id]);
        }
        self.await_whole();
    }

    /// Waits until every server sees the cluster whole, and each replica follows its master.
    pub fn await_whole(&self) {
        let is_whole = |server: &Redis| {
            let replication = server.cli(&["INFO", "replication"]);
            let follows =
                replication.contains("role:master") || replication.contains("master_link_status:up");
            follows && server.cli(&["CLUSTER", "INFO"]).contains("cluster_state:ok")
        };
        wait_until(PATIENCE, "the cluster is whole", || self.servers.iter().all(is_whole));
        let replicas = || {
            let nodes = self.servers[0].cli(&["CLUSTER", "NODES"]);
            nodes.lines().filter(|line| line.contains("slave") && !line.contains("fail")).count()
        };
        wait_until(PATIENCE, "the replicas are known", || replicas() == MASTERS);
    }

    /// Its URL, with the password and all six.
    #[must_use]
    pub fn url(&self) -> String {
        let hosts: Vec<String> =
            self.servers.iter().map(|server| format!("127.0.0.1:{}", server.port())).collect();
        let scheme = if self.servers[0].url().starts_with("rediss") { "rediss" } else { "redis" };
        let login = self.password.as_ref().map_or_else(String::new, |password| format!(":{password}@"));
        format!("{scheme}-cluster://{login}{}", hosts.join(","))
    }

    /// The id of the server of this number.
    #[must_use]
    pub fn id(&self, at: usize) -> String {
        self.servers[at].cli(&["CLUSTER", "MYID"])
    }

    /// Is the server of this number a master now?
    #[must_use]
    pub fn is_master(&self, at: usize) -> bool {
        self.servers[at].cli(&["ROLE"]).starts_with("master")
    }

    /// Moves these slots, which hold no keys, from one master to another, as redis-cli does it.
    pub fn reshard(&self, slots: &[String], from: usize, to: usize) {
        let (source, target) = (self.id(from), self.id(to));
        let lines = |slots: &[String], what: &str| -> String {
            slots.iter().map(|slot| format!("CLUSTER SETSLOT {slot} {what}\n")).collect()
        };
        for slots in slots.chunks(SLOTS_AT_A_TIME) {
            self.servers[to].cli_lines(&lines(slots, &format!("IMPORTING {source}")));
            self.servers[from].cli_lines(&lines(slots, &format!("MIGRATING {target}")));
            self.servers[to].cli_lines(&lines(slots, &format!("NODE {target}")));
            self.servers[from].cli_lines(&lines(slots, &format!("NODE {target}")));
        }
    }

    /// Says a command to every server.
    pub fn all(&self, args: &[&str]) -> Vec<String> {
        self.servers.iter().map(|server| server.cli(args)).collect()
    }
}
