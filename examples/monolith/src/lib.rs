//! A small company's backend with antiphon inside: it has its own token table and its own membership, and publishes
//! in the transactions of its own tables.

mod app;
mod membership;
mod orders;
mod tokens;

pub use app::{App, routes};
pub use membership::Membership;
pub use orders::{NoOrder, Orders};
pub use tokens::TokenTable;
