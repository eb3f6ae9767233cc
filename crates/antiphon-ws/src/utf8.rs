//! Text that arrives in parts, judged byte by byte: what can no longer become UTF-8 is refused with the part that made
//! it so, not at the end of its frame or message. A character may be cut in two anywhere.

use simdutf8::compat;

use crate::error::Error;

/// The text so far and the beginning of a character whose end has not arrived.
#[derive(Debug, Default)]
pub(crate) struct TextBuffer {
    whole: String,
    cut: [u8; 4],
    cut_bytes: u8,
}

impl TextBuffer {
    /// Takes the next part.
    pub(crate) fn push(&mut self, mut part: &[u8]) -> Result<(), Error> {
        while self.cut_bytes > 0 {
            let Some((&byte, rest)) = part.split_first() else { return Ok(()) };
            part = rest;
            self.push_to_cut(byte)?;
        }
        match compat::from_utf8(part) {
            Ok(text) => self.whole.push_str(text),
            Err(error) if error.error_len().is_some() => return Err(Error::Utf8),
            Err(error) => {
                let (text, cut) = part.split_at(error.valid_up_to());
                self.whole.push_str(compat::from_utf8(text).expect("the part was valid up to here"));
                self.cut[..cut.len()].copy_from_slice(cut);
                self.cut_bytes = cut.len() as u8;
            }
        }
        Ok(())
    }

    /// The text, if it does not end inside a character.
    pub(crate) fn finish(self) -> Result<String, Error> {
        if self.cut_bytes == 0 { Ok(self.whole) } else { Err(Error::Utf8) }
    }

    /// The bytes taken so far.
    pub(crate) fn len(&self) -> usize {
        self.whole.len() + usize::from(self.cut_bytes)
    }

    /// The bytes allocated.
    pub(crate) fn capacity(&self) -> usize {
        self.whole.capacity()
    }

    fn push_to_cut(&mut self, byte: u8) -> Result<(), Error> {
        let end = usize::from(self.cut_bytes) + 1;
        // No beginning of a character is longer than three bytes, so the fourth ends it or is refused.
        self.cut[end - 1] = byte;
        match compat::from_utf8(&self.cut[..end]) {
            Ok(character) => {
                self.whole.push_str(character);
                self.cut_bytes = 0;
            }
            Err(error) if error.error_len().is_some() => return Err(Error::Utf8),
            Err(_) => self.cut_bytes = end as u8,
        }
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Pushes one byte after the other; the count of bytes before the one that was refused, or the text.
    fn push_singly(bytes: &[u8]) -> Result<String, usize> {
        let mut buffer = TextBuffer::default();
        for (at, byte) in bytes.iter().enumerate() {
            buffer.push(&[*byte]).map_err(|_| at)?;
        }
        buffer.finish().map_err(|_| bytes.len())
    }

    #[test]
    fn characters_of_every_width_survive_being_cut_anywhere() {
        let text = "a\u{7f}\u{80}\u{7ff}\u{800}\u{d7ff}\u{e000}\u{ffff}\u{10000}\u{10ffff}z";
        assert_eq!(push_singly(text.as_bytes()).as_deref(), Ok(text));
        for cut in 0..=text.len() {
            let mut buffer = TextBuffer::default();
            buffer.push(&text.as_bytes()[..cut]).expect("valid so far");
            assert_eq!(buffer.len(), cut);
            buffer.push(&text.as_bytes()[cut..]).expect("valid");
            assert_eq!(buffer.finish().as_deref(), Ok(text));
        }
    }

    #[test]
    fn the_first_byte_that_cannot_belong_is_the_one_refused() {
        for (bytes, at) in [
            (&b"ab\xF4\x90\x80\x80"[..], 3),
            (b"\xCE\xBA\xED\xA0\x80", 3),
            (b"\xC0\xAF", 0),
            (b"\xE0\x9F\x80", 1),
            (b"\xF0\x8F\x80\x80", 1),
            (b"\xF5", 0),
            (b"\x80", 0),
            (b"\xE2\x82a", 2),
            (b"\xE2\x82", 2),
        ] {
            assert_eq!(push_singly(bytes), Err(at), "{bytes:02x?}");
        }
    }
}
