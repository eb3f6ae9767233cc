//! How what is held of a tenant's users is kept as new as it has to be.

use antiphon_core::SeamError;
use antiphon_protocol::{Entry, TenantId};

use crate::{
    node::Node,
    state::audiences::{Held, member_state},
};

impl Node {
    /// The tenant's revision now, with what is held here brought up to it. 0: there is no such tenant.
    pub(crate) async fn fresh(&self, tenant: &TenantId) -> Result<u64, SeamError> {
        let revision = match self.engines.directory.revision_now(tenant) {
            Some(revision) => revision,
            None => {
                let tenants = std::slice::from_ref(tenant);
                let revisions =
                    self.timed("the directory", self.engines.directory.revisions(tenants)).await?;
                revisions.first().copied().unwrap_or(0)
            }
        };
        self.audience_as_read(tenant, revision).await?;
        Ok(revision)
    }

    /// Brings what is held of a tenant to the revision that was just read from the directory.
    pub(crate) async fn audience_as_read(&self, tenant: &TenantId, revision: u64) -> Result<(), SeamError> {
        let Some(held) = self.audiences.held(tenant) else { return Ok(()) };
        if held.audience.revision() > revision {
            return self.start_anew_if_gone_back(&held).await;
        }
        self.audience_at(tenant, revision).await
    }

    /// Revisions only grow, unless a backup of the directory was restored, or a replica took over without the last commits. Then
    /// who is held here is not who is meant there, and its numbers come once more for other changes: nothing that is held is
    /// worth anything.
    async fn start_anew_if_gone_back(&self, held: &Held) -> Result<(), SeamError> {
        let (audience, tenant) = (&held.audience, held.audience.tenant());
        let _reading = held.reading.lock().await;
        let known = audience.revision();
        // What was read before may have been overtaken; nobody overtakes this one.
        let read = self.engines.directory.revisions(std::slice::from_ref(tenant));
        let revisions = self.timed("the directory", read).await?;
        let revision = revisions.first().copied().unwrap_or(0);
        if revision < known {
            tracing::error!(
                %tenant, known, revision,
                "the directory is not the one that was read: the tenant's clients come back and are read anew"
            );
            self.existing.clear();
            audience.start_anew(revision, |member| self.hub.member_changed(&member));
        }
        Ok(())
    }

    /// Brings what is held of a tenant to at least this revision.
    pub(crate) async fn audience_at(&self, tenant: &TenantId, revision: u64) -> Result<(), SeamError> {
        let Some(held) = self.audiences.held(tenant) else { return Ok(()) };
        if held.audience.revision() >= revision {
            return Ok(());
        }
        let _reading = held.reading.lock().await;
        if held.audience.revision() >= revision {
            return Ok(());
        }
        self.read_changes(&held).await
    }

    /// Brings what is held of a tenant to what these entries of its log want. An entry of revision 0 was stamped by nobody,
    /// since it came by a transaction of the application: it wants what is true now, after it was read.
    pub(crate) async fn audience_of(
        &self,
        tenant: &TenantId,
        entries: &mut [Entry],
    ) -> Result<(), SeamError> {
        if entries.iter().any(|entry| entry.revision == 0) {
            let now = self.fresh(tenant).await?;
            entries.iter_mut().filter(|entry| entry.revision == 0).for_each(|entry| entry.revision = now);
        }
        let newest = entries.iter().map(|entry| entry.revision).max().unwrap_or(0);
        self.audience_at(tenant, newest).await?;
        let is_older = |held: &Held| held.audience.revision() < newest;
        if self.audiences.held(tenant).is_some_and(|held| is_older(&held)) {
            // A directory that went back may never come to what they were stamped with.
            let now = self.fresh(tenant).await?;
            entries.iter_mut().for_each(|entry| entry.revision = entry.revision.min(now));
        }
        Ok(())
    }

    /// Reads what has changed since; the caller holds `held.reading`.
    pub(crate) async fn read_changes(&self, held: &Held) -> Result<(), SeamError> {
        let audience = &held.audience;
        let users = audience.users();
        let read = self.engines.directory.changed_users(audience.tenant(), &users, audience.revision());
        let (revision, states) = self.timed("the directory", read).await?;
        let states = states.into_iter().map(|(user, state)| (user, member_state(state))).collect();
        audience.update(revision, states, |member| self.hub.member_changed(&member));
        Ok(())
    }

    /// After a change of the directory or of tokens: it holds here before this returns, and the other nodes hear of it.
    pub async fn tenant_changed(&self, tenant: &TenantId) {
        match self.fresh(tenant).await {
            Ok(revision) => self.tell_tenant_changed(tenant, revision),
            Err(error) => tracing::warn!(%error, %tenant, "the change will be seen at the next tick"),
        }
    }
}
