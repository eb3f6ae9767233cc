//! What every broker's engine keeps of its node's ear: where it is, and whether it was told that the broker is up.

use std::sync::{
    Arc, OnceLock, Weak,
    atomic::{AtomicBool, Ordering},
};

use parking_lot::Mutex;

use crate::{BrokerState, Inbox};

/// An inbox, which may come later than the broker's first connection, and is not kept alive by it.
#[derive(Default)]
pub struct Ear {
    inbox: OnceLock<Weak<dyn Inbox>>,
    is_up: AtomicBool,
    /// What the inbox was told last. The inbox is called under it.
    told_up: Mutex<bool>,
}

impl Ear {
    /// Gives the inbox, and tells it if the broker is up.
    pub fn attach(&self, inbox: &Arc<dyn Inbox>) {
        drop(self.inbox.set(Arc::downgrade(inbox)));
        self.tell();
    }

    /// The inbox, while its node lives.
    pub fn inbox(&self) -> Option<Arc<dyn Inbox>> {
        self.inbox.get().and_then(Weak::upgrade)
    }

    /// True while the broker can be used.
    pub fn is_up(&self) -> bool {
        self.is_up.load(Ordering::Acquire)
    }

    /// How the broker is.
    pub fn state(&self) -> BrokerState {
        if self.is_up() { BrokerState::Up } else { BrokerState::Down }
    }

    /// The broker came or went; true if that is a change.
    pub fn set_up(&self, is_up: bool) -> bool {
        let is_change = self.is_up.swap(is_up, Ordering::AcqRel) != is_up;
        self.tell();
        is_change
    }

    fn tell(&self) {
        let Some(inbox) = self.inbox() else { return };
        let mut told_up = self.told_up.lock();
        let is_up = self.is_up();
        if std::mem::replace(&mut *told_up, is_up) != is_up {
            inbox.state(self.state());
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::Channel;
    use bytes::Bytes;

    #[derive(Default)]
    struct Told(Mutex<Vec<BrokerState>>);

    impl Inbox for Told {
        fn received(&self, _: Bytes) {}
        fn confirmed(&self, _: &Channel) {}
        fn state(&self, state: BrokerState) {
            self.0.lock().push(state);
        }
    }

    #[test]
    fn each_change_is_told_once_and_the_first_also_to_an_ear_that_comes_late() {
        let (ear, told) = (Ear::default(), Arc::new(Told::default()));
        assert!(ear.set_up(true) && !ear.set_up(true));
        let inbox: Arc<dyn Inbox> = told.clone();
        ear.attach(&inbox);
        assert!(ear.set_up(false) && !ear.set_up(false));
        assert_eq!(*told.0.lock(), [BrokerState::Up, BrokerState::Down]);
    }

    #[test]
    fn a_node_that_is_gone_is_not_kept_alive() {
        let (ear, told) = (Ear::default(), Arc::new(Told::default()));
        let inbox: Arc<dyn Inbox> = told.clone();
        ear.attach(&inbox);
        drop((inbox, told));
        assert!(ear.inbox().is_none() && ear.set_up(true));
    }
}
