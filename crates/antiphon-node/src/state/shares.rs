//! What the connections of a user, and the users of a tenant, share.

use antiphon_core::Buckets;
use antiphon_protocol::{TenantId, UserId};

/// Their buckets; empty unless they are bounded.
#[derive(Default)]
pub(crate) struct Shares {
    pub users: Buckets<(TenantId, UserId)>,
    pub tenants: Buckets<TenantId>,
}
