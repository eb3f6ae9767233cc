//! Why a server could not be started, by what the reader can do about it: install it, or read its log.

use std::io;

/// Why a server for a test did not start.
#[derive(Debug, thiserror::Error)]
pub enum StartError {
    /// The program isn't on this machine: install it, or skip the test.
    #[error("{program} is not installed ({hint})")]
    Missing {
        /// The program that was looked for.
        program: &'static str,
        /// What makes it available.
        hint: String,
    },
    /// It is there, but did not become ready.
    #[error("{program} did not start: {why}\n{log}")]
    Failed {
        /// The program that was started.
        program: &'static str,
        /// What went wrong.
        why: String,
        /// The last lines that it wrote.
        log: String,
    },
    /// The operating system refused something on the way.
    #[error("starting a server for a test: {0}")]
    Io(#[from] io::Error),
}

impl StartError {
    pub(crate) fn missing(program: &'static str, hint: impl Into<String>) -> Self {
        Self::Missing { program, hint: hint.into() }
    }
}
