//! The close frame's payload: a code that may stand on the wire and a reason that is text.

use std::borrow::Cow;

use crate::{error::Error, event::Event};

/// Whether a close frame may carry `code`: those of the RFC and the registry that are not reserved for use inside a
/// process (1004 to 1006, 1015), and the ranges of libraries (3xxx) and applications (4xxx).
pub const fn is_close_code(code: u16) -> bool {
    matches!(code, 1000..=1003 | 1007..=1014 | 3000..=4999)
}

/// Reads the payload of a close frame.
pub(crate) fn parse(payload: Cow<'_, [u8]>) -> Result<Event<'_>, Error> {
    if payload.is_empty() {
        return Ok(Event::Close(None, Cow::Borrowed("")));
    }
    let (&code, _) = payload.split_first_chunk::<2>().ok_or(Error::Protocol("close code is cut short"))?;
    let code = u16::from_be_bytes(code);
    if !is_close_code(code) {
        return Err(Error::Protocol("close code is not allowed"));
    }
    let reason = match payload {
        Cow::Borrowed(payload) => Cow::Borrowed(read_reason(&payload[2..])?),
        Cow::Owned(payload) => Cow::Owned(read_reason(&payload[2..])?.to_owned()),
    };
    Ok(Event::Close(Some(code), reason))
}

fn read_reason(bytes: &[u8]) -> Result<&str, Error> {
    simdutf8::basic::from_utf8(bytes).map_err(|_| Error::Utf8)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_codes_that_may_stand_on_the_wire_are_taken() {
        let taken: Vec<u16> = (0..=u16::MAX).filter(|code| is_close_code(*code)).collect();
        let expected: Vec<u16> = (1000..=1003).chain(1007..=1014).chain(3000..=4999).collect();
        assert_eq!(taken, expected);
        for code in [0, 999, 1004, 1005, 1006, 1015, 1016, 2999, 5000, u16::MAX] {
            assert_eq!(
                parse(Cow::Owned(code.to_be_bytes().to_vec())),
                Err(Error::Protocol("close code is not allowed"))
            );
        }
    }

    #[test]
    fn a_reason_that_is_not_text_is_refused() {
        assert_eq!(parse(Cow::Borrowed(b"\x03\xE8bye")), Ok(Event::Close(Some(1000), "bye".into())));
        assert_eq!(parse(Cow::Borrowed(b"\x03\xE8\xCE")), Err(Error::Utf8));
        assert_eq!(parse(Cow::Borrowed(b"")), Ok(Event::Close(None, "".into())));
    }
}
