//! The server that was built, as a process of its own: what an operator would start.

use crate::error::StartError;
use crate::log::{Log, Source};
use crate::process::{Launch, Process};
use crate::variables;
use crate::wait::poll;
use rustix::process::Signal;
use std::ffi::OsString;
use std::net::{SocketAddr, TcpStream};
use std::path::PathBuf;
use std::process::ExitStatus;
use std::time::Duration;

const PROGRAM: &str = "antiphon";
const START_TIMEOUT: Duration = Duration::from_secs(30);

/// How to start `antiphon serve`.
#[derive(Debug, Clone, Default)]
pub struct AntiphonLaunch {
    program: Option<PathBuf>,
    args: Vec<OsString>,
    env: Vec<(OsString, OsString)>,
}

/// A running `antiphon serve`.
#[derive(Debug)]
pub struct Antiphon {
    process: Process,
    launch: Launch,
    log: Log,
    address: SocketAddr,
}

/// What a subcommand that ends by itself has said.
#[derive(Debug, Clone)]
pub struct Finished {
    /// How it ended.
    pub status: ExitStatus,
    /// Its standard output, without the last line end.
    pub stdout: String,
    /// Its standard error, without the last line end.
    pub stderr: String,
}

/// The server binary: `TESTKIT_ANTIPHON`, or the one that was built beside the running test.
pub fn antiphon_binary() -> Result<PathBuf, StartError> {
    let missing = || {
        StartError::missing(PROGRAM, "cargo build -p antiphon-server builds it; TESTKIT_ANTIPHON may name it")
    };
    if let Some(named) = std::env::var_os(variables::ANTIPHON) {
        return Some(PathBuf::from(named)).filter(|file| file.is_file()).ok_or_else(missing);
    }
    // target/<profile>/deps/<test> or target/<profile>/<program>.
    let test = std::env::current_exe()?;
    test.ancestors()
        .skip(1)
        .take(2)
        .map(|folder| folder.join(PROGRAM))
        .find(|file| file.is_file() && *file != test)
        .ok_or_else(missing)
}

/// Runs a subcommand that ends by itself, as `token issue`, and waits for it.
pub fn run_antiphon(args: &[&str], env: &[(&str, &str)]) -> Result<Finished, StartError> {
    let mut launch = Launch::new(antiphon_binary()?).args(args);
    launch.env = env.iter().map(|(name, value)| (name.into(), value.into())).collect();
    let output = launch.command(true).stdin(std::process::Stdio::null()).output()?;
    let text = |bytes: &[u8]| String::from_utf8_lossy(bytes).trim_end().to_owned();
    Ok(Finished { status: output.status, stdout: text(&output.stdout), stderr: text(&output.stderr) })
}

impl AntiphonLaunch {
    /// One with nothing but `serve --listen 127.0.0.1:0`.
    #[must_use]
    pub fn new() -> Self {
        Self::default()
    }

    /// Another binary than the one that was built beside the test.
    #[must_use]
    pub fn program(mut self, program: impl Into<PathBuf>) -> Self {
        self.program = Some(program.into());
        self
    }

    /// One more argument.
    #[must_use]
    pub fn arg(mut self, arg: impl Into<OsString>) -> Self {
        self.args.push(arg.into());
        self
    }

    /// More arguments.
    #[must_use]
    pub fn args(mut self, args: impl IntoIterator<Item = impl Into<OsString>>) -> Self {
        self.args.extend(args.into_iter().map(Into::into));
        self
    }

    /// A variable of its environment. Those of ours that begin with `ANTIPHON_` are not handed down.
    #[must_use]
    pub fn env(mut self, name: impl Into<OsString>, value: impl Into<OsString>) -> Self {
        self.env.push((name.into(), value.into()));
        self
    }

    /// Starts it and waits until it listens.
    pub fn start(self) -> Result<Antiphon, StartError> {
        let program = match self.program {
            Some(program) => program,
            None => antiphon_binary()?,
        };
        let mut launch = Launch::new(program).args(["serve", "--listen", "127.0.0.1:0"]).args(self.args);
        launch.env = self.env;
        let log = Log::default();
        let mut process = launch.start(&log)?;
        let mut address = None;
        log.wait_for(0, START_TIMEOUT, |line| {
            address = if line.source == Source::Stdout { address_in(&line.text) } else { None };
            address.is_some()
        });
        let Some(address) = address else {
            return Err(failed(&mut process, &log, "it printed no address on standard output"));
        };
        accepting(&mut process, &log, address)?;
        // From now on the port is its own: a restart must come back where its clients look for it.
        launch.args[2] = address.to_string().into();
        Ok(Antiphon { process, launch, log, address })
    }
}

