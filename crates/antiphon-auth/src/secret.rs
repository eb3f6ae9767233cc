//! Secrets, and the credentials that are made of random bytes: how they are made, recognised, hashed.
//! A secret can't be printed and can't be compared with `==`.

use std::fmt;

use base64::{Engine, engine::general_purpose::URL_SAFE_NO_PAD};
use rand::{TryRng, rngs::SysRng};
use sha2::{Digest, Sha256};
use subtle::ConstantTimeEq;

use antiphon_core::SeamError;

const RANDOM_BYTES: usize = 32;
/// 32 bytes in base64url without padding.
const RANDOM_CHARS: usize = 43;

/// A text that must never be seen: not in a log, not in an error, not in a debugger's line.
#[derive(Clone)]
pub struct Secret(String);

impl Secret {
    /// Takes the text.
    pub fn new(text: impl Into<String>) -> Self {
        Self(text.into())
    }

    /// The text, for the one place that needs it.
    pub fn expose(&self) -> &str {
        &self.0
    }
}

impl fmt::Debug for Secret {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Secret(..)")
    }
}

/// A new credential: the prefix and 256 random bits.
pub(crate) fn make_credential(prefix: &str) -> Result<String, SeamError> {
    let bytes = random::<RANDOM_BYTES>()?;
    Ok(format!("{prefix}{}", URL_SAFE_NO_PAD.encode(bytes)))
}

/// Random bytes of the operating system.
pub(crate) fn random<const N: usize>() -> Result<[u8; N], SeamError> {
    let mut bytes = [0; N];
    SysRng.try_fill_bytes(&mut bytes).map_err(|error| SeamError::unavailable("randomness", error))?;
    Ok(bytes)
}

/// Has the text the form of such a credential?
pub(crate) fn is_credential(prefix: &str, text: &str) -> bool {
    text.strip_prefix(prefix).is_some_and(|rest| {
        rest.len() == RANDOM_CHARS
            && rest.bytes().all(|b| b.is_ascii_alphanumeric() || b == b'-' || b == b'_')
    })
}

/// What is kept of a credential.
pub(crate) fn hash(credential: &str) -> [u8; 32] {
    Sha256::digest(credential.as_bytes()).into()
}

/// Compares hashes in constant time.
pub(crate) fn same_hash(a: &[u8; 32], b: &[u8; 32]) -> bool {
    a.ct_eq(b).into()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_credential_is_recognised_by_its_form_alone() {
        let made = make_credential("ant_").unwrap();
        assert_eq!(made.len(), 4 + RANDOM_CHARS);
        assert!(is_credential("ant_", &made));
        assert!(!is_credential("antkey_", &made));
        for bad in ["ant_", "ant_short", &format!("{made}x"), &made.replacen("ant_", "ant_=", 1)] {
            assert!(!is_credential("ant_", bad), "{bad}");
        }
    }

    #[test]
    fn a_secret_does_not_show_itself() {
        assert_eq!(format!("{:?}", Secret::new("canary")), "Secret(..)");
    }
}
