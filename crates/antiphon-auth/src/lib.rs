//! From tokens to identities: opaque tokens of our own, looked up by their SHA-256, and JWTs, proved with keys
//! that the operator configured. API keys are here too.
//!
//! Nothing of a token is believed before it is proved, and no address is ever taken from one. No error and no
//! log line of this crate holds a token, a key or a secret.

mod secret;

mod opaque;

mod key_ring;

mod claims;
mod jwks;
mod jwt;
mod verify_key;

mod chain;

pub use chain::Authenticators;
pub use claims::JwtRules;
pub use jwks::{Jwks, JwksError, JwksSource};
pub use jwt::JwtAuthenticator;
pub use key_ring::KeyRing;
pub use opaque::OpaqueAuthenticator;
pub use secret::Secret;

/// Makes a token for a user.
pub use antiphon_core::issue_token as issue;
pub use verify_key::{KeyError, VerifyKey};

/// The most bytes that a token of any form may have.
pub const MAX_TOKEN_BYTES: usize = 8 * 1024;
