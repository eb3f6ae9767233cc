//! Faults that antiphon itself must not have: planted, to see that the checks find them.

use std::cell::Cell;

use bytes::Bytes;

/// What is planted.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Plant {
    Nothing,
    /// Some deliveries never leave.
    Loss,
    /// Some leave twice.
    Double,
    /// Some leave behind the next one.
    Swap,
    /// Who is a member is never asked again.
    OldMembers,
}

/// At a node's sockets.
pub struct Sabotage {
    plant: Plant,
    written: Cell<u64>,
    kept: Cell<Option<Bytes>>,
}

impl Sabotage {
    pub fn new(plant: Plant) -> Self {
        Self { plant, written: Cell::new(0), kept: Cell::new(None) }
    }

    /// What really leaves.
    pub fn of(&self, bytes: &Bytes) -> Vec<Bytes> {
        self.written.set(self.written.get() + 1);
        let is_hit = self.written.get() % 41 == 40;
        match self.plant {
            Plant::Loss if is_hit => Vec::new(),
            Plant::Double if is_hit => vec![bytes.clone(), bytes.clone()],
            Plant::Swap if is_hit => {
                self.kept.set(Some(bytes.clone()));
                Vec::new()
            }
            _ => std::iter::once(bytes.clone()).chain(self.kept.take()).collect(),
        }
    }
}
