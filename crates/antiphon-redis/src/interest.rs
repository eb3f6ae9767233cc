//! What the node wants to hear, and what of that has changed since the listening connection was last told.
//!
//! The node's calls only write down a wish; the listener takes the changes and says them to Redis. Nothing is kept of a
//! channel that nobody wants.

use std::collections::{HashMap, HashSet};

use parking_lot::Mutex;

use crate::channel::Listened;

#[derive(Default)]
pub(crate) struct Interest {
    // No other lock is taken under it.
    state: Mutex<State>,
}

#[derive(Default)]
struct State {
    wanted: HashMap<String, Listened>,
    /// None while there is no connection to be told.
    changed: Option<HashSet<String>>,
}

/// What to say to Redis.
#[derive(Debug, Default)]
pub(crate) struct Changes {
    pub subscribe: Vec<String>,
    pub unsubscribe: Vec<String>,
}

impl Interest {
    /// Wants a channel. One that was wanted all along is told again too: its hearing is confirmed anew.
    pub fn want(&self, name: String, listened: Listened) {
        let mut state = self.state.lock();
        if let Some(changed) = &mut state.changed {
            changed.insert(name.clone());
        }
        state.wanted.insert(name, listened);
    }

    pub fn ignore(&self, name: &str) {
        let mut state = self.state.lock();
        if state.wanted.remove(name).is_some()
            && let Some(changed) = &mut state.changed
        {
            changed.insert(name.to_owned());
        }
    }

    /// What a channel is to the node, if it wants it.
    pub fn of(&self, name: &str) -> Option<Listened> {
        self.state.lock().wanted.get(name).cloned()
    }

    /// For a new connection: all that is wanted. From now on changes are noted for it.
    pub fn begin(&self) -> Changes {
        let mut state = self.state.lock();
        state.changed = Some(HashSet::new());
        Changes { subscribe: state.wanted.keys().cloned().collect(), unsubscribe: Vec::new() }
    }

    /// The changes since the last look.
    pub fn take(&self) -> Changes {
        let mut state = self.state.lock();
        let changed = state.changed.as_mut().map(std::mem::take).unwrap_or_default();
        let (subscribe, unsubscribe) =
            changed.into_iter().partition(|name| state.wanted.contains_key(name.as_str()));
        Changes { subscribe, unsubscribe }
    }

    /// Says once more what Redis refused, where it is still wanted.
    pub fn again(&self, names: impl IntoIterator<Item = String>) {
        let mut state = self.state.lock();
        let State { wanted, changed: Some(changed) } = &mut *state else { return };
        changed.extend(names.into_iter().filter(|name| wanted.contains_key(name.as_str())));
    }

    /// There is no connection to be told any more.
    pub fn end(&self) {
        self.state.lock().changed = None;
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use antiphon_core::Channel;

    fn wanted(names: &[&str]) -> Interest {
        let interest = Interest::default();
        names.iter().for_each(|name| interest.want((*name).to_owned(), Listened::Ours(Channel::Nodes)));
        interest
    }

    #[test]
    fn a_new_connection_is_told_all_and_then_only_what_changes() {
        let interest = wanted(&["a", "b"]);
        assert_eq!(interest.begin().subscribe.len(), 2);
        assert!(interest.take().subscribe.is_empty());
        interest.ignore("a");
        interest.want("c".into(), Listened::Ours(Channel::Nodes));
        let changes = interest.take();
        assert_eq!((changes.subscribe, changes.unsubscribe), (vec!["c".to_owned()], vec!["a".to_owned()]));
    }

    #[test]
    fn what_is_ignored_and_wanted_again_between_two_looks_is_subscribed_again() {
        let interest = wanted(&["a"]);
        interest.begin();
        interest.ignore("a");
        interest.want("a".into(), Listened::Ours(Channel::Nodes));
        assert_eq!(interest.take().subscribe, ["a"]);
    }

    #[test]
    fn what_came_and_went_leaves_nothing_also_without_a_connection() {
        let interest = Interest::default();
        for connected in [false, true, false] {
            if connected {
                interest.begin();
            } else {
                interest.end();
            }
            for number in 0..1000 {
                interest.want(number.to_string(), Listened::Ours(Channel::Nodes));
                interest.ignore(&number.to_string());
            }
            drop(interest.take());
        }
        let state = interest.state.lock();
        assert!(state.wanted.is_empty() && state.changed.is_none());
    }
}
