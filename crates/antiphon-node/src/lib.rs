//! One running instance: the operations that sessions and the HTTP API ask for, and the walk of an entry.
//!
//! `hook` asks the application first where it wants to be asked; `publish` checks, appends and rings; `ring` announces what an
//! application has appended itself; `receive` takes what rings here; `repair` reads what a bell lost; `tick` looks after both.
//! Nothing here knows a transport or an engine.

mod caller;
mod metrics;
mod node;
mod state;

mod aside;
mod hook;
mod plain;
mod publish;
mod receive;
mod repair;
mod retention;
mod ring;
mod signal;
mod tick;

mod audience;
mod authorize;
mod catchup;
mod door;
mod history;
mod proof;
mod subscribe;
mod tail;
mod tenant;

mod ask;
mod bells;
mod control;
mod fence;
mod figures;
mod health;
mod lease;
mod presence;

pub use bells::Bells;
pub use caller::{By, Caller};
pub use catchup::Catchup;
pub use health::Health;
pub use metrics::{EndReason, Metrics};
pub use node::{Engines, Node};
pub use publish::Published;
pub use state::turns::Turns;
pub use subscribe::Subscribed;
