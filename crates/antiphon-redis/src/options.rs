//! What a broker on Redis is told, and what can be wrong with that before the first try.

use std::{path::PathBuf, time::Duration};

use crate::address::{RedisUrl, RedisUrlError};

/// How long a connection may take to be made, and a command to be answered.
pub(crate) const PATIENCE: Duration = Duration::from_secs(2);

/// Where Redis is.
#[derive(Clone)]
pub struct RedisOptions {
    /// As [`RedisUrl`] has it.
    pub url: String,
    /// The certificate (PEM) of the authority that Redis' own was signed by, if it is not a public one.
    pub ca_file: Option<PathBuf>,
    /// Posts that may wait to be sent to one Redis.
    pub queue: usize,
    /// Bytes that all that wait may have together.
    pub queue_bytes: usize,
}

impl RedisOptions {
    /// With the defaults.
    pub fn new(url: impl Into<String>) -> Self {
        Self { url: url.into(), ca_file: None, queue: 16 * 1024, queue_bytes: 64 * 1024 * 1024 }
    }
}

impl std::fmt::Debug for RedisOptions {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        let address = self.url.parse().map_or_else(|_| "(not a URL)".to_owned(), |url: RedisUrl| url.shown());
        f.debug_struct("RedisOptions").field("address", &address).finish_non_exhaustive()
    }
}

/// Why Redis can't be spoken to, as far as that is known before the first try.
#[derive(Debug, thiserror::Error)]
pub enum RedisError {
    /// The URL is wrong.
    #[error("the Redis URL is not valid: {0}")]
    Url(#[from] RedisUrlError),
    /// The authority's certificate can't be read.
    #[error("the Redis authority's certificate {path}: {cause}")]
    Certificate {
        /// The file.
        path: String,
        /// What is wrong.
        cause: String,
    },
    /// An authority for a connection that is not encrypted.
    #[error("there is an authority's certificate for Redis, but its URL does not begin with rediss")]
    AuthorityWithoutTls,
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_password_is_never_shown() {
        let options = RedisOptions::new("rediss://user:hunter2@redis.example:6380/3");
        assert!(!format!("{options:?}").contains("hunter2"));
        assert!(!format!("{:?}", RedisOptions::new("hunter2")).contains("hunter2"));
    }
}
