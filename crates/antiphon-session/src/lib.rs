//! One conversation, sans I/O: frames, answers, notices and ticks go in; frames and operations come out, in order.
//! It knows no transport, no task and no clock of its own; whoever drives it does what it says and tells it the time.

mod answer;
mod command;
mod drive;
mod identity;
mod in_flight;
mod notice;
mod pace;
mod publish;
mod session;

pub use answer::Answer;
pub use drive::{Act, Opening, Operation, Place};
pub use session::Session;
