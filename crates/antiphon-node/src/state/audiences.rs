//! The audiences of the tenants that have somebody connected here.

use std::{collections::HashMap, sync::Arc};

use antiphon_core::UserState;
use antiphon_hub::{MemberState, TenantAudience};
use antiphon_protocol::TenantId;
use parking_lot::Mutex;

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
