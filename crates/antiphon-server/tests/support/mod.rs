//! Runs the program that was built, with an environment of its own.
#![allow(dead_code, clippy::unwrap_used)]

pub mod frame_proxy;
pub mod node;
pub mod sql;
pub mod tls;

use std::{
    ffi::OsStr,
    io::{BufRead, BufReader},
    process::{Child, Command, Stdio},
    sync::{Arc, Mutex},
    thread::JoinHandle,
};

/// A run to come.
pub struct Program(Command);

/// What it was.
pub struct Finished {
    pub code: i32,
    pub stdout: String,
    pub stderr: String,
}

/// The program with these arguments, and no variable of ours but what is given.
pub fn antiphon(args: &[&str]) -> Program {
    Program(command(args))
}

fn command(args: &[&str]) -> Command {
    let mut command = shell(env!("CARGO_BIN_EXE_antiphon"));
    command.args(args);
    command
}

/// Another program, which may start ours: without any variable of ours.
pub fn shell(program: &str) -> Command {
    let mut command = Command::new(program);
    for (name, _) in std::env::vars_os() {
        if name.to_string_lossy().starts_with("ANTIPHON_") {
            command.env_remove(name);
        }
    }
    command
}

impl Program {
    pub fn arg(mut self, arg: impl AsRef<OsStr>) -> Self {
        self.0.arg(arg);
        self
    }

    pub fn args(mut self, args: &[&str]) -> Self {
        self.0.args(args);
        self
    }

    pub fn env(mut self, name: &str, value: impl AsRef<OsStr>) -> Self {
        self.0.env(name, value);
        self
    }

    /// In this folder.
    pub fn within(mut self, folder: &tempfile::TempDir) -> Self {
        self.0.current_dir(folder);
        self
    }

    pub fn run(mut self) -> Finished {
        let output = self.0.output().unwrap();
        let text = |bytes: Vec<u8>| String::from_utf8(bytes).unwrap();
        Finished {
            code: output.status.code().unwrap_or(-1),
            stdout: text(output.stdout),
            stderr: text(output.stderr),
        }
    }
}

/// A run that goes on.
pub struct Running {
    child: Child,
    errors: Arc<Mutex<String>>,
    reader: JoinHandle<()>,
}

impl Program {
    /// Starts it, and reads what it says on standard error.
    pub fn start(mut self) -> Running {
        let mut child = self.0.stdout(Stdio::null()).stderr(Stdio::piped()).spawn().unwrap();
        let errors = Arc::new(Mutex::new(String::new()));
        let lines = BufReader::new(child.stderr.take().unwrap()).lines();
        let kept = errors.clone();
        let reader = std::thread::spawn(move || {
            for line in lines.map_while(Result::ok) {
                kept.lock().unwrap().push_str(&(line + "\n"));
            }
        });
        Running { child, errors, reader }
    }
}

impl Running {
    pub fn signal(&self, name: &str) {
        let sent = Command::new("kill").args([&format!("-{name}"), &self.child.id().to_string()]).status();
        assert!(sent.unwrap().success());
    }

    /// Whether it has said this on standard error.
    pub fn said(&self, text: &str) -> bool {
        self.errors.lock().unwrap().contains(text)
    }

    /// Waits for its end.
    pub fn end(mut self) -> Finished {
        let mut status = None;
        node::eventually("it ends", || {
            status = self.child.try_wait().unwrap();
            status.is_some()
        });
        self.reader.join().unwrap();
        let code = status.and_then(|status| status.code()).unwrap_or(-1);
        let stderr = self.errors.lock().unwrap().clone();
        Finished { code, stdout: String::new(), stderr }
    }
}

/// A folder that goes away.
pub fn folder() -> tempfile::TempDir {
    tempfile::tempdir().unwrap()
}
