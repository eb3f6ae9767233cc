//! Calls to the application's own HTTP endpoints, signed as Standard Webhooks has it.
//!
//! `signature` knows the scheme and nothing else, `endpoint` posts and reads a bounded answer, `publish` is the hook that
//! a node asks about its users' messages.

mod endpoint;
mod publish;
mod signature;

pub use endpoint::{Answer, Endpoint, EndpointError};
pub use publish::HttpPublishHook;
pub use signature::{SecretError, SigningSecret};
