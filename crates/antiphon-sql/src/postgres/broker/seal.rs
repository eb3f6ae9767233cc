//! What a post says is nobody's who listens beside us: PostgreSQL lets every role hear every channel. Posts are encrypted with
//! a key of their sender's own, and channels are named by a keyed hash.

use std::fmt::Write;

use antiphon_core::Channel;
use antiphon_protocol::ClusterSecret;
use aws_lc_rs::aead::{AES_256_GCM, Aad, LessSafeKey, NONCE_LEN, Nonce, UnboundKey};

const SALT_BYTES: usize = 16;

/// What a channel is called in a payload.
pub(super) fn name(secret: &ClusterSecret, channel: &Channel) -> String {
    let text = match channel {
        Channel::Topic(topic) => format!("topic {} {}", topic.tenant(), topic.name()),
        Channel::Nodes => "nodes".to_owned(),
        Channel::Node(node) => format!("node {node}"),
    };
    let mut name = String::with_capacity(32);
    for byte in &secret.key(b"bell channel", text.as_bytes())[..16] {
        let _ = write!(name, "{byte:02x}");
    }
    name
}

fn key(secret: &ClusterSecret, salt: &[u8]) -> LessSafeKey {
    let key = UnboundKey::new(&AES_256_GCM, &secret.key(b"bell post", salt));
    LessSafeKey::new(key.expect("the key has the length that AES-256 wants"))
}

/// Seals the posts of one connection: each with a nonce of its own, under a key that nobody else has.
pub(super) struct Sealer {
    salt: [u8; SALT_BYTES],
    key: LessSafeKey,
    used: u64,
}

impl Sealer {
    pub fn new(secret: &ClusterSecret) -> Self {
        let salt = rand::random();
        Self { salt, key: key(secret, &salt), used: 0 }
    }

    pub fn seal(&mut self, name: &str, bytes: &[u8]) -> Vec<u8> {
        self.used += 1;
        let mut nonce = [0; NONCE_LEN];
        nonce[NONCE_LEN - 8..].copy_from_slice(&self.used.to_be_bytes());
        let mut sealed = [&self.salt[..], &nonce].concat();
        let mut text = bytes.to_vec();
        let nonce = Nonce::assume_unique_for_key(nonce);
        self.key.seal_in_place_append_tag(nonce, Aad::from(name), &mut text).expect("it is small");
        sealed.append(&mut text);
        sealed
    }
}

/// What was sealed; none: by nobody of this cluster, or for another channel.
pub(super) fn open(secret: &ClusterSecret, name: &str, mut sealed: Vec<u8>) -> Option<Vec<u8>> {
    if sealed.len() < SALT_BYTES + NONCE_LEN {
        return None;
    }
    let mut text = sealed.split_off(SALT_BYTES + NONCE_LEN);
    let (salt, nonce) = sealed.split_at(SALT_BYTES);
    let nonce = Nonce::try_assume_unique_for_key(nonce).ok()?;
    let len = key(secret, salt).open_in_place(nonce, Aad::from(name), &mut text).ok()?.len();
    text.truncate(len);
    Some(text)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_the_cluster_reads_a_post_and_no_copy_of_it_fits_another_channel() {
        let (ours, others) = (ClusterSecret::new([1; 32]), ClusterSecret::new([2; 32]));
        let (mut one, mut two) = (Sealer::new(&ours), Sealer::new(&ours));
        for bytes in [&b""[..], b"canary", &[7; 100_000]] {
            let sealed = [one.seal("a", bytes), one.seal("a", bytes), two.seal("a", bytes)];
            assert!(sealed[0] != sealed[1] && sealed[0] != sealed[2]);
            for sealed in sealed {
                assert!(
                    bytes.is_empty()
                        || !sealed.windows(bytes.len().min(16)).any(|part| bytes.starts_with(part))
                );
                assert_eq!(open(&ours, "a", sealed.clone()).as_deref(), Some(bytes));
                assert_eq!(open(&others, "a", sealed.clone()), None);
                assert_eq!(open(&ours, "b", sealed.clone()), None);
                let mut bad = sealed.clone();
                *bad.last_mut().unwrap() ^= 1;
                assert_eq!(open(&ours, "a", bad), None);
                assert_eq!(open(&ours, "a", sealed[..20].to_vec()), None);
            }
        }
    }
}
