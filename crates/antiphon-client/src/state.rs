//! Where a client is, for an application to show.

use std::time::SystemTime;

use crate::Error;

/// Where a client is. [`Client::state`](crate::Client::state) gives it, and tells each change.
#[derive(Debug, Clone)]
#[non_exhaustive]
pub enum State {
    /// A node is being tried.
    Connecting {
        /// Its address.
        url: String,
    },
    /// A node has answered.
    Online {
        /// Its address.
        url: String,
    },
    /// There is no connection, and another try comes.
    Waiting {
        /// When it comes.
        retry_at: SystemTime,
        /// The close code of the last connection, where there was a close.
        code: Option<u16>,
        /// Why the last try failed, where there was one.
        error: Option<Error>,
    },
    /// It has ended, and does not come back.
    Closed(Error),
}
