//! How a database is opened: sizes and times, each of them a bound, and whose tenants its log has.

use std::time::Duration;

/// Bounds of an engine's connections.
#[derive(Debug, Clone)]
pub struct OpenOptions {
    /// Connections of the pool; on SQLite those that read, beside the one that writes.
    pub connections: u32,
    /// How long making a connection may take.
    pub connect_timeout: Duration,
    /// How long to wait for a free connection; on SQLite also for the turn to write.
    pub acquire_timeout: Duration,
    /// How long one statement may run.
    pub statement_timeout: Duration,
    /// How long a statement may wait for a lock of somebody else; on SQLite for another process that writes.
    pub lock_timeout: Duration,
    /// How long PostgreSQL lets a transaction of ours be idle before it ends it.
    pub idle_in_transaction_timeout: Duration,
    /// How long an operation may take as a whole, whatever the server or the network does.
    pub operation_timeout: Duration,
    /// The tenants of the log are those of this database's directory. If an application keeps them elsewhere, what stands
    /// here says nothing of them: their revisions are other numbers.
    pub keeps_directory: bool,
}

impl Default for OpenOptions {
    fn default() -> Self {
        Self {
            connections: 8,
            connect_timeout: Duration::from_secs(5),
            acquire_timeout: Duration::from_secs(5),
            statement_timeout: Duration::from_secs(8),
            lock_timeout: Duration::from_secs(2),
            idle_in_transaction_timeout: Duration::from_secs(10),
            operation_timeout: Duration::from_secs(10),
            keeps_directory: true,
        }
    }
}
