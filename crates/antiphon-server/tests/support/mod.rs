//! Runs the program that was built, with an environment of its own.
#![allow(dead_code, clippy::unwrap_used)]

pub mod frame_proxy;
pub mod node;
pub mod sql;
pub mod tls;

use std::{ffi::OsStr, process::Command};

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

/// A folder that goes away.
pub fn folder() -> tempfile::TempDir {
    tempfile::tempdir().unwrap()
}
