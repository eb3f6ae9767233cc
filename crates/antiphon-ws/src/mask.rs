//! The mask of client frames: taken off in place, eight bytes at a time, so that a whole frame is never copied.

/// Exclusive-ors `payload` with `mask`, repeated; the same call masks and unmasks.
pub(crate) fn apply(payload: &mut [u8], mask: [u8; 4]) {
    let [a, b, c, d] = mask;
    let wide = u64::from_ne_bytes([a, b, c, d, a, b, c, d]);
    let (words, tail) = payload.as_chunks_mut::<8>();
    for word in words {
        *word = (u64::from_ne_bytes(*word) ^ wide).to_ne_bytes();
    }
    for (byte, key) in tail.iter_mut().zip(mask.iter().cycle()) {
        *byte ^= key;
    }
}

/// The mask as it stands after `bytes` bytes of payload, for one that arrives in parts.
pub(crate) const fn advance(mask: [u8; 4], bytes: usize) -> [u8; 4] {
    let at = bytes % 4;
    [mask[at], mask[(at + 1) % 4], mask[(at + 2) % 4], mask[(at + 3) % 4]]
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn any_two_parts_are_masked_like_the_whole() {
        let mask = [0x37, 0xFA, 0x21, 0x3D];
        for length in 0..40usize {
            let plain: Vec<u8> = (0..length).map(|at| (at * 7) as u8).collect();
            let expected: Vec<u8> = plain.iter().enumerate().map(|(at, byte)| byte ^ mask[at % 4]).collect();
            for cut in 0..=length {
                let mut payload = plain.clone();
                let (head, tail) = payload.split_at_mut(cut);
                apply(head, mask);
                apply(tail, advance(mask, cut));
                assert_eq!(payload, expected, "{length} bytes cut at {cut}");
            }
        }
    }
}
