//! A probe's bytes: nobody else listens where it goes, so it needs no more than to be told from another.

use antiphon_protocol::NodeId;
use bytes::Bytes;

const BYTES: usize = 16;

pub(super) fn make(id: NodeId, number: u64) -> Bytes {
    [id.0.to_be_bytes(), number.to_be_bytes()].concat().into()
}

/// Its number, if these are a probe's of this node.
pub(super) fn number(id: NodeId, bytes: &[u8]) -> Option<u64> {
    if bytes.len() != BYTES {
        return None;
    }
    let number = bytes.strip_prefix(&id.0.to_be_bytes())?;
    Some(u64::from_be_bytes(number.try_into().ok()?))
}
