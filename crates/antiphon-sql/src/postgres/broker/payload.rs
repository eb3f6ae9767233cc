//! A post as text: PostgreSQL takes payloads of less than 8,000 bytes, without a NUL. A larger post is cut into pieces,
//! which arrive one behind the other, since they leave in one transaction.

use base64::{Engine, prelude::BASE64_STANDARD};

/// Bytes of a piece: as text, with its head and the longest name, it stays below what PostgreSQL takes.
const PIECE_BYTES: usize = 5_400;
/// More pieces than the largest envelope has.
const PIECES_MAX: usize = 32;

/// The payloads of a post. The number tells it from all others: PostgreSQL swallows a payload that was there before in the
/// same transaction. None: it is larger than anything of ours.
pub(super) fn of(number: u64, name: &str, bytes: &[u8]) -> Option<Vec<String>> {
    let count = bytes.len().div_ceil(PIECE_BYTES).max(1);
    let piece = |(index, piece): (usize, &[u8])| {
        format!("{number:x} {index} {count} {} {name}", BASE64_STANDARD.encode(piece))
    };
    let empty: &[u8] = &[];
    let pieces = bytes.chunks(PIECE_BYTES).chain(bytes.is_empty().then_some(empty));
    (count <= PIECES_MAX).then(|| pieces.enumerate().map(piece).collect())
}

/// Puts pieces together again.
#[derive(Debug, Default)]
pub(super) struct Pieces {
    number: String,
    next: usize,
    bytes: Vec<u8>,
}

impl Pieces {
    /// Takes one payload; the post that it completes, with its channel's name. `wants` says by its name whether a post is worth its decoding.
    pub fn take<'a>(
        &mut self,
        payload: &'a str,
        wants: impl FnOnce(&str) -> bool,
    ) -> Option<(&'a str, Vec<u8>)> {
        let mut parts = payload.splitn(5, ' ');
        let (number, index, count) = (parts.next()?, parts.next()?, parts.next()?);
        let (text, name) = (parts.next()?, parts.next()?);
        let (index, count): (usize, usize) = (index.parse().ok()?, count.parse().ok()?);
        if count > PIECES_MAX || index >= count || !wants(name) {
            return None;
        }
        if index == 0 {
            *self = Self { number: number.to_owned(), ..Self::default() };
        } else if self.number != number || self.next != index {
            // Its beginning was sent before we listened, or somebody else writes on our channel.
            return None;
        }
        BASE64_STANDARD.decode_vec(text, &mut self.bytes).ok()?;
        self.next = index + 1;
        (self.next == count).then(|| (name, std::mem::take(self).bytes))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const LONGEST: usize = "topic ".len() + 128 + 1 + 255;

    #[test]
    fn posts_of_every_size_come_as_they_went_in_payloads_that_postgres_takes() {
        for size in [0, 1, PIECE_BYTES - 1, PIECE_BYTES, PIECE_BYTES + 1, 128 * 1024] {
            let bytes: Vec<u8> = (0..=255u8).cycle().take(size).collect();
            let name = "n".repeat(LONGEST);
            let payloads = of(u64::MAX, &name, &bytes).unwrap();
            assert!(payloads.iter().all(|payload| payload.len() < 8_000), "{size}");
            let mut pieces = Pieces::default();
            let mut whole = payloads.iter().filter_map(|payload| pieces.take(payload, |said| said == name));
            assert_eq!((whole.next(), whole.next()), (Some((name.as_str(), bytes)), None), "{size}");
        }
        assert_eq!(of(1, "n", &vec![0; PIECE_BYTES * PIECES_MAX + 1]), None);
    }

    #[test]
    fn a_post_whose_beginning_was_missed_is_none_and_the_next_one_is_whole() {
        let (first, second) = (of(1, "n", &[1; 12_000]).unwrap(), of(2, "n", &[2; 12_000]).unwrap());
        let mut pieces = Pieces::default();
        let missed = first[1..]
            .iter()
            .chain(&second[..2])
            .chain(&first[2..])
            .all(|payload| pieces.take(payload, |_| true).is_none());
        assert!(missed);
        let whole: Vec<_> = second.iter().filter_map(|payload| pieces.take(payload, |_| true)).collect();
        assert_eq!(whole, [("n", vec![2; 12_000])]);
    }

    #[test]
    fn what_is_not_wanted_is_not_decoded_and_garbage_is_nothing() {
        let mut pieces = Pieces::default();
        for payload in
            ["", "x", "1 0 1", "1 0 1 !!! n", "1 1 1 AA== n", "1 0 99 AA== n", "1 -1 1 AA== n", "1 0 0  n"]
        {
            assert_eq!(pieces.take(payload, |_| true), None, "{payload}");
        }
        assert_eq!(pieces.take("1 0 1 AA== n", |_| false), None);
        assert_eq!(pieces.take("1 0 1 AA== n", |_| true), Some(("n", vec![0])));
    }
}
