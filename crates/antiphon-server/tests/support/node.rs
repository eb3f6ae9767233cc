//! A node that was started from the program that was built, and plain HTTP to it.

use std::{
    io::{BufRead, BufReader, Read, Write},
    net::{SocketAddr, TcpStream},
    process::{Child, ChildStdout, Command, Stdio},
    sync::mpsc::{Receiver, channel},
    time::{Duration, Instant},
};

/// More than anything here takes, less than a person waits.
pub const PATIENCE: Duration = Duration::from_secs(20);

/// A running `antiphon serve`.
pub struct Node {
    child: Child,
    pub address: SocketAddr,
    pub first_line: String,
    rest: BufReader<ChildStdout>,
    log: Receiver<String>,
    folder: tempfile::TempDir,
}

impl Node {
    /// On a free port and a database of its own.
    pub fn serve(args: &[&str]) -> Self {
        Self::serve_with("", args)
    }

    /// With a configuration file of this text.
    pub fn serve_with(config: &str, args: &[&str]) -> Self {
        let mut command = super::command(&["serve", "--listen", "127.0.0.1:0"]);
        command.args(args);
        Self::start(command, config)
    }

    /// With so many open files.
    pub fn serve_with_files(files: u32, config: &str) -> Self {
        let mut command = Command::new("/bin/sh");
        command.args(["-c", &format!("ulimit -n {files}; exec \"$0\" \"$@\"")]);
        command.args([env!("CARGO_BIN_EXE_antiphon"), "serve", "--listen", "127.0.0.1:0"]);
        Self::start(command, config)
    }

    fn start(mut command: Command, config: &str) -> Self {
        let folder = tempfile::tempdir().unwrap();
        let file = folder.path().join("antiphon.toml");
        std::fs::write(&file, config).unwrap();
        let database = format!("sqlite:{}", folder.path().join("a.db").display());
        command.arg("--config").arg(file).env("ANTIPHON_DATABASE", database);
        let mut child = command.stdout(Stdio::piped()).stderr(Stdio::piped()).spawn().unwrap();
        let (to, log) = channel();
        let errors = BufReader::new(child.stderr.take().unwrap());
        std::thread::spawn(move || errors.lines().map_while(Result::ok).try_for_each(|line| to.send(line)));
        let mut rest = BufReader::new(child.stdout.take().unwrap());
        let mut first_line = String::new();
        rest.read_line(&mut first_line).unwrap();
        let Some(address) = first_line.trim_end().rsplit_once("//").and_then(|(_, at)| at.parse().ok())
        else {
            let log: Vec<String> = log.iter().collect();
            panic!("{first_line:?} names no address; it wrote:\n{}", log.join("\n"));
        };
        Self { child, address, first_line, rest, log, folder }
    }

    pub fn connect(&self) -> TcpStream {
        let socket = TcpStream::connect(self.address).unwrap();
        socket.set_read_timeout(Some(PATIENCE)).unwrap();
        socket
    }

    /// The answer to a GET, as far as it comes; empty if none does.
    pub fn get(&self, path: &str) -> String {
        let Ok(socket) = TcpStream::connect(self.address) else { return String::new() };
        socket.set_read_timeout(Some(PATIENCE)).unwrap();
        exchange(socket, &format!("GET {path} HTTP/1.1\r\nhost: a\r\nconnection: close\r\n\r\n"))
    }

    pub fn status(&self, path: &str) -> Option<u16> {
        self.get(path).split(' ').nth(1)?.parse().ok()
    }

    pub fn signal(&self, name: &str) {
        let sent = Command::new("kill").args([&format!("-{name}"), &self.child.id().to_string()]).status();
        assert!(sent.unwrap().success());
    }

    /// The next line of its log with this in it.
    pub fn logged(&self, text: &str) -> String {
        let until = Instant::now() + PATIENCE;
        let mut seen = Vec::new();
        while let Ok(line) = self.log.recv_timeout(until.saturating_duration_since(Instant::now())) {
            if line.contains(text) {
                return line;
            }
            seen.push(line);
        }
        panic!("no line with {text:?} in:\n{}", seen.join("\n"));
    }

    /// The URL of its sockets.
    pub fn ws(&self) -> String {
        format!("ws://{}/ws", self.address)
    }

    /// A token of acme's ann, from the program beside.
    pub fn token(&self) -> String {
        self.issued(&["token", "issue", "--tenant", "acme", "--user", "ann"])
    }

    /// A key of this scope, from the program beside.
    pub fn key(&self, scope: &str) -> String {
        self.issued(&["key", "issue", "--scope", scope])
    }

    fn issued(&self, args: &[&str]) -> String {
        let database = format!("sqlite:{}", self.folder.path().join("a.db").display());
        super::antiphon(args).args(&["--database", &database]).run().stdout.trim_end().to_owned()
    }

    /// All that it has logged since the last look, once it has ended.
    pub fn end_with_log(mut self) -> String {
        self.await_end();
        self.log.iter().collect::<Vec<_>>().join("\n")
    }

    /// Its exit status, when it has ended by itself, and what else it printed.
    pub fn end(mut self) -> (i32, String) {
        let code = self.await_end();
        let mut rest = String::new();
        self.rest.read_to_string(&mut rest).unwrap();
        (code, rest)
    }

    fn await_end(&mut self) -> i32 {
        let until = Instant::now() + PATIENCE;
        while Instant::now() < until {
            if let Some(status) = self.child.try_wait().unwrap() {
                return status.code().unwrap_or(-1);
            }
            // poll: the end of a child can't be awaited with a deadline.
            std::thread::sleep(Duration::from_millis(10));
        }
        panic!("it does not end");
    }
}

impl Drop for Node {
    fn drop(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

/// Sends this and reads what comes until the other side ends.
pub fn exchange(mut socket: impl Read + Write, request: &str) -> String {
    let _ = socket.write_all(request.as_bytes());
    let mut answer = Vec::new();
    let _ = socket.read_to_end(&mut answer);
    String::from_utf8_lossy(&answer).into_owned()
}

/// Waits until this is so.
pub fn eventually(what: &str, mut is_so: impl FnMut() -> bool) {
    let until = Instant::now() + PATIENCE;
    while !is_so() {
        assert!(Instant::now() < until, "never: {what}");
        // poll: what another process does.
        std::thread::sleep(Duration::from_millis(10));
    }
}
