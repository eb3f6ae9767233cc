//! How many publishes the application is asked about, and how many wait for that.

use std::{collections::HashMap, sync::Arc};

use antiphon_core::Limits;
use antiphon_protocol::TenantId;
use parking_lot::Mutex;
use tokio::sync::{OwnedSemaphorePermit, Semaphore};

/// So many tenants are remembered before those that ask nothing are forgotten.
const TENANTS_KEPT: usize = 1024;

pub(crate) struct Asking {
    calls: Arc<Semaphore>,
    places: Arc<Semaphore>,
    places_max: usize,
    /// So that an application that answers for one tenant only slowly goes on for the others.
    calls_of_tenant: usize,
    /// No other lock is taken under it.
    tenants: Mutex<HashMap<TenantId, Arc<Semaphore>>>,
}

/// A call under way.
pub(crate) struct Call {
    _own: OwnedSemaphorePermit,
    _call: OwnedSemaphorePermit,
}

/// A place among those that wait; it is free again when this is dropped.
pub(crate) struct Place(#[expect(dead_code, reason = "it is held, not read")] OwnedSemaphorePermit);

impl Asking {
    pub fn new(limits: &Limits) -> Self {
        let most = |bound: usize| bound.clamp(1, Semaphore::MAX_PERMITS);
        let (calls, places_max) = (most(limits.publish_hook_calls), most(limits.publish_hook_queue));
        Self {
            calls: Arc::new(Semaphore::new(calls)),
            places: Arc::new(Semaphore::new(places_max)),
            places_max,
            calls_of_tenant: calls.div_ceil(2),
            tenants: Mutex::default(),
        }
    }

    /// A place to wait at, if there is one.
    pub fn place(&self) -> Option<Place> {
        self.places.clone().try_acquire_owned().ok().map(Place)
    }

    /// How many places are taken.
    pub fn waiting(&self) -> usize {
        self.places_max - self.places.available_permits()
    }

    /// Waits until one more call of this tenant may go out.
    pub async fn call(&self, tenant: &TenantId) -> Call {
        let own = self.of_tenant(tenant);
        let never = "these semaphores are never closed";
        let own = own.acquire_owned().await.expect(never);
        let call = self.calls.clone().acquire_owned().await.expect(never);
        Call { _own: own, _call: call }
    }

    fn of_tenant(&self, tenant: &TenantId) -> Arc<Semaphore> {
        let mut tenants = self.tenants.lock();
        if tenants.len() >= TENANTS_KEPT && !tenants.contains_key(tenant) {
            // Each call and each that waits for one holds it.
            tenants.retain(|_, calls| Arc::strong_count(calls) > 1);
        }
        let make = || Arc::new(Semaphore::new(self.calls_of_tenant));
        tenants.entry(tenant.clone()).or_insert_with(make).clone()
    }
}
