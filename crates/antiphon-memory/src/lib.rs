//! Engines that live in one process's memory: for tests, simulations, and several nodes in one process.

mod bus;
mod directory;
mod presence;
mod store;
mod tokens;

pub use bus::{MemoryBroker, MemoryBus};
pub use directory::{DirectoryCopy, MemoryDirectory};
pub use presence::MemoryPresence;
pub use store::{LogCopy, MemoryStore};
