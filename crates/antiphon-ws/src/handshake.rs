//! The upgrade of an HTTP request (RFC 6455, 4.2), from header values as plain strings: whoever reads the request
//! keeps their own HTTP types. Who may connect, from which origin and with which subprotocol is decided elsewhere.

use base64::{Engine, engine::general_purpose::STANDARD};
use sha1::{Digest, Sha1};

/// The header values that make a GET request an upgrade to WebSocket; `None` for one that is missing. Several lines of
/// one header are joined with a comma, as RFC 9110 has it.
#[derive(Debug, Clone, Copy, Default)]
pub struct Upgrade<'a> {
    /// `Connection`, one of whose tokens must be `upgrade`.
    pub connection: Option<&'a str>,
    /// `Upgrade`, one of whose tokens must be `websocket`.
    pub upgrade: Option<&'a str>,
    /// `Sec-WebSocket-Version`, which must be 13.
    pub version: Option<&'a str>,
    /// `Sec-WebSocket-Key`, which must be 16 bytes in base64.
    pub key: Option<&'a str>,
}

/// Why a request is not upgraded.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum UpgradeError {
    /// The request doesn't ask for WebSocket.
    #[error("not a request for a WebSocket")]
    NotWebSocket,
    /// Another version; the answer names ours in `Sec-WebSocket-Version: 13`.
    #[error("WebSocket version must be 13")]
    Version,
    /// The key is missing or is not 16 bytes in base64.
    #[error("WebSocket key must be 16 bytes in base64")]
    Key,
}

impl UpgradeError {
    /// The HTTP status of the answer.
    pub const fn status(self) -> u16 {
        match self {
            Self::NotWebSocket | Self::Version => 426,
            Self::Key => 400,
        }
    }
}

impl Upgrade<'_> {
    /// Checks the request; gives the `Sec-WebSocket-Accept` of the answer.
    pub fn accept(&self) -> Result<String, UpgradeError> {
        if !has_token(self.upgrade, "websocket") || !has_token(self.connection, "upgrade") {
            return Err(UpgradeError::NotWebSocket);
        }
        if self.version.map(str::trim) != Some("13") {
            return Err(UpgradeError::Version);
        }
        let key = self.key.map(str::trim).filter(|key| is_key(key)).ok_or(UpgradeError::Key)?;
        Ok(accept_key(key))
    }
}

/// The `Sec-WebSocket-Accept` that answers a `Sec-WebSocket-Key`.
pub fn accept_key(key: &str) -> String {
    let mut hash = Sha1::new();
    hash.update(key.as_bytes());
    hash.update(b"258EAFA5-E914-47DA-95CA-C5AB0DC85B11");
    STANDARD.encode(hash.finalize())
}

fn is_key(key: &str) -> bool {
    let mut bytes = [0; 18];
    key.len() == 24 && STANDARD.decode_slice(key, &mut bytes) == Ok(16)
}

fn has_token(value: Option<&str>, token: &str) -> bool {
    value.is_some_and(|value| value.split(',').any(|one| one.trim().eq_ignore_ascii_case(token)))
}

#[cfg(test)]
mod tests {
    use super::*;

    const LAWFUL: Upgrade<'static> = Upgrade {
        connection: Some("keep-alive, Upgrade"),
        upgrade: Some("WebSocket"),
        version: Some("13"),
        key: Some("dGhlIHNhbXBsZSBub25jZQ=="),
    };

    #[test]
    fn the_example_of_the_rfc_gets_the_answer_of_the_rfc() {
        assert_eq!(LAWFUL.accept().as_deref(), Ok("s3pPLMBiTxaQ9kYGzzhZRbK+xOo="));
    }

    #[test]
    fn a_request_that_lacks_a_token_is_not_a_websocket() {
        for connection in [None, Some(""), Some("keep-alive"), Some("upgraded"), Some("up grade")] {
            assert_eq!(
                Upgrade { connection, ..LAWFUL }.accept(),
                Err(UpgradeError::NotWebSocket),
                "{connection:?}"
            );
        }
        for upgrade in [None, Some("h2c"), Some("websocket2")] {
            assert_eq!(
                Upgrade { upgrade, ..LAWFUL }.accept(),
                Err(UpgradeError::NotWebSocket),
                "{upgrade:?}"
            );
        }
    }

    #[test]
    fn no_version_but_thirteen_is_spoken() {
        for version in [None, Some("8"), Some("130"), Some("013"), Some("13, 8")] {
            assert_eq!(Upgrade { version, ..LAWFUL }.accept(), Err(UpgradeError::Version), "{version:?}");
        }
    }

    #[test]
    fn a_key_of_any_other_length_or_alphabet_is_refused() {
        for key in [
            None,
            Some(""),
            Some("dGhlIHNhbXBsZSBub25jZQ"),
            Some("dGhlIHNhbXBsZSBub25j"),
            Some("dGhlIHNhbXBsZSBub25jZWU="),
            Some("dGhlIHNhbXBsZSBub25jZWVl"),
            Some("dGhlIHNhbXBsZSBub25jZR=="),
            Some("dGhlIHNhbXBsZSBub25-ZQ=="),
        ] {
            assert_eq!(Upgrade { key, ..LAWFUL }.accept(), Err(UpgradeError::Key), "{key:?}");
        }
    }
}
