//! An ear that remembers.

use std::{
    collections::HashSet,
    time::{Duration, Instant},
};

use antiphon_core::{BrokerState, Channel, Inbox};
use bytes::Bytes;
use parking_lot::Mutex;

pub(super) const PATIENCE: Duration = Duration::from_secs(20);

#[derive(Default)]
pub(super) struct Ear {
    pub heard: Mutex<Vec<Bytes>>,
    pub confirmed: Mutex<Vec<Channel>>,
    pub states: Mutex<Vec<BrokerState>>,
    /// Taken with each post: whoever rings under it must not wait for the ringing.
    pub lock: Mutex<()>,
}

impl Inbox for Ear {
    fn received(&self, bytes: Bytes) {
        drop(self.lock.lock());
        self.heard.lock().push(bytes);
    }

    fn confirmed(&self, channel: &Channel) {
        self.confirmed.lock().push(channel.clone());
    }

    fn state(&self, state: BrokerState) {
        self.states.lock().push(state);
    }
}

impl Ear {
    pub fn heard(&self, bytes: &[u8]) -> bool {
        self.heard.lock().iter().any(|heard| heard == bytes)
    }

    /// Of the given channels, all have been confirmed since this was last cleared.
    pub fn all_confirmed(&self, channels: &[Channel]) -> bool {
        let confirmed = self.confirmed.lock();
        let confirmed: HashSet<&Channel> = confirmed.iter().collect();
        channels.iter().all(|channel| confirmed.contains(channel))
    }
}

/// Looks again and again; false if it did not come in time.
pub(super) async fn until(mut holds: impl FnMut() -> bool) -> bool {
    let end = Instant::now() + PATIENCE;
    while !holds() {
        if Instant::now() > end {
            return false;
        }
        // poll: what others do has no event here.
        tokio::time::sleep(Duration::from_millis(5)).await;
    }
    true
}
