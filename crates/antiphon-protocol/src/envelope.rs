//! The envelope in which nodes tell each other of entries, signals and control messages over the broker.
//!
//! Layout, all numbers big-endian: version (1 byte), MAC (16 bytes: HMAC-SHA256, cut), then what the MAC covers:
//! version again, kind (1), origin node (8), and the kind's fields. Texts have a 2-byte length, the client-facing JSON comes last and
//! has none: a receiving node forwards a slice of it. What does not prove itself is dropped unread.

use bytes::Bytes;
use hmac::Mac;
use uuid::Uuid;

use crate::{
    ClusterSecret, Control, Entry, Epoch, Key, Link, NodeId, Position, ProjectId, TenantId, Topic, TopicName,
    UserId, encode_message,
};

const VERSION: u8 = 1;
const MAC_BYTES: usize = 16;
/// Above this size an entry's envelope is only its head; receivers read the entry from the store.
const MAX_INLINE_BYTES: usize = 32 * 1024;

/// A message between nodes.
#[derive(Debug, Clone)]
pub struct Envelope {
    /// Who sent it.
    pub origin: NodeId,
    /// What is in it.
    pub parcel: Parcel,
}

/// What an envelope carries.
#[derive(Debug, Clone)]
pub enum Parcel {
    /// A committed entry.
    Entry {
        /// Its topic.
        topic: Topic,
        /// Its place.
        position: Position,
        /// The tenant revision that an audience must have reached.
        revision: u64,
        /// Its id.
        id: Uuid,
        /// Its author.
        author: Option<UserId>,
        /// Its project.
        project: Option<ProjectId>,
        /// Its key.
        key: Option<Key>,
        /// The MESSAGE frame's JSON, without the key.
        json: Bytes,
    },
    /// A topic's log has come this far; the entries themselves are in the store.
    Head {
        /// The topic.
        topic: Topic,
        /// Its last entry's place.
        position: Position,
    },
    /// A signal.
    Signal {
        /// Its topic.
        topic: Topic,
        /// The tenant revision that an audience must have reached.
        revision: u64,
        /// Which of its node's signals it is: nothing else tells a copy of it from another one.
        number: u64,
        /// When it was sent (ms).
        sent_at: i64,
        /// Its project.
        project: Option<ProjectId>,
        /// The SIGNAL frame's JSON.
        json: Bytes,
    },
    /// From node to node.
    Control(Control),
}

/// Why an envelope was dropped.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum EnvelopeError {
    /// Of a version that this node does not speak.
    #[error("an envelope of an unknown version")]
    Version,
    /// Not from a node of this cluster.
    #[error("an envelope that does not prove itself")]
    Forged,
    /// From a node of this cluster, and yet unreadable.
    #[error("an envelope that can't be read")]
    Malformed,
}

impl Parcel {
    /// An entry's parcel: whole, or only its head if it is large.
    pub fn entry(entry: &Entry) -> Self {
        Self::entry_with_json(entry, encode_message(entry).into())
    }

    /// The same where the JSON has been written already.
    pub fn entry_with_json(entry: &Entry, json: Bytes) -> Self {
        if json.len() > MAX_INLINE_BYTES {
            return Parcel::Head { topic: entry.topic.clone(), position: entry.position };
        }
        Parcel::Entry {
            topic: entry.topic.clone(),
            position: entry.position,
            revision: entry.revision,
            id: entry.id,
            author: entry.author.clone(),
            project: entry.project.clone(),
            key: entry.key.clone(),
            json,
        }
    }
}

impl Envelope {
    /// The bytes for the broker.
    pub fn seal(&self, secret: &ClusterSecret) -> Bytes {
        let mut out = Writer(Vec::with_capacity(512));
        out.0.push(VERSION);
        out.0.extend_from_slice(&[0; MAC_BYTES]);
        out.0.push(VERSION);
        out.parcel(self.origin, &self.parcel);
        let mut mac = secret.mac();
        mac.update(&out.0[1 + MAC_BYTES..]);
        let tag = mac.finalize().into_bytes();
        out.0[1..1 + MAC_BYTES].copy_from_slice(&tag[..MAC_BYTES]);
        out.0.into()
    }

    /// Proves and reads what came from the broker.
    pub fn open(bytes: &Bytes, secret: &ClusterSecret) -> Result<Self, EnvelopeError> {
        if bytes.first() != Some(&VERSION) {
            return Err(EnvelopeError::Version);
        }
        if bytes.len() < 2 + MAC_BYTES {
            return Err(EnvelopeError::Malformed);
        }
        let mut mac = secret.mac();
        mac.update(&bytes[1 + MAC_BYTES..]);
        mac.verify_truncated_left(&bytes[1..1 + MAC_BYTES]).map_err(|_| EnvelopeError::Forged)?;
        let mut from = Reader { bytes, at: 2 + MAC_BYTES };
        from.envelope().ok_or(EnvelopeError::Malformed)
    }
}

struct Writer(Vec<u8>);

