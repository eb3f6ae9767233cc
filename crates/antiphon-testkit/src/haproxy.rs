//! A haproxy of a test's own: the load balancer in front of the nodes.

use crate::error::StartError;
use crate::log::Log;
use crate::port::free_port;
use crate::process::{Launch, Process, find_program};
use crate::wait::poll;
use rustix::process::Signal;
use std::fmt::Write;
use std::net::{Ipv4Addr, SocketAddr, TcpStream};
use std::time::Duration;
use tempfile::TempDir;

const PROGRAM: &str = "haproxy";
const START_TIMEOUT: Duration = Duration::from_secs(30);

/// A running haproxy.
#[derive(Debug)]
pub struct Haproxy {
    process: Process,
    launch: Launch,
    log: Log,
    port: u16,
    _folder: TempDir,
}

impl Haproxy {
    /// Starts one with the configuration that `config` makes for the port on which it shall listen.
    pub fn start(config: impl FnOnce(u16) -> String) -> Result<Self, StartError> {
        let program = find_program(PROGRAM)
            .ok_or_else(|| StartError::missing(PROGRAM, "apt-get install haproxy, or cargo xtask setup"))?;
        let folder = tempfile::Builder::new().prefix("antiphon-haproxy-").tempdir()?;
        let port = free_port();
        let file = folder.path().join("haproxy.cfg");
        std::fs::write(&file, config(port))?;
        let launch = Launch::new(program).args(["-db".into(), "-f".into(), file.into_os_string()]);
        let log = Log::default();
        let process = run(&launch, &log, port)?;
        Ok(Self { process, launch, log, port, _folder: folder })
    }

    /// Starts one that balances over `nodes`, round robin, WebSockets too. A node whose `/health/ready` isn't 200 gets
    /// no new connections; those that it has stay.
    pub fn in_front_of(nodes: &[SocketAddr]) -> Result<Self, StartError> {
        Self::start(|port| balancing(port, nodes))
    }

    /// Its URL.
    #[must_use]
    pub fn url(&self) -> String {
        format!("http://127.0.0.1:{}", self.port)
    }

    /// The URL of the nodes' WebSocket through it.
    #[must_use]
    pub fn ws_url(&self) -> String {
        format!("ws://127.0.0.1:{}/ws", self.port)
    }

    /// Its port on 127.0.0.1.
    #[must_use]
    pub fn port(&self) -> u16 {
        self.port
    }

    /// Its lines.
    #[must_use]
    pub fn log(&self) -> &Log {
        &self.log
    }

    /// `kill -9`; returns when it is reaped.
    pub fn kill9(&mut self) {
        self.process.kill9();
    }

    /// Freezes it (SIGSTOP).
    pub fn stop(&mut self) {
        self.process.signal_all(Signal::STOP);
    }

    /// Lets it go on after [`Haproxy::stop`].
    pub fn cont(&mut self) {
        self.process.signal_all(Signal::CONT);
    }

    /// Kills it if it still runs, and starts it with the same configuration on the same port.
    pub fn restart(&mut self) -> Result<(), StartError> {
        self.process.kill9();
        self.process = run(&self.launch, &self.log, self.port)?;
        Ok(())
    }
}

fn balancing(port: u16, nodes: &[SocketAddr]) -> String {
    let mut config = format!(
        "global\n  maxconn 4000\ndefaults\n  mode http\n  timeout connect 2s\n  timeout client 60s\n  \
         timeout server 60s\n  timeout tunnel 1h\n  option redispatch 1\n  retries 3\n\
         frontend clients\n  bind 127.0.0.1:{port}\n  default_backend nodes\n\
         backend nodes\n  balance roundrobin\n  option httpchk GET /health/ready\n  \
         default-server check inter 200ms fall 2 rise 1\n"
    );
    for (index, node) in nodes.iter().enumerate() {
        // Writing to a String can't fail.
        let _ = writeln!(config, "  server node{} {node}", index + 1);
    }
    config
}

fn run(launch: &Launch, log: &Log, port: u16) -> Result<Process, StartError> {
    let mut process = launch.start(log)?;
    let ready = poll(START_TIMEOUT, || {
        process.exited().is_some() || TcpStream::connect((Ipv4Addr::LOCALHOST, port)).is_ok()
    });
    let why = match process.exited() {
        Some(status) => format!("it ended with {status}"),
        None if ready => return Ok(process),
        None => format!("not listening within {START_TIMEOUT:?}"),
    };
    Err(StartError::Failed { program: PROGRAM, why, log: log.tail() })
}
