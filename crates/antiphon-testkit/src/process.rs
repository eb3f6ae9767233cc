//! A server as a direct child: started, signalled, killed with all that it forked, reaped on drop.
//!
//! Children are started by one thread that lives as long as the process, through `setpriv --pdeathsig` where it
//! exists: the kernel then kills them with us, even when we are killed ourselves.

use crate::log::{Log, Source};
use crate::wait::poll;
use rustix::process::{Pid, Signal, kill_process, kill_process_group};
use std::ffi::OsString;
use std::io;
use std::os::unix::process::CommandExt;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, ExitStatus, Stdio};
use std::sync::OnceLock;
use std::sync::mpsc;
use std::time::Duration;

/// How to start a server; kept, so that it can be started again.
#[derive(Debug, Clone)]
pub(crate) struct Launch {
    pub program: PathBuf,
    pub args: Vec<OsString>,
    pub env: Vec<(OsString, OsString)>,
    /// The user as whom it runs, where ours (root) won't do.
    pub user: Option<&'static str>,
    /// What the kernel sends to it when we die.
    pub death_signal: &'static str,
}

impl Launch {
    pub fn new(program: impl Into<PathBuf>) -> Self {
        Self { program: program.into(), args: Vec::new(), env: Vec::new(), user: None, death_signal: "KILL" }
    }

    pub fn args(mut self, args: impl IntoIterator<Item = impl Into<OsString>>) -> Self {
        self.args.extend(args.into_iter().map(Into::into));
        self
    }

    /// Starts it; its lines go to `log`.
    pub fn start(&self, log: &Log) -> io::Result<Process> {
        let mut command = self.command(true);
        command.stdin(Stdio::null()).stdout(Stdio::piped()).stderr(Stdio::piped()).process_group(0);
        let mut child = spawn(command)?;
        if let Some(stdout) = child.stdout.take() {
            log.collect(Source::Stdout, stdout);
        }
        if let Some(stderr) = child.stderr.take() {
            log.collect(Source::Stderr, stderr);
        }
        Ok(Process { child, reaped: None })
    }

    /// The command, as its user and, for what outlives this call, tied to our life.
    pub fn command(&self, tied: bool) -> Command {
        let setpriv = find_program("setpriv");
        let mut command = match (setpriv, self.user) {
            (Some(setpriv), user) if tied || user.is_some() => {
                let mut command = Command::new(setpriv);
                if let Some(user) = user {
                    command.args(["--reuid", user, "--regid", user, "--init-groups"]);
                }
                if tied {
                    command.args(["--pdeathsig", self.death_signal]);
                }
                command.arg("--").arg(&self.program);
                command
            }
            (_, Some(user)) => {
                let mut command = Command::new("runuser");
                command.args(["-u", user, "--"]).arg(&self.program);
                command
            }
            _ => Command::new(&self.program),
        };
        command.args(&self.args);
        // Our own variables steer the tests, not the servers; a setting of the caller's shell must not leak in.
        for (name, _) in
            std::env::vars_os().filter(|(name, _)| name.to_string_lossy().starts_with("ANTIPHON_"))
        {
            command.env_remove(name);
        }
        command.envs(self.env.iter().map(|(name, value)| (name, value)));
        command
    }
}

/// A running child.
#[derive(Debug)]
pub(crate) struct Process {
    child: Child,
    reaped: Option<ExitStatus>,
}

impl Process {
    pub fn pid(&self) -> u32 {
        self.child.id()
    }

    /// Its exit status, if it has ended.
    pub fn exited(&mut self) -> Option<ExitStatus> {
        if self.reaped.is_none() {
            self.reaped = self.child.try_wait().ok().flatten();
        }
        self.reaped
    }

    /// Waits for its end.
    pub fn wait(&mut self, deadline: Duration) -> Option<ExitStatus> {
        poll(deadline, || self.exited().is_some());
        self.reaped
    }

    /// Sends `signal` to it alone.
    pub fn signal(&mut self, signal: Signal) {
        // A pid that was reaped may be somebody else's by now.
        if self.exited().is_none() {
            let _ = kill_process(Pid::from_child(&self.child), signal);
        }
    }