impl Writer {
    fn parcel(&mut self, origin: NodeId, parcel: &Parcel) {
        let kind = match parcel {
            Parcel::Entry { .. } => 1,
            Parcel::Head { .. } => 2,
            Parcel::Signal { .. } => 3,
            Parcel::Control(_) => 4,
        };
        self.0.push(kind);
        self.number(origin.0);
        match parcel {
            Parcel::Entry { topic, position, revision, id, author, project, key, json } => {
                self.topic(topic);
                self.position(position);
                self.number(*revision);
                self.0.extend_from_slice(id.as_bytes());
                self.text(author.as_ref().map_or("", UserId::as_str));
                self.text(project.as_ref().map_or("", ProjectId::as_str));
                self.text(key.as_ref().map_or("", Key::as_str));
                self.0.extend_from_slice(json);
            }
            Parcel::Head { topic, position } => {
                self.topic(topic);
                self.position(position);
            }
            Parcel::Signal { topic, revision, number, sent_at, project, json } => {
                self.topic(topic);
                self.number(*revision);
                self.number(*number);
                self.number(sent_at.cast_unsigned());
                self.text(project.as_ref().map_or("", ProjectId::as_str));
                self.0.extend_from_slice(json);
            }
            Parcel::Control(control) => {
                serde_json::to_writer(&mut self.0, control).expect("control messages are plain data");
            }
        }
    }

    fn number(&mut self, number: u64) {
        self.0.extend_from_slice(&number.to_be_bytes());
    }

    fn text(&mut self, text: &str) {
        let len = u16::try_from(text.len()).expect("names are at most 255 bytes long");
        self.0.extend_from_slice(&len.to_be_bytes());
        self.0.extend_from_slice(text.as_bytes());
    }

    fn topic(&mut self, topic: &Topic) {
        self.text(topic.tenant().as_str());
        self.text(topic.name().as_str());
    }

    fn position(&mut self, position: &Position) {
        self.number(position.epoch.0);
        self.number(position.offset);
        self.number(position.link.0);
    }
}

struct Reader<'a> {
    bytes: &'a Bytes,
    at: usize,
}

impl Reader<'_> {
    fn take(&mut self, len: usize) -> Option<&[u8]> {
        let end = self.at.checked_add(len)?;
        let taken = self.bytes.get(self.at..end)?;
        self.at = end;
        Some(taken)
    }

    fn number(&mut self) -> Option<u64> {
        Some(u64::from_be_bytes(self.take(8)?.try_into().ok()?))
    }

    fn text(&mut self) -> Option<&str> {
        let len = u16::from_be_bytes(self.take(2)?.try_into().ok()?);
        std::str::from_utf8(self.take(len.into())?).ok()
    }

    fn optional<T, E>(&mut self, parse: impl Fn(&str) -> Result<T, E>) -> Option<Option<T>> {
        match self.text()? {
            "" => Some(None),
            text => parse(text).ok().map(Some),
        }
    }

    fn topic(&mut self) -> Option<Topic> {
        let tenant = TenantId::parse(self.text()?).ok()?;
        Some(Topic::new(tenant, TopicName::stored(self.text()?)))
    }

    fn position(&mut self) -> Option<Position> {
        Some(Position { epoch: Epoch(self.number()?), offset: self.number()?, link: Link(self.number()?) })
    }

    fn rest(&mut self) -> Bytes {
        self.bytes.slice(self.at..)
    }

    fn envelope(&mut self) -> Option<Envelope> {
        let kind = self.take(1)?[0];
        let origin = NodeId(self.number()?);
        let parcel = match kind {
            1 => Parcel::Entry {
                topic: self.topic()?,
                position: self.position()?,
                revision: self.number()?,
                id: Uuid::from_slice(self.take(16)?).ok()?,
                author: self.optional(UserId::parse)?,
                project: self.optional(ProjectId::parse)?,
                key: self.optional(Key::parse)?,
                json: self.rest(),
            },
            2 => Parcel::Head { topic: self.topic()?, position: self.position()? },
            3 => Parcel::Signal {
                topic: self.topic()?,
                revision: self.number()?,
                number: self.number()?,
                sent_at: self.number()?.cast_signed(),
                project: self.optional(ProjectId::parse)?,
                json: self.rest(),
            },
            4 => Parcel::Control(serde_json::from_slice(&self.rest()).ok()?),
            _ => return None,
        };
        Some(Envelope { origin, parcel })
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::{Content, ContentKind};

    fn secret() -> ClusterSecret {
        ClusterSecret::new([7; 32])
    }

    fn sealed() -> Bytes {
        let topic = Topic::of_tenant(&TenantId::parse("acme").unwrap());
        let content = Content::stored(ContentKind::Text, "\"hi\"");
        let id = Uuid::from_u128(5);
        let position = secret().next(secret().origin(&topic, secret().first_epoch(&topic)), &id, &content);
        let entry = Entry {
            id,
            topic,
            position,
            author: Some(UserId::parse("u").unwrap()),
            project: None,
            key: Some(Key::parse("k").unwrap()),
            content,
            created_at: 1,
            revision: 9,
        };
        Envelope { origin: NodeId(3), parcel: Parcel::entry(&entry) }.seal(&secret())
    }

    #[test]
    fn an_envelope_comes_back_as_it_went() {
        let Envelope { origin, parcel: Parcel::Entry { revision, key, json, position, .. } } =
            Envelope::open(&sealed(), &secret()).unwrap()
        else {
            panic!("not an entry")
        };
        assert_eq!((origin, revision, key.unwrap().as_str(), position.offset), (NodeId(3), 9, "k", 1));
        assert!(json.starts_with(b"{\"type\":\"MESSAGE\",\"text\":\"hi\""));
    }

    #[test]
    fn no_altered_byte_and_no_cut_gets_through() {
        let good = sealed();
        for at in 0..good.len() {
            let mut bad = good.to_vec();
            bad[at] ^= 1;
            assert!(Envelope::open(&bad.into(), &secret()).is_err(), "byte {at}");
            assert!(Envelope::open(&good.slice(..at), &secret()).is_err(), "cut at {at}");
        }
        assert_eq!(Envelope::open(&good, &ClusterSecret::new([8; 32])).err(), Some(EnvelopeError::Forged));
    }
}
