//! The topics that are being read, so that each has one reader.

use std::collections::HashMap;

use antiphon_protocol::Topic;
use parking_lot::Mutex;

/// The topics that are being read; true: once more after that.
#[derive(Default)]
pub(crate) struct Repairs(Mutex<HashMap<Topic, bool>>);

impl Repairs {
    /// True if the caller has to read; else whoever reads will read once more.
    pub fn begin(&self, topic: &Topic) -> bool {
        let mut running = self.0.lock();
        match running.get_mut(topic) {
            Some(again) => {
                *again = true;
                false
            }
            None => {
                running.insert(topic.clone(), false);
                true
            }
        }
    }

    /// True if it has to be read once more.
    pub fn end(&self, topic: &Topic) -> bool {
        let mut running = self.0.lock();
        match running.get_mut(topic) {
            Some(again) if *again => {
                *again = false;
                true
            }
            _ => {
                running.remove(topic);
                false
            }
        }
    }
}
