//! What a client said.

use std::borrow::Cow;

/// What a client said: borrowed from the input where its frame lay there whole, owned where it came in parts.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Event<'i> {
    /// A whole text message.
    Text(Cow<'i, str>),
    /// A whole binary message.
    Binary(Cow<'i, [u8]>),
    /// Asks for a pong with this payload.
    Ping(Cow<'i, [u8]>),
    /// Answers a ping, or was sent unasked.
    Pong(Cow<'i, [u8]>),
    /// The client's last word, with its code and its reason.
    Close(Option<u16>, Cow<'i, str>),
}
