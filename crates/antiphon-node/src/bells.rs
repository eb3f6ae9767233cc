//! Two bells as one: the first rings while it is trusted, and a spare one where it is not. Each node always hears both, so
//! that one whose first bell is away is heard by all, and it tells them over the spare that it is deaf, so that it hears them.

mod ears;
mod probe;
mod shared;
mod trust;

use std::sync::Arc;

use antiphon_core::{Broker, BrokerState, Channel, Inbox, Tasks};
use antiphon_protocol::ClusterSecret;
use bytes::Bytes;

use ears::{FirstEar, SpareEar};
use shared::Shared;

/// The Broker on two others.
pub struct Bells {
    shared: Arc<Shared>,
    /// The bells do not keep their ears.
    _ears: (Arc<FirstEar>, Arc<SpareEar>),
}

impl Bells {
    /// Hangs them up; their task ends with `tasks`.
    pub fn start(
        first: Arc<dyn Broker>,
        spare: Arc<dyn Broker>,
        secret: &ClusterSecret,
        tasks: &Tasks,
    ) -> Arc<Self> {
        let shared = Shared::new(first, spare, secret);
        let ears = (Arc::new(FirstEar(shared.clone())), Arc::new(SpareEar(shared.clone())));
        shared.first.attach(ears.0.clone());
        shared.spare.attach(ears.1.clone());
        shared.first.listen(&Channel::Node(shared.id));
        tasks.spawn_until_end(shared.clone().run());
        Arc::new(Self { shared, _ears: ears })
    }
}

impl Broker for Bells {
    fn attach(&self, inbox: Arc<dyn Inbox>) {
        self.shared.attach(&inbox);
    }

    fn listen(&self, channel: &Channel) {
        self.shared.first.listen(channel);
        self.shared.spare.listen(channel);
    }

    fn ignore(&self, channel: &Channel) {
        self.shared.first.ignore(channel);
        self.shared.spare.ignore(channel);
    }

    fn post(&self, channel: &Channel, bytes: Bytes) {
        self.shared.post(channel, bytes);
    }

    fn current_state(&self) -> BrokerState {
        self.shared.state()
    }

    fn dropped(&self) -> u64 {
        self.shared.first.dropped() + self.shared.spare.dropped()
    }
}
