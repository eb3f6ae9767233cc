//! Frames as a client sends them, for tests, load and fuzzing. The mask is given or fixed, never random: it protects
//! proxies from a browser's scripts, and a test wants to be repeatable.

use crate::{encode, header::Opcode, mask};

/// The mask of [`frame`] and [`fragment`].
pub const MASK: [u8; 4] = [0x37, 0xFA, 0x21, 0x3D];

/// A whole masked frame.
pub fn frame(opcode: Opcode, payload: &[u8]) -> Vec<u8> {
    fragment(opcode, true, payload)
}

/// A masked frame that ends its message (`fin`) or does not.
pub fn fragment(opcode: Opcode, fin: bool, payload: &[u8]) -> Vec<u8> {
    masked(opcode, fin, MASK, payload)
}

/// A masked frame with a mask of the caller's.
pub fn masked(opcode: Opcode, fin: bool, mask: [u8; 4], payload: &[u8]) -> Vec<u8> {
    let mut out = header(opcode, fin, mask, payload.len() as u64);
    let payload_at = out.len();
    out.extend_from_slice(payload);
    mask::apply(&mut out[payload_at..], mask);
    out
}

/// The head alone, which may declare a payload that never comes.
pub fn header(opcode: Opcode, fin: bool, mask: [u8; 4], payload_bytes: u64) -> Vec<u8> {
    let (mut header, header_bytes) = encode::header(opcode, fin, payload_bytes);
    header[1] |= 0x80;
    [&header[..header_bytes], &mask].concat()
}

/// A close frame; its code is not checked.
pub fn close(code: u16, reason: &str) -> Vec<u8> {
    frame(Opcode::Close, &[&code.to_be_bytes(), reason.as_bytes()].concat())
}
