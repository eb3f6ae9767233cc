//! A Redis with a replica and three sentinels that watch them.

use crate::error::StartError;
use crate::log::Log;
use crate::port::free_port;
use crate::process::{Launch, Process, find_program};
use crate::redis::{Redis, RedisOptions, run_cli};
use crate::wait::wait_until;
use std::process::Command;
use std::time::Duration;
use tempfile::TempDir;

const PATIENCE: Duration = Duration::from_secs(30);
/// What the master is called among the sentinels.
const MASTER: &str = "mymaster";

/// A master, a replica and three sentinels, which hold a master for dead after a second.
#[derive(Debug)]
pub struct RedisSentinel {
    /// The two Redis; which one is the master changes.
    pub servers: Vec<Redis>,
    sentinels: Vec<Sentinel>,
}

#[derive(Debug)]
struct Sentinel {
    process: Process,
    port: u16,
    password: Option<String>,
    _folder: TempDir,
}

impl RedisSentinel {
    /// Starts all five; `password` is that of Redis, `sentinel_password` that of the sentinels.
    pub fn start(password: Option<&str>, sentinel_password: Option<&str>) -> Result<Self, StartError> {
        let options = |args: Vec<String>| RedisOptions {
            password: password.map(str::to_owned),
            args: [vec!["--repl-diskless-sync-delay".into(), "0".into()], args].concat(),
            ..RedisOptions::default()
        };
        let auth = password.map(|password| vec!["--masterauth".to_owned(), password.to_owned()]);
        let auth = auth.unwrap_or_default();
        let master = Redis::start_with(options(auth.clone()))?;
        let of_master = vec!["--replicaof".into(), "127.0.0.1".into(), master.port().to_string()];
        let replica = Redis::start_with(options([auth, of_master].concat()))?;
        wait_until(PATIENCE, "the replica follows", || {
            replica.try_cli(&["INFO", "replication"]).contains("master_link_status:up")
        });
        let mut sentinels = Vec::new();
        for _ in 0..3 {
            sentinels.push(Sentinel::start(master.port(), password, sentinel_password)?);
        }
        let all = Self { servers: vec![master, replica], sentinels };
        wait_until(PATIENCE, "the sentinels know each other and the replica", || {
            all.sentinels.iter().all(|sentinel| {
                let facts = sentinel.cli(&["SENTINEL", "MASTER", MASTER]);
                facts.contains("num-slaves\n1\n") && facts.contains("num-other-sentinels\n2\n")
            })
        });
        Ok(all)
    }

    /// The URL, without passwords: `redis-sentinel://` with the sentinels and the master's name.
    #[must_use]
    pub fn url(&self) -> String {
        let hosts: Vec<String> =
            self.sentinels.iter().map(|sentinel| format!("127.0.0.1:{}", sentinel.port)).collect();
        format!("redis-sentinel://{}/{MASTER}", hosts.join(","))
    }

    /// Which of the servers most sentinels hold for the master.
    #[must_use]
    pub fn master(&self) -> usize {
        let mut votes = [0, 0];
        for sentinel in &self.sentinels {
            let said = sentinel.cli(&["SENTINEL", "GET-MASTER-ADDR-BY-NAME", MASTER]);
            let port = said.lines().nth(1).and_then(|port| port.parse::<u16>().ok());
            if let Some(at) = self.servers.iter().position(|server| Some(server.port()) == port) {
                votes[at] += 1;
            }
        }
        usize::from(votes[1] > votes[0])
    }

    /// Asks for a failover with both alive, and waits until all know of it.
    pub fn failover(&self) {
        let before = self.master();
        wait_until(PATIENCE, "the sentinels are ready for a failover", || {
            let (said, _) = self.sentinels[0].say(&["SENTINEL", "FAILOVER", MASTER]);
            said == "OK"
        });
        wait_until(PATIENCE, "the other one is the master", || self.master() != before);
    }

    /// Says a command to every sentinel.
    ///
    /// # Panics
    /// When one of them reports an error.
    #[track_caller]
    pub fn all_sentinels(&self, args: &[&str]) {
        for sentinel in &self.sentinels {
            sentinel.cli(args);
        }
    }

    /// Freezes (or lets go on) the sentinel of this number.
    pub fn freeze_sentinel(&mut self, at: usize, is_frozen: bool) {
        let signal = if is_frozen { rustix::process::Signal::STOP } else { rustix::process::Signal::CONT };
        self.sentinels[at].process.signal(signal);
    }
}

impl Sentinel {
    fn start(master: u16, password: Option<&str>, own: Option<&str>) -> Result<Self, StartError> {
        let program = find_program("redis-server").ok_or_else(|| {
            StartError::missing("redis-server", "apt-get install redis-server, or cargo xtask setup")
        })?;
        let folder = tempfile::Builder::new().prefix("antiphon-sentinel-").tempdir()?;
        let port = free_port();
        let mut config = format!(
            "port {port}\nbind 127.0.0.1\ndir {}\nsentinel monitor {MASTER} 127.0.0.1 {master} 2\n\
             sentinel down-after-milliseconds {MASTER} 1000\nsentinel failover-timeout {MASTER} 2000\n",
            folder.path().display()
        );
        if let Some(password) = password {
            config += &format!("sentinel auth-pass {MASTER} {password}\n");
        }
        if let Some(own) = own {
            config += &format!("requirepass \"{own}\"\nsentinel sentinel-pass \"{own}\"\n");
        }
        let file = folder.path().join("sentinel.conf");
        std::fs::write(&file, config)?;
        let log = Log::default();
        let launch = Launch::new(program).args([file]).args(["--sentinel"]);
        let mark = log.len();
        let process = launch.start(&log)?;
        if log.wait_for(mark, PATIENCE, |line| line.text.contains("+monitor")).is_none() {
            let why = "no sentinel in time".to_owned();
            return Err(StartError::Failed { program: "redis-server", why, log: log.tail() });
        }
        Ok(Self { process, port, password: own.map(str::to_owned), _folder: folder })
    }

    fn command(&self, args: &[&str]) -> Command {
        let mut command = Command::new("redis-cli");
        command.args(["-h", "127.0.0.1", "-p", &self.port.to_string()]);
        if let Some(password) = &self.password {
            command.args(["--no-auth-warning", "-a", password]);
        }
        command.args(args);
        command
    }

    #[track_caller]
    fn cli(&self, args: &[&str]) -> String {
        run_cli(self.command(args), args)
    }

    /// What it says, be it an error too.
    fn say(&self, args: &[&str]) -> (String, bool) {
        let output = self.command(args).output().unwrap_or_else(|error| panic!("redis-cli: {error}"));
        (String::from_utf8_lossy(&output.stdout).trim().to_owned(), output.status.success())
    }
}
