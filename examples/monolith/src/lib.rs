//! A small company's backend with antiphon inside: it has its own token table and its own membership, and publishes
//! from its own code.

mod app;
mod membership;
mod tokens;

pub use app::{App, routes};
pub use membership::Membership;
pub use tokens::TokenTable;
