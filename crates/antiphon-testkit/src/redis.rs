//! A Redis of a test's own.

use crate::error::StartError;
use crate::log::Log;
use crate::port::free_port;
use crate::process::{Launch, Process, find_program};
use rustix::process::Signal;
use std::io::{Seek, Write};
use std::path::PathBuf;
use std::process::Command;
use std::time::Duration;
use tempfile::TempDir;

const PROGRAM: &str = "redis-server";
const START_TIMEOUT: Duration = Duration::from_secs(30);

/// What a Redis may need beyond the plain one.
#[derive(Debug, Clone, Default)]
pub struct RedisOptions {
    /// Clients must say this password.
    pub password: Option<String>,
    /// It speaks TLS alone.
    pub tls: Option<RedisTls>,
    /// Further arguments of `redis-server`.
    pub args: Vec<String>,
}

/// The files (PEM) with which a Redis speaks TLS; clients need no certificate.
#[derive(Debug, Clone)]
pub struct RedisTls {
    /// Its certificate.
    pub cert: PathBuf,
    /// The certificate's key.
    pub key: PathBuf,
    /// The authority that signed it.
    pub ca: PathBuf,
}

/// A running Redis without persistence.
#[derive(Debug)]
pub struct Redis {
    process: Process,
    launch: Launch,
    log: Log,
    port: u16,
    options: RedisOptions,
    folder: TempDir,
}

impl Redis {
    /// Starts a plain one.
    pub fn start() -> Result<Self, StartError> {
        Self::start_with(RedisOptions::default())
    }

    /// Starts one with a password, TLS or further arguments.
    pub fn start_with(options: RedisOptions) -> Result<Self, StartError> {
        let program = find_program(PROGRAM).ok_or_else(|| {
            StartError::missing(PROGRAM, "apt-get install redis-server, or cargo xtask setup")
        })?;
        let folder = tempfile::Builder::new().prefix("antiphon-redis-").tempdir()?;
        let log = Log::default();
        // Another process may take the port between our look and its bind.
        let mut attempt = 0;
        loop {
            let port = free_port();
            let mut launch =
                Launch::new(&program).args(["--bind", "127.0.0.1", "--save", "", "--appendonly", "no"]);
            launch = launch.args(["--dir"]).args([folder.path()]);
            let port_text = port.to_string();
            launch = match &options.tls {
                None => launch.args(["--port", &port_text]),
                Some(tls) => launch
                    .args(["--port", "0", "--tls-auth-clients", "no", "--tls-port", &port_text])
                    .args(["--tls-cert-file".into(), tls.cert.clone().into_os_string()])
                    .args(["--tls-key-file".into(), tls.key.clone().into_os_string()])
                    .args(["--tls-ca-cert-file".into(), tls.ca.clone().into_os_string()]),
            };
            if let Some(password) = &options.password {
                launch = launch.args(["--requirepass", password]);
            }
            launch = launch.args(&options.args);
            match run(&launch, &log) {
                Ok(process) => return Ok(Self { process, launch, log, port, options, folder }),
                Err(error) if attempt == 3 => return Err(error),
                Err(_) => attempt += 1,
            }
        }
    }

    /// Its URL, with the password where it has one.
    #[must_use]
    pub fn url(&self) -> String {
        let scheme = if self.options.tls.is_some() { "rediss" } else { "redis" };
        let password =
            self.options.password.as_ref().map_or_else(String::new, |password| format!(":{password}@"));
        format!("{scheme}://{password}127.0.0.1:{}", self.port)
    }

    /// Its port on 127.0.0.1.
    #[must_use]
    pub fn port(&self) -> u16 {
        self.port
    }

    /// Its process id, which changes with a restart.
    #[must_use]
    pub fn pid(&self) -> u32 {
        self.process.pid()
    }

    /// Its lines.
    #[must_use]
    pub fn log(&self) -> &Log {
        &self.log
    }

    /// Says a command through redis-cli and returns the answer as it prints it raw, without the last line end.
    ///
    /// # Panics
    /// When redis-cli can't be run or reports an error.
    #[track_caller]
    pub fn cli(&self, args: &[&str]) -> String {
        let mut command = self.command();
        command.args(args);
        run_cli(command, args)
    }

    /// [`Redis::cli`] for a server that may hang up: what it says, empty if it says nothing.
    #[must_use]
    pub fn try_cli(&self, args: &[&str]) -> String {
        let output = self.command().args(args).output();
        output.map(|output| String::from_utf8_lossy(&output.stdout).trim_end().to_owned()).unwrap_or_default()
    }

    /// Says one command a line through one redis-cli, for where there are thousands.
    ///
    /// # Panics
    /// When redis-cli can't be run or one of the answers is an error.
    #[track_caller]
    pub fn cli_lines(&self, lines: &str) {
        let mut file = tempfile::tempfile().expect("a temporary file can be made");
        file.write_all(lines.as_bytes()).and_then(|()| file.rewind()).expect("it can be written");
        let mut command = self.command();
        command.stdin(file);
        let answers = run_cli(command, &["several"]);
        let error = answers.lines().find(|line| line.starts_with("ERR ") || line.starts_with("MOVED "));
        assert!(error.is_none(), "redis-cli: {error:?}");
    }

    fn command(&self) -> Command {
        let mut command = Command::new("redis-cli");
        command.args(["-h", "127.0.0.1", "-p", &self.port.to_string()]);
        if let Some(password) = &self.options.password {
            command.args(["--no-auth-warning", "-a", password]);
        }
        if let Some(tls) = &self.options.tls {
            command.args(["--tls", "--cacert"]).arg(&tls.ca);
        }
        command
    }

    /// `kill -9`; returns when it is reaped.
    pub fn kill9(&mut self) {
        self.process.kill9();
    }

    /// Freezes it (SIGSTOP): connections stay open and nothing answers.
    pub fn stop(&mut self) {
        self.process.signal(Signal::STOP);
    }

    /// Lets it go on after [`Redis::stop`].
    pub fn cont(&mut self) {
        self.process.signal(Signal::CONT);
    }

    /// Kills it if it still runs, and starts it anew, empty, on the same port.
    pub fn restart(&mut self) -> Result<(), StartError> {
        self.process.kill9();
        self.process = run(&self.launch, &self.log)?;
        Ok(())
    }

    pub(crate) fn outlives_statics(&self) {
        crate::watchdog::after_our_end(self.pid(), self.folder.path());
    }
}

/// Runs a prepared redis-cli; `said` names the command in the message.
#[track_caller]
pub(crate) fn run_cli(mut command: Command, said: &[&str]) -> String {
    let output = command.output().unwrap_or_else(|error| panic!("redis-cli {said:?}: {error}"));
    let text = String::from_utf8_lossy(&output.stdout).trim_end().to_owned();
    let failed = !output.status.success() || text.starts_with("ERR ") || text.starts_with("NOAUTH ");
    assert!(!failed, "redis-cli {said:?}: {text}{}", String::from_utf8_lossy(&output.stderr));
    text
}

fn run(launch: &Launch, log: &Log) -> Result<Process, StartError> {
    let mark = log.len();
    let mut process = launch.start(log)?;
    match log.wait_for(mark, START_TIMEOUT, |line| line.text.contains("Ready to accept connections")) {
        Some(_) => Ok(process),
        None => {
            let why = match process.wait(Duration::from_millis(100)) {
                Some(status) => format!("it ended with {status}"),
                None => format!("not ready within {START_TIMEOUT:?}"),
            };
            Err(StartError::Failed { program: PROGRAM, why, log: log.tail() })
        }
    }
}
