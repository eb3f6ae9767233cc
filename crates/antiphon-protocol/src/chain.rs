//! The chain behind positions, and the secret that keys it.
//!
//! `link_n = H(secret, link_{n-1}, epoch, offset, id, content)`: where two links agree, the histories behind
//! them are the same. A restored backup or a lost commit shows as a link that differs. Without the secret a
//! reader of links could test guesses of contents that are hidden from it.

use hmac::{Hmac, KeyInit, Mac};
use sha2::{Digest, Sha256};

use crate::{
    content::Content,
    id::Topic,
    position::{Epoch, Link, Position},
};

/// The cluster's secret: made by `migrate`, kept in the database, shared by all nodes.
#[derive(Clone)]
pub struct ClusterSecret([u8; 32]);

impl std::fmt::Debug for ClusterSecret {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("ClusterSecret(..)")
    }
}

impl ClusterSecret {
    /// The secret of these bytes.
    pub fn new(bytes: [u8; 32]) -> Self {
        Self(bytes)
    }

    /// The epoch of a topic's log that was never cut: derived, so that an unused topic has a position too.
    pub fn first_epoch(&self, topic: &Topic) -> Epoch {
        Epoch(self.hash(b"epoch", &[topic.tenant().as_str().as_bytes(), topic.name().as_str().as_bytes()]))
    }

    /// The position before a log's first entry.
    pub fn origin(&self, topic: &Topic, epoch: Epoch) -> Position {
        let names =
            [topic.tenant().as_str().as_bytes(), topic.name().as_str().as_bytes(), &epoch.0.to_be_bytes()];
        Position { epoch, offset: 0, link: Link(self.hash(b"origin", &names)) }
    }

    /// The position of the entry that follows `last`.
    pub fn next(&self, last: Position, id: &uuid::Uuid, content: &Content) -> Position {
        self.next_of(last, id, content.json().as_bytes())
    }

    /// The same from a content's JSON as it stands in a frame.
    pub fn next_of(&self, last: Position, id: &uuid::Uuid, content: &[u8]) -> Position {
        let offset = last.offset + 1;
        let link = self.hash(
            b"link",
            &[
                &last.link.0.to_be_bytes(),
                &last.epoch.0.to_be_bytes(),
                &offset.to_be_bytes(),
                id.as_bytes(),
                content,
            ],
        );
        Position { epoch: last.epoch, offset, link: Link(link) }
    }

    /// A key for one purpose alone, and with this salt for one use of it.
    pub fn key(&self, purpose: &[u8], salt: &[u8]) -> [u8; 32] {
        let mut mac = self.mac();
        mac.update(&(purpose.len() as u64).to_be_bytes());
        mac.update(purpose);
        mac.update(salt);
        mac.finalize().into_bytes().into()
    }

    /// The keyed hash that proves an envelope to come from a node of this cluster.
    pub(crate) fn mac(&self) -> Hmac<Sha256> {
        Hmac::new_from_slice(&self.0).expect("HMAC takes a key of any length")
    }

    // Truncation to 64 bits makes SHA-256's length extension useless, and every part has its length in front.
    fn hash(&self, domain: &[u8], parts: &[&[u8]]) -> u64 {
        let mut hash = Sha256::new();
        hash.update(self.0);
        hash.update(domain);
        for part in parts {
            hash.update((part.len() as u64).to_be_bytes());
            hash.update(part);
        }
        let digest = hash.finalize();
        let mut first = [0; 8];
        first.copy_from_slice(&digest[..8]);
        u64::from_be_bytes(first)
    }
}
