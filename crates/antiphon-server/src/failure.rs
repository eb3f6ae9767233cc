//! How the program ends when something is wrong: 2 for a bad command line or configuration, and where `soak` could not
//! prove anything; 1 for the rest.

use std::{fmt, process::ExitCode};

use crate::{config::ConfigError, listen::ListenError};

/// Why the program ends.
#[derive(Debug)]
pub enum Failure {
    /// The command line or the configuration is wrong: to be corrected.
    Usage(String),
    /// Something failed while running.
    Running(String),
    /// A soak could not run, or not be judged: nothing is said about the promises.
    Unproved(String),
}

impl Failure {
    /// Something failed while running.
    pub fn running(error: impl fmt::Display) -> Self {
        Self::Running(error.to_string())
    }

    /// The exit status.
    pub fn code(&self) -> ExitCode {
        ExitCode::from(match self {
            Self::Usage(_) | Self::Unproved(_) => 2,
            Self::Running(_) => 1,
        })
    }
}

impl fmt::Display for Failure {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let (Self::Usage(text) | Self::Running(text) | Self::Unproved(text)) = self;
        // One line, whatever a file or a server had in its words.
        text.chars().try_for_each(|c| match c.is_control() {
            true => write!(f, "{}", c.escape_default()),
            false => write!(f, "{c}"),
        })
    }
}

impl From<ConfigError> for Failure {
    fn from(error: ConfigError) -> Self {
        Self::Usage(error.to_string())
    }
}

impl From<ListenError> for Failure {
    fn from(error: ListenError) -> Self {
        Self::running(error)
    }
}