    /// Sends `signal` to it and to all that it has forked, itself first so that it forks no more.
    pub fn signal_all(&mut self, signal: Signal) {
        if self.exited().is_some() {
            return;
        }
        let forked = descendants(self.pid());
        self.signal(signal);
        for pid in forked.into_iter().filter_map(Pid::from_raw) {
            let _ = kill_process(pid, signal);
        }
    }

    /// `kill -9` for it and all that it has forked; returns when it is reaped and they are gone.
    pub fn kill9(&mut self) {
        if self.exited().is_some() {
            return;
        }
        let forked = descendants(self.pid());
        let _ = kill_process_group(Pid::from_child(&self.child), Signal::KILL);
        self.signal(Signal::KILL);
        for pid in forked.iter().copied().filter_map(Pid::from_raw) {
            let _ = kill_process(pid, Signal::KILL);
        }
        self.reaped = self.child.wait().ok();
        poll(Duration::from_secs(10), || forked.iter().all(|pid| !alive(*pid)));
    }
}

impl Drop for Process {
    fn drop(&mut self) {
        self.kill9();
    }
}

/// The program's path, from PATH or the folders of system programs.
pub(crate) fn find_program(name: &str) -> Option<PathBuf> {
    let path = std::env::var_os("PATH").unwrap_or_default();
    std::env::split_paths(&path)
        .chain(
            ["/usr/local/sbin", "/usr/local/bin", "/usr/sbin", "/usr/bin", "/sbin", "/bin"]
                .map(PathBuf::from),
        )
        .map(|folder| folder.join(name))
        .find(|file| file.is_file())
}

/// Whether this process runs as root; some servers refuse that.
pub(crate) fn is_root() -> bool {
    rustix::process::geteuid().is_root()
}

/// Spawns on a thread that never ends: the death signal of a child comes with the end of the *thread* that spawned
/// it, and a test's own thread ends before a shared server should.
fn spawn(command: Command) -> io::Result<Child> {
    type Request = (Command, mpsc::Sender<io::Result<Child>>);
    static SPAWNER: OnceLock<mpsc::Sender<Request>> = OnceLock::new();
    let spawner = SPAWNER.get_or_init(|| {
        let (sender, requests) = mpsc::channel::<Request>();
        std::thread::spawn(move || {
            for (mut command, answer) in requests {
                let _ = answer.send(command.spawn());
            }
        });
        sender
    });
    let (answer, child) = mpsc::channel();
    let gone = |_| io::Error::other("the thread that starts children is gone");
    spawner.send((command, answer)).map_err(|_| gone(mpsc::RecvError))?;
    child.recv().map_err(gone)?
}

/// The children of `root`, their children and so on.
fn descendants(root: u32) -> Vec<i32> {
    let parents: Vec<(i32, i32)> = std::fs::read_dir("/proc")
        .into_iter()
        .flatten()
        .flatten()
        .filter_map(|entry| {
            let pid = entry.file_name().to_str()?.parse().ok()?;
            Some((pid, parent(&entry.path())?))
        })
        .collect();
    let mut found = vec![root as i32];
    let mut next = 0;
    while let Some(pid) = found.get(next).copied() {
        found.extend(parents.iter().filter(|(_, parent)| *parent == pid).map(|(child, _)| *child));
        next += 1;
    }
    found.split_off(1)
}

fn parent(process: &Path) -> Option<i32> {
    let stat = std::fs::read_to_string(process.join("stat")).ok()?;
    // The name in brackets may hold anything, spaces and brackets too.
    stat[stat.rfind(')')? + 1..].split_ascii_whitespace().nth(1)?.parse().ok()
}

/// Whether a process is there and not a zombie that waits for its reaper.
fn alive(pid: i32) -> bool {
    std::fs::read_to_string(format!("/proc/{pid}/stat")).is_ok_and(|stat| {
        stat.rfind(')').is_some_and(|end| !stat[end + 1..].trim_start().starts_with(['Z', 'X']))
    })
}
