//! The HTTP connections that nobody uses at the moment, oldest first: they give way where a newcomer would find no place
//! or no file. One that is being answered is not among them, nor one that is half open, which has its own time.

use std::{
    collections::{BTreeMap, BTreeSet},
    net::IpAddr,
    sync::Arc,
};

use parking_lot::Mutex;
use tokio::sync::Notify;

/// The place that an idle connection still holds among those that are half open.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Held {
    /// None: it gave its place away with its first request.
    Nothing,
    /// One that is counted in all.
    Place,
    /// One that is counted for this address too.
    PlaceOf(IpAddr),
}

/// The list, shared by all connections of a door.
pub struct Idle<T> {
    shared: Arc<Shared<T>>,
}

impl<T> Clone for Idle<T> {
    fn clone(&self) -> Self {
        Self { shared: self.shared.clone() }
    }
}

struct Shared<T> {
    /// No other lock is taken under it.
    list: Mutex<List<T>>,
    gone: Notify,
}

struct List<T> {
    next: u64,
    by_age: BTreeMap<u64, (T, Held)>,
    placed: BTreeSet<u64>,
    placed_of: BTreeSet<(IpAddr, u64)>,
}

impl<T> Idle<T> {
    /// Empty.
    pub fn new() -> Self {
        let list =
            List { next: 0, by_age: BTreeMap::new(), placed: BTreeSet::new(), placed_of: BTreeSet::new() };
        Self { shared: Arc::new(Shared { list: Mutex::new(list), gone: Notify::new() }) }
    }

    /// Puts one in as the youngest; by the number it is taken out again.
    pub fn add(&self, connection: T, held: Held) -> u64 {
        let mut list = self.shared.list.lock();
        let number = list.next;
        list.next += 1;
        list.by_age.insert(number, (connection, held));
        if held != Held::Nothing {
            list.placed.insert(number);
        }
        if let Held::PlaceOf(address) = held {
            list.placed_of.insert((address, number));
        }
        number
    }

    /// Takes one out that is used again, or gone.
    pub fn remove(&self, number: u64) {
        self.shared.list.lock().take(number);
    }

    /// Takes out the one that has been idle for the longest time.
    pub fn oldest(&self) -> Option<T> {
        let mut list = self.shared.list.lock();
        let number = *list.by_age.first_key_value()?.0;
        list.take(number)
    }

    /// The same of those that hold a place.
    pub fn oldest_with_place(&self) -> Option<T> {
        let mut list = self.shared.list.lock();
        let number = *list.placed.first()?;
        list.take(number)
    }

    /// The same of those whose place is counted for this address.
    pub fn oldest_of(&self, address: IpAddr) -> Option<T> {
        let mut list = self.shared.list.lock();
        let (_, number) = *list.placed_of.range((address, 0)..=(address, u64::MAX)).next()?;
        list.take(number)
    }

    /// A connection has ended, and its file is free.
    pub fn note_gone(&self) {
        self.shared.gone.notify_one();
    }

    /// Resolves when one has ended since the last call.
    pub async fn one_gone(&self) {
        self.shared.gone.notified().await;
    }
}

impl<T> List<T> {
    fn take(&mut self, number: u64) -> Option<T> {
        let (connection, held) = self.by_age.remove(&number)?;
        self.placed.remove(&number);
        if let Held::PlaceOf(address) = held {
            self.placed_of.remove(&(address, number));
        }
        Some(connection)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_oldest_gives_way_first_and_where_a_place_is_wanted_only_who_has_one() {
        let (idle, address) = (Idle::new(), |text: &str| text.parse::<IpAddr>().unwrap());
        let (ann, bob) = (address("203.0.113.1"), address("203.0.113.2"));
        idle.add("over HTTP/2", Held::Nothing);
        idle.add("loopback", Held::Place);
        let gone = idle.add("used again", Held::PlaceOf(bob));
        idle.add("ann", Held::PlaceOf(ann));
        idle.add("bob", Held::PlaceOf(bob));
        idle.add("bob's second", Held::PlaceOf(bob));
        idle.remove(gone);
        assert_eq!(idle.oldest_of(bob), Some("bob"));
        assert_eq!(idle.oldest_with_place(), Some("loopback"));
        assert_eq!(idle.oldest(), Some("over HTTP/2"));
        assert_eq!(idle.oldest_of(address("203.0.113.3")), None);
        assert_eq!(idle.oldest_with_place(), Some("ann"));
        assert_eq!(idle.oldest(), Some("bob's second"));
        assert_eq!(idle.oldest_of(bob), None);
        let list = idle.shared.list.lock();
        assert!(list.by_age.is_empty() && list.placed.is_empty() && list.placed_of.is_empty());
    }
}
