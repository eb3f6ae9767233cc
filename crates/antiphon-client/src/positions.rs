//! Where an application keeps the positions that it has dealt with.

use std::{error::Error as StdError, fmt};

use futures_util::future::BoxFuture;

/// What a store gives, later.
pub type Kept<'a, T> = BoxFuture<'a, Result<T, Box<dyn StdError + Send + Sync>>>;

/// Where the positions of topics are kept, so that a process which comes again goes on where it was.
///
/// A position belongs to one tenant and one reader: put both into the key under which it is kept.
pub trait PositionStore: Send + Sync {
    /// The kept position of a topic, if there is one.
    fn get<'a>(&'a self, topic: &'a str) -> Kept<'a, Option<String>>;
    /// Keeps a position.
    fn set<'a>(&'a self, topic: &'a str, position: &'a str) -> Kept<'a, ()>;
}

impl fmt::Debug for dyn PositionStore {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("PositionStore")
    }
}
