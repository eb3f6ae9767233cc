//! Random client streams: frames that are mostly lawful, with now and then a field that is not.

#![allow(dead_code, reason = "shared by several test files")]

use antiphon_ws::{Opcode, client};
use proptest::prelude::*;

/// A frame to be written, lawful or not.
#[derive(Debug, Clone)]
pub struct Draft {
    pub first: u8,
    pub masked: bool,
    pub mask: [u8; 4],
    pub payload: Vec<u8>,
}

impl Draft {
    /// The frame's bytes, its length in the shortest form.
    pub fn write(&self) -> Vec<u8> {
        let mut bytes = client::masked(Opcode::Text, true, self.mask, &self.payload);
        bytes[0] = self.first;
        if self.masked {
            return bytes;
        }
        bytes[1] &= 0x7F;
        let header_bytes = bytes.len() - self.payload.len() - 4;
        bytes.truncate(header_bytes);
        bytes.extend_from_slice(&self.payload);
        bytes
    }
}

/// Payloads of the lengths where the head changes, and of text cut anywhere.
fn payload() -> impl Strategy<Value = Vec<u8>> {
    prop_oneof![
        4 => "\\PC{0,12}".prop_map(String::into_bytes),
        2 => ("\\PC{1,12}", 0..8usize).prop_map(|(text, cut)| {
            let mut bytes = text.into_bytes();
            bytes.truncate(bytes.len().saturating_sub(cut));
            bytes
        }),
        2 => prop::collection::vec(any::<u8>(), 0..20),
        1 => (prop::sample::select(vec![0, 1, 124, 125, 126, 127, 300, 0xFFFF, 0x1_0000]), 0x20..0x7Fu8)
            .prop_map(|(bytes, letter)| vec![letter; bytes]),
    ]
}

fn close_payload() -> impl Strategy<Value = Vec<u8>> {
    let code = prop_oneof![3 => 999..1017u16, 2 => prop::sample::select(vec![2999, 3000, 4999, 5000]), 1 => any::<u16>()];
    prop_oneof![
        1 => payload(),
        4 => (code, "\\PC{0,8}").prop_map(|(code, reason)| [&code.to_be_bytes(), reason.as_bytes()].concat()),
    ]
}

fn draft() -> impl Strategy<Value = Draft> {
    let lawful = prop_oneof![
        6 => Just(0x81u8), 3 => Just(0x82), 4 => Just(0x01), 2 => Just(0x02), 6 => Just(0x00), 6 => Just(0x80),
        3 => Just(0x89), 3 => Just(0x8A), 1 => Just(0x88),
    ];
    let first = prop_oneof![40 => lawful, 1 => any::<u8>()];
    let masked = prop::bool::weighted(0.99);
    (first, masked, any::<[u8; 4]>(), payload(), close_payload()).prop_map(
        |(first, masked, mask, payload, close)| Draft {
            first,
            masked,
            mask,
            payload: if first & 0x0F == 8 { close } else { payload },
        },
    )
}

/// A lawful message in one to five fragments, with a control frame between two of them.
fn message() -> impl Strategy<Value = Vec<Draft>> {
    let parts = prop::collection::vec(0..40usize, 0..4);
    (any::<bool>(), "\\PC{0,40}", parts, any::<[u8; 4]>(), any::<bool>()).prop_map(
        |(text, body, mut cuts, mask, ping)| {
            let body = body.into_bytes();
            cuts.iter_mut().for_each(|cut| *cut = (*cut).min(body.len()));
            cuts.sort_unstable();
            cuts.push(body.len());
            let mut from = 0;
            let mut drafts = Vec::new();
            for (at, to) in cuts.iter().enumerate() {
                let opcode = if at > 0 {
                    0
                } else if text {
                    1
                } else {
                    2
                };
                let fin = if at + 1 == cuts.len() { 0x80 } else { 0 };
                drafts.push(Draft {
                    first: fin | opcode,
                    masked: true,
                    mask,
                    payload: body[from..*to].to_vec(),
                });
                from = *to;
            }
            if ping {
                drafts.insert(1, Draft { first: 0x89, masked: true, mask, payload: b"between".to_vec() });
            }
            drafts
        },
    )
}

/// Frames in a row, the most of them in lawful messages.
pub fn drafts() -> impl Strategy<Value = Vec<Draft>> {
    let some = prop_oneof![3 => message(), 1 => draft().prop_map(|draft| vec![draft])];
    prop::collection::vec(some, 0..8).prop_map(|drafts| drafts.concat())
}

/// The bytes of frames in a row.
pub fn stream() -> impl Strategy<Value = Vec<u8>> {
    drafts().prop_map(|drafts| drafts.iter().flat_map(Draft::write).collect())
}

/// A stream some of whose bytes were changed afterwards, or that is noise altogether.
pub fn broken_stream() -> impl Strategy<Value = Vec<u8>> {
    let changed = (stream(), prop::collection::vec((any::<prop::sample::Index>(), any::<u8>()), 1..4))
        .prop_map(|(mut bytes, changes)| {
            for (at, byte) in changes {
                if !bytes.is_empty() {
                    let at = at.index(bytes.len());
                    bytes[at] = byte;
                }
            }
            bytes
        });
    prop_oneof![3 => changed, 1 => prop::collection::vec(any::<u8>(), 0..64)]
}