impl Antiphon {
    /// Starts `antiphon serve --listen 127.0.0.1:0` with further `args`.
    pub fn serve(args: &[&str]) -> Result<Self, StartError> {
        AntiphonLaunch::new().args(args).start()
    }

    /// Its URL, without a slash at the end.
    #[must_use]
    pub fn url(&self) -> String {
        format!("http://{}", self.address)
    }

    /// The URL of its WebSocket.
    #[must_use]
    pub fn ws_url(&self) -> String {
        format!("ws://{}/ws", self.address)
    }

    /// Where it listens.
    #[must_use]
    pub fn address(&self) -> SocketAddr {
        self.address
    }

    /// Its process id, which changes with a restart.
    #[must_use]
    pub fn pid(&self) -> u32 {
        self.process.pid()
    }

    /// Its lines since its first start.
    #[must_use]
    pub fn log(&self) -> &Log {
        &self.log
    }

    /// The first line, of whichever stream and since the first start, that contains `text`.
    ///
    /// # Panics
    /// When none comes within `deadline`.
    #[track_caller]
    pub fn wait_for_line(&self, deadline: Duration, text: &str) -> String {
        self.log.wait_for(0, deadline, |line| line.text.contains(text)).unwrap_or_else(|| {
            panic!("no line with {text:?} within {deadline:?}; it wrote:\n{}", self.log.text())
        })
    }

    /// Its exit status, if it has ended.
    pub fn exited(&mut self) -> Option<ExitStatus> {
        self.process.exited()
    }

    /// Sends SIGTERM and returns at once: the drain begins.
    pub fn drain(&mut self) {
        self.process.signal(Signal::TERM);
    }

    /// Waits for its end by itself.
    ///
    /// # Panics
    /// When it still runs after `deadline`.
    #[track_caller]
    pub fn wait(&mut self, deadline: Duration) -> ExitStatus {
        self.process.wait(deadline).unwrap_or_else(|| {
            panic!("antiphon still runs after {deadline:?}; it wrote:\n{}", self.log.text())
        })
    }

    /// Ends it as an operator would (SIGTERM) and waits for its exit status.
    ///
    /// # Panics
    /// When it still runs after `deadline`.
    #[track_caller]
    pub fn terminate(&mut self, deadline: Duration) -> ExitStatus {
        self.drain();
        self.wait(deadline)
    }

    /// `kill -9`; returns when it is reaped.
    pub fn kill9(&mut self) {
        self.process.kill9();
    }

    /// Freezes it (SIGSTOP): its sockets stay open and nothing answers.
    pub fn stop(&mut self) {
        self.process.signal(Signal::STOP);
    }

    /// Lets it go on after [`Antiphon::stop`].
    pub fn cont(&mut self) {
        self.process.signal(Signal::CONT);
    }

    /// Kills it if it still runs, and starts it with the same arguments on the same port.
    pub fn restart(&mut self) -> Result<(), StartError> {
        self.process.kill9();
        let mut process = self.launch.start(&self.log)?;
        accepting(&mut process, &self.log, self.address)?;
        self.process = process;
        Ok(())
    }
}

/// The address in a line as `listening on http://127.0.0.1:4711`.
fn address_in(line: &str) -> Option<SocketAddr> {
    let start = line.find("127.0.0.1:")?;
    let rest = &line[start..];
    let host = "127.0.0.1:".len();
    let digits = rest[host..].bytes().take_while(u8::is_ascii_digit).count();
    rest[..host + digits].parse().ok().filter(|address: &SocketAddr| address.port() != 0)
}

fn accepting(process: &mut Process, log: &Log, address: SocketAddr) -> Result<(), StartError> {
    let accepts = poll(START_TIMEOUT, || process.exited().is_some() || TcpStream::connect(address).is_ok());
    if accepts && process.exited().is_none() {
        return Ok(());
    }
    Err(failed(process, log, "it does not accept connections"))
}

fn failed(process: &mut Process, log: &Log, otherwise: &str) -> StartError {
    let why = match process.wait(Duration::from_millis(200)) {
        Some(status) => format!("it ended with {status}"),
        None => otherwise.to_owned(),
    };
    StartError::Failed { program: PROGRAM, why, log: log.tail() }
}

#[cfg(test)]
mod tests {
    use super::address_in;

    #[test]
    fn an_address_is_found_in_a_sentence_but_never_port_zero() {
        let found = |line| address_in(line).map(|address| address.port());
        assert_eq!(found("listening on http://127.0.0.1:4711/"), Some(4711));
        assert_eq!(found("127.0.0.1:80"), Some(80));
        assert_eq!(found(r#"{"address":"127.0.0.1:9000"}"#), Some(9000));
        assert_eq!(found("asked for 127.0.0.1:0"), None);
        assert_eq!(found("127.0.0.1: nothing"), None);
        assert_eq!(found("listening"), None);
    }
}
