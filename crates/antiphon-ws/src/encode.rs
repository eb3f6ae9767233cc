//! Frames for clients: a head of two to ten bytes before a payload that is encoded once and shared by all who get it.
//! A server's frames are whole and unmasked; nothing here fragments.

use bytes::Bytes;

use crate::{
    close::is_close_code,
    header::{CONTROL_BYTES_MAX, Opcode},
};

/// The longest head of a server's frame.
pub const HEADER_BYTES_MAX: usize = 10;

/// The longest reason of a close frame, beside its code.
pub const REASON_BYTES_MAX: usize = CONTROL_BYTES_MAX - 2;

/// The head of a whole frame around `payload_bytes` bytes: the first so many of the array.
pub const fn frame_header(opcode: Opcode, payload_bytes: usize) -> ([u8; HEADER_BYTES_MAX], usize) {
    header(opcode, true, payload_bytes as u64)
}

/// Appends a whole frame to what is already to be written. A control frame's payload has at most 125 bytes.
pub fn push_frame(out: &mut Vec<u8>, opcode: Opcode, payload: &[u8]) {
    debug_assert!(!opcode.is_control() || payload.len() <= CONTROL_BYTES_MAX, "a control frame is short");
    let (header, header_bytes) = frame_header(opcode, payload.len());
    out.reserve(header_bytes + payload.len());
    out.extend_from_slice(&header[..header_bytes]);
    out.extend_from_slice(payload);
}

/// A whole frame in one piece, to be shared.
pub fn frame(opcode: Opcode, payload: &[u8]) -> Bytes {
    let mut out = Vec::new();
    push_frame(&mut out, opcode, payload);
    out.into()
}

/// A close frame with a code and a reason, which is cut at [`REASON_BYTES_MAX`], never inside a character. The answer
/// to a close without a code is `frame(Opcode::Close, b"")`.
pub fn close_frame(code: u16, reason: &str) -> Bytes {
    debug_assert!(is_close_code(code), "{code} may not stand on the wire");
    let reason = &reason[..reason.floor_char_boundary(REASON_BYTES_MAX)];
    frame(Opcode::Close, &[&code.to_be_bytes(), reason.as_bytes()].concat())
}

pub(crate) const fn header(opcode: Opcode, fin: bool, payload_bytes: u64) -> ([u8; HEADER_BYTES_MAX], usize) {
    let first = opcode as u8 | if fin { 0x80 } else { 0 };
    let [a, b, c, d, e, f, g, h] = payload_bytes.to_be_bytes();
    match payload_bytes {
        0..=125 => ([first, h, 0, 0, 0, 0, 0, 0, 0, 0], 2),
        126..=0xFFFF => ([first, 126, g, h, 0, 0, 0, 0, 0, 0], 4),
        _ => ([first, 127, a, b, c, d, e, f, g, h], 10),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_head_takes_the_shortest_form_of_its_length() {
        for (payload_bytes, expected) in [
            (0, &[0x81, 0][..]),
            (125, &[0x81, 125]),
            (126, &[0x81, 126, 0, 126]),
            (0xFFFF, &[0x81, 126, 0xFF, 0xFF]),
            (0x1_0000, &[0x81, 127, 0, 0, 0, 0, 0, 1, 0, 0]),
        ] {
            let (header, header_bytes) = frame_header(Opcode::Text, payload_bytes);
            assert_eq!(&header[..header_bytes], expected);
        }
    }

    #[test]
    fn a_long_reason_is_cut_before_the_character_that_does_not_fit() {
        let frame = close_frame(4000, &"\u{20ac}".repeat(60));
        assert_eq!(&frame[..4], &[0x88, 125, 0x0F, 0xA0]);
        assert_eq!(&frame[4..], "\u{20ac}".repeat(41).as_bytes());
        assert_eq!(&close_frame(4000, &format!("a{}", "\u{20ac}".repeat(60)))[..2], &[0x88, 2 + 121]);
    }
}
