//! The promises of the seams, as suites that every engine runs: each promise is a sentence, checked and counted.

pub mod broker;
pub mod directory;
mod names;
pub mod presence;
mod promises;
pub mod store;
pub mod tokens;

pub use promises::Promises;
