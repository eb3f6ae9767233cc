//! What stands for a content in the history.

/// FNV-1a of 64 bits: any single altered byte changes it, since each step can be undone.
#[must_use]
pub fn fingerprint(content: &[u8]) -> u64 {
    content
        .iter()
        .fold(0xcbf2_9ce4_8422_2325, |hash, byte| (hash ^ u64::from(*byte)).wrapping_mul(0x0100_0000_01b3))
}
