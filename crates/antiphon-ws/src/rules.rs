//! What a door admits: the bounds that a [`Decoder`](crate::Decoder) holds its peer to. They are handed in with each
//! call rather than kept, so that ten thousand connections share one copy and a changed bound holds at once.

/// The bounds of one connection's messages; cheap to copy.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Rules {
    /// The longest message, all its fragments together. A frame that announces more is refused at its header, before
    /// anything is allocated for it.
    pub message_bytes_max: usize,
    /// The most fragments of one message, empty ones too: what bounds the headers and the turns that a message costs.
    pub fragments_max: u32,
    /// Whether binary messages are taken; a door that speaks text only refuses them at their header.
    pub binary: bool,
}

impl Default for Rules {
    fn default() -> Self {
        Self { message_bytes_max: 64 * 1024, fragments_max: 256, binary: true }
    }
}
