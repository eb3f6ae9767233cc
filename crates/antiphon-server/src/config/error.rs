//! What can be wrong with a configuration, in words for whoever wrote it. Values of secrets are never repeated.

use super::Origin;

/// A configuration that can't be used: exit status 2.
#[derive(Debug, thiserror::Error)]
pub enum ConfigError {
    /// A key that nobody knows.
    #[error("{origin}: unknown key `{key}`{}", did_you_mean(.nearest.as_deref()))]
    UnknownKey {
        /// Where it stands.
        origin: Origin,
        /// The key.
        key: String,
        /// The known one that it most resembles.
        nearest: Option<String>,
    },
    /// A value that an option can't take.
    #[error("{origin}: `{key}`: {why}")]
    Value {
        /// Where it stands.
        origin: Origin,
        /// Of which option.
        key: String,
        /// What is wrong.
        why: String,
    },
    /// A file that can't be read.
    #[error("{what}: {why}")]
    File {
        /// Which file, and who named it.
        what: String,
        /// What is wrong.
        why: String,
    },
    /// Options that don't go together.
    #[error("{0}")]
    Check(String),
}

impl ConfigError {
    /// Options that don't go together.
    pub fn check(text: impl Into<String>) -> Self {
        Self::Check(text.into())
    }
}

/// The end of a sentence about an unknown name.
pub(super) fn did_you_mean(nearest: Option<&str>) -> String {
    nearest.map_or_else(String::new, |nearest| format!(", did you mean `{nearest}`?"))
}

/// The known name that this one most resembles, if any does.
pub(super) fn nearest<'a>(name: &str, known: impl Iterator<Item = &'a str>) -> Option<String> {
    known
        .map(|candidate| (strsim::damerau_levenshtein(name, candidate), candidate))
        .min()
        .filter(|(distance, candidate)| *distance * 3 <= candidate.len().max(name.len()))
        .map(|(_, candidate)| candidate.to_owned())
}
