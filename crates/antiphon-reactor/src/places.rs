//! What a session may ask about its places in the hub.

use antiphon_hub::SubscriberKey;
use antiphon_protocol::Position;
use antiphon_session::Place;

/// What a session may ask about its places.
pub(crate) struct Places<'a>(pub &'a antiphon_hub::Shard);

impl Place for Places<'_> {
    fn position(&self, key: SubscriberKey) -> Option<Position> {
        self.0.position(key)
    }
}
