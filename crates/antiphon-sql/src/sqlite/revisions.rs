//! What the serving process knows of its tenants' revisions without asking. A number is known while the last change of
//! the tenant was seen to its end; a change that was dropped on its way leaves it unknown until the next one.

use std::collections::HashMap;

use antiphon_protocol::TenantId;
use parking_lot::Mutex;

/// For each tenant its last known revision; none: ask the database. The lock is held for the map alone.
#[derive(Default)]
pub(super) struct Revisions(Mutex<HashMap<TenantId, Option<u64>>>);

impl Revisions {
    pub fn get(&self, tenant: &TenantId) -> Option<u64> {
        self.0.lock().get(tenant).copied().flatten()
    }

    /// A number that was read: it may be older than what is known, and can't cure what is unknown,
    /// since the dropped change may still be committed after the read.
    pub fn seen(&self, tenant: &TenantId, revision: u64) {
        if revision == 0 {
            return;
        }
        let mut known = self.0.lock();
        if let Some(known) = known.entry(tenant.clone()).or_insert(Some(revision)) {
            *known = revision.max(*known);
        }
    }

    /// Begins a change, once it is this tenant's turn to write.
    pub fn change<'a>(&'a self, tenant: &TenantId) -> Change<'a> {
        Change { revisions: self, tenant: tenant.clone(), settled: false }
    }
}

/// A change on its way.
pub(super) struct Change<'a> {
    revisions: &'a Revisions,
    tenant: TenantId,
    settled: bool,
}

impl Change<'_> {
    /// It is committed.
    pub fn committed(mut self, revision: u64) {
        self.settled = true;
        self.revisions.0.lock().insert(self.tenant.clone(), Some(revision));
    }

    /// There was nothing to change: nothing was written.
    pub fn nothing(mut self) {
        self.settled = true;
    }
}

impl Drop for Change<'_> {
    fn drop(&mut self) {
        if !self.settled {
            self.revisions.0.lock().insert(self.tenant.clone(), None);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_dropped_change_makes_the_revision_unknown_until_the_next_change() {
        let revisions = Revisions::default();
        let acme = TenantId::parse("acme").unwrap();
        revisions.change(&acme).committed(4);
        revisions.seen(&acme, 3);
        assert_eq!(revisions.get(&acme), Some(4));
        drop(revisions.change(&acme));
        revisions.seen(&acme, 5);
        assert_eq!(revisions.get(&acme), None);
        revisions.change(&acme).committed(6);
        assert_eq!(revisions.get(&acme), Some(6));
    }
}
