//! A topic's recent deliveries. A slot is a delivery's place in the ring and grows by one; an offset is an
//! attribute that entries have and signals have not.

use std::{collections::VecDeque, sync::Arc, time::Duration};

use antiphon_protocol::Position;

use crate::delivery::Delivery;

/// The bounds of each topic's ring.
#[derive(Debug, Clone, Copy)]
pub struct RingBounds {
    /// Deliveries.
    pub entries: usize,
    /// Their bytes.
    pub bytes: usize,
    /// How long they stay at most.
    pub age: Duration,
}

#[derive(Debug, Default)]
pub(crate) struct Ring {
    first_slot: u64,
    items: VecDeque<Arc<Delivery>>,
    bytes: usize,
}

impl Ring {
    /// The slot that the next delivery will have.
    pub fn end(&self) -> u64 {
        self.first_slot + self.items.len() as u64
    }

    pub fn push(&mut self, delivery: Arc<Delivery>, bounds: &RingBounds) {
        self.bytes += delivery.frame.len();
        self.items.push_back(delivery);
        while self.items.len() > bounds.entries || (self.bytes > bounds.bytes && self.items.len() > 1) {
            self.drop_first();
        }
    }

    /// Lets go of what has been here longer than the bound.
    pub fn age(&mut self, bounds: &RingBounds) {
        while self.items.front().is_some_and(|oldest| oldest.since.elapsed() > bounds.age) {
            self.drop_first();
        }
        if self.items.is_empty() {
            self.items.shrink_to_fit();
        }
    }

    fn drop_first(&mut self) {
        if let Some(gone) = self.items.pop_front() {
            self.bytes -= gone.frame.len();
            self.first_slot += 1;
        }
    }

    /// Empties it; whoever stands at a slot of before is not covered any more, not even at its end.
    pub fn clear(&mut self) {
        self.first_slot = self.end() + 1;
        self.items.clear();
        self.bytes = 0;
    }

    /// What stands from this slot on; none if the ring no longer covers it.
    pub fn from(&self, slot: u64) -> Option<impl Iterator<Item = &Arc<Delivery>>> {
        let skip = slot.checked_sub(self.first_slot)?;
        Some(self.items.range(usize::try_from(skip).ok()?.min(self.items.len())..))
    }

    pub fn position_at(&self, offset: u64) -> Option<Position> {
        self.items.iter().filter_map(|delivery| delivery.position).find(|position| position.offset == offset)
    }

    /// The slot of the first entry behind this offset, and that entry if it is there already; `high` is the last entry's
    /// offset. None if an entry between is no longer here.
    pub fn slot_after(&self, offset: u64, high: u64) -> Option<(u64, Option<&Delivery>)> {
        if offset >= high {
            return Some((self.end(), None));
        }
        let at = self.items.iter().position(|delivery| delivery.offset() == Some(offset + 1))?;
        Some((self.first_slot + at as u64, self.items.get(at).map(|delivery| &**delivery)))
    }
}
