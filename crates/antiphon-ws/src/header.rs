//! The head of a client's frame: what each bit must be, checked as soon as the byte that holds it is there. It knows
//! one frame alone; whether that frame may follow the ones before it is for the decoder to say.

use crate::error::Error;

/// The longest head: two bytes, a length of eight, a mask of four.
pub(crate) const HEADER_BYTES_MAX: usize = 14;

/// The longest payload of a control frame.
pub(crate) const CONTROL_BYTES_MAX: usize = 125;

/// What a frame is.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
#[repr(u8)]
pub enum Opcode {
    /// A further fragment of the message under way.
    Continuation = 0x0,
    /// A text message, or its first fragment.
    Text = 0x1,
    /// A binary message, or its first fragment.
    Binary = 0x2,
    /// The peer's last frame.
    Close = 0x8,
    /// Asks for a pong with the same payload.
    Ping = 0x9,
    /// Answers a ping, or says "still here" unasked.
    Pong = 0xA,
}

impl Opcode {
    /// Whether frames of this kind stand between fragments, are short and are never fragmented themselves.
    pub const fn is_control(self) -> bool {
        matches!(self, Self::Close | Self::Ping | Self::Pong)
    }

    const fn from_nibble(nibble: u8) -> Option<Self> {
        Some(match nibble {
            0x0 => Self::Continuation,
            0x1 => Self::Text,
            0x2 => Self::Binary,
            0x8 => Self::Close,
            0x9 => Self::Ping,
            0xA => Self::Pong,
            _ => return None,
        })
    }
}

/// A client's frame head, whole and lawful by itself.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Header {
    pub(crate) opcode: Opcode,
    pub(crate) fin: bool,
    pub(crate) mask: [u8; 4],
    /// The payload's declared length: a claim, never a reason to allocate.
    pub(crate) payload_bytes: u64,
    /// The length of the head itself.
    pub(crate) header_bytes: usize,
}

impl Header {
    /// Reads a head from the start of `bytes`; `None` if it goes on beyond them and all is lawful so far. The verdict
    /// doesn't depend on how much lies behind the byte that decides it, so no splitting of a stream changes it.
    pub(crate) fn parse(bytes: &[u8]) -> Result<Option<Self>, Error> {
        let Some(&first) = bytes.first() else { return Ok(None) };
        if first & 0x70 != 0 {
            return Err(Error::Protocol("reserved bits are set"));
        }
        let opcode = Opcode::from_nibble(first & 0x0F).ok_or(Error::Protocol("unknown opcode"))?;
        let fin = first & 0x80 != 0;
        if opcode.is_control() && !fin {
            return Err(Error::Protocol("control frame is fragmented"));
        }
        let Some(&second) = bytes.get(1) else { return Ok(None) };
        if second & 0x80 == 0 {
            return Err(Error::Protocol("client frame is not masked"));
        }
        let short = second & 0x7F;
        if opcode.is_control() && usize::from(short) > CONTROL_BYTES_MAX {
            return Err(Error::Protocol("control frame is too long"));
        }
        if opcode == Opcode::Close && short == 1 {
            return Err(Error::Protocol("close code is cut short"));
        }
        let rest = &bytes[2..];
        let (payload_bytes, rest) = match short {
            126 => match rest.split_first_chunk::<2>() {
                Some((length, rest)) => (u64::from(u16::from_be_bytes(*length)), rest),
                None => return Ok(None),
            },
            127 => match rest.split_first_chunk::<8>() {
                Some((length, rest)) => (u64::from_be_bytes(*length), rest),
                None => return Ok(None),
            },
            short => (u64::from(short), rest),
        };
        if payload_bytes >> 63 != 0 {
            return Err(Error::Protocol("length has its top bit set"));
        }
        if (short == 126 && payload_bytes < 126) || (short == 127 && payload_bytes <= 0xFFFF) {
            return Err(Error::Protocol("length is not in its shortest form"));
        }
        let Some((&mask, rest)) = rest.split_first_chunk::<4>() else { return Ok(None) };
        Ok(Some(Self { opcode, fin, mask, payload_bytes, header_bytes: bytes.len() - rest.len() }))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_head_is_judged_by_its_first_unlawful_byte_alone() {
        for (bytes, why) in [
            (&[0xC1][..], "reserved bits are set"),
            (&[0x83], "unknown opcode"),
            (&[0x8B], "unknown opcode"),
            (&[0x09], "control frame is fragmented"),
            (&[0x81, 0x05], "client frame is not masked"),
            (&[0x89, 0xFE], "control frame is too long"),
            (&[0x88, 0x81], "close code is cut short"),
            (&[0x82, 0xFE, 0, 125], "length is not in its shortest form"),
            (&[0x82, 0xFF, 0, 0, 0, 0, 0, 0, 0xFF, 0xFF], "length is not in its shortest form"),
            (&[0x82, 0xFF, 0x80, 0, 0, 0, 0, 0, 0, 0], "length has its top bit set"),
        ] {
            assert_eq!(Header::parse(bytes), Err(Error::Protocol(why)), "{bytes:02x?}");
            assert_eq!(
                Header::parse(&bytes[..bytes.len() - 1]),
                Ok(None),
                "{bytes:02x?} without its last byte"
            );
            let longer = [bytes, &[0xFF; 14]].concat();
            assert_eq!(Header::parse(&longer), Err(Error::Protocol(why)), "{bytes:02x?} with more behind it");
        }
    }

    #[test]
    fn no_first_byte_is_taken_but_the_nine_lawful_ones() {
        let taken: Vec<u8> = (0..=u8::MAX).filter(|first| Header::parse(&[*first]).is_ok()).collect();
        assert_eq!(taken, [0x00, 0x01, 0x02, 0x80, 0x81, 0x82, 0x88, 0x89, 0x8A]);
    }

    #[test]
    fn the_shortest_form_of_every_length_is_taken() {
        for length in [0, 1, 125, 126, 0xFFFF, 0x1_0000, (1 << 63) - 1] {
            let head = crate::client::header(Opcode::Binary, false, [1, 2, 3, 4], length);
            let header = Header::parse(&head).expect("lawful").expect("whole");
            assert_eq!(
                header,
                Header {
                    opcode: Opcode::Binary,
                    fin: false,
                    mask: [1, 2, 3, 4],
                    payload_bytes: length,
                    header_bytes: head.len()
                }
            );
            for end in 0..head.len() {
                assert_eq!(Header::parse(&head[..end]), Ok(None));
            }
        }
    }
}
