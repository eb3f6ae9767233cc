//! What the two bells bring: most of it is the node's, some is the bells' own.

use std::sync::Arc;

use antiphon_core::{BrokerState, Channel, Inbox};
use antiphon_protocol::{Control, Envelope, Parcel};
use bytes::Bytes;

use super::{probe, shared::Shared};

/// More than a note of a deaf node has; whatever is longer is not looked at.
const NOTE_BYTES_MAX: usize = 64;

/// Hears the first bell.
pub(super) struct FirstEar(pub Arc<Shared>);

impl Inbox for FirstEar {
    fn received(&self, bytes: Bytes) {
        if let Some(number) = probe::number(self.0.id, &bytes) {
            self.0.trust.lock().heard(number);
        } else if let Some(inbox) = self.0.inbox() {
            inbox.received(bytes);
        }
    }

    fn confirmed(&self, channel: &Channel) {
        if *channel != Channel::Node(self.0.id)
            && let Some(inbox) = self.0.inbox()
        {
            inbox.confirmed(channel);
        }
    }

    fn state(&self, _: BrokerState) {
        self.0.changed.notify_one();
        self.0.look();
    }
}

/// Hears the spare.
pub(super) struct SpareEar(pub Arc<Shared>);

impl SpareEar {
    fn is_note(&self, bytes: &Bytes) -> bool {
        if bytes.len() > NOTE_BYTES_MAX {
            return false;
        }
        let Ok(Envelope { origin, parcel: Parcel::Control(Control::Deaf) }) =
            Envelope::open(bytes, &self.0.secret)
        else {
            return false;
        };
        if origin != self.0.id {
            self.0.noted();
        }
        true
    }
}

impl Inbox for SpareEar {
    fn received(&self, bytes: Bytes) {
        if !self.is_note(&bytes)
            && let Some(inbox) = self.0.inbox()
        {
            inbox.received(bytes);
        }
    }

    fn confirmed(&self, channel: &Channel) {
        // While the first bell is trusted its own word counts, and one reading of the store is enough.
        if self.0.state() != BrokerState::Up
            && let Some(inbox) = self.0.inbox()
        {
            inbox.confirmed(channel);
        }
    }

    fn state(&self, _: BrokerState) {
        self.0.changed.notify_one();
        self.0.look();
    }
}
