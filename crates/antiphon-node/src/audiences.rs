//! The audiences of the tenants that have somebody connected here, and how they are kept as new as they have to be.

use std::{collections::HashMap, sync::Arc};

use antiphon_core::{SeamError, UserState};
use antiphon_hub::{MemberState, TenantAudience};
use antiphon_protocol::TenantId;
use parking_lot::Mutex;

use crate::Node;

/// One tenant's audience, and the order in which it is read.
pub(crate) struct Held {
    pub audience: Arc<TenantAudience>,
    /// Held while states are read and taken over: a login must not come between.
    pub reading: tokio::sync::Mutex<()>,
}

#[derive(Default)]
pub(crate) struct Audiences {
    // No other lock is taken under it.
    tenants: Mutex<HashMap<TenantId, Arc<Held>>>,
}

impl Audiences {
    pub fn held(&self, tenant: &TenantId) -> Option<Arc<Held>> {
        self.tenants.lock().get(tenant).cloned()
    }

    pub fn hold(&self, tenant: &TenantId) -> Arc<Held> {
        let mut tenants = self.tenants.lock();
        let make = || {
            let audience = Arc::new(TenantAudience::new(tenant.clone()));
            Arc::new(Held { audience, reading: tokio::sync::Mutex::new(()) })
        };
        tenants.entry(tenant.clone()).or_insert_with(make).clone()
    }

    pub fn tenants(&self) -> Vec<TenantId> {
        self.tenants.lock().keys().cloned().collect()
    }

    /// Forgets the tenants of which nobody is connected and nobody is about to be.
    pub fn sweep(&self) {
        self.tenants.lock().retain(|_, held| {
            Arc::strong_count(held) > 1 || Arc::strong_count(&held.audience) > 1 || !held.audience.is_empty()
        });
    }

    pub fn len(&self) -> usize {
        self.tenants.lock().len()
    }
}

pub(crate) fn member_state(state: UserState) -> MemberState {
    MemberState {
        exists: state.exists,
        revocations: state.revocations,
        disconnects: state.disconnects,
        projects: state.projects.into_iter().map(|(project, settings)| (project, settings.deliver)).collect(),
    }
}

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
        self.audience_at(tenant, revision).await?;
        Ok(revision)
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
