//! Why a connection ends here. One variant for each close code, since to close with it is all that a caller can do.

/// What a peer did that ends its connection. The text says which rule was broken and holds nothing of what was sent,
/// so it may go out as the reason of the close frame.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum Error {
    /// A frame that RFC 6455 forbids.
    #[error("{0}")]
    Protocol(&'static str),
    /// A binary message at a door that takes text only.
    #[error("binary messages are not taken here")]
    Binary,
    /// Text, or a close reason, that is not UTF-8.
    #[error("text is not valid UTF-8")]
    Utf8,
    /// A message over [`Rules::message_bytes_max`](crate::Rules::message_bytes_max).
    #[error("message too big")]
    TooBig,
    /// A message over [`Rules::fragments_max`](crate::Rules::fragments_max).
    #[error("too many fragments")]
    TooManyFragments,
}

impl Error {
    /// The code to close with (RFC 6455, 7.4.1).
    pub const fn close_code(self) -> u16 {
        match self {
            Self::Protocol(_) => 1002,
            Self::Binary => 1003,
            Self::Utf8 => 1007,
            Self::TooBig | Self::TooManyFragments => 1009,
        }
    }
}
