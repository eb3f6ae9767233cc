//! Is there such a tenant? A deleted one's revision goes on, so that whoever holds an older one looks: the number alone does
//! not tell. But whatever makes or deletes a tenant raises it, so an answer is good for as long as the number stays.

use antiphon_core::SeamError;
use antiphon_protocol::TenantId;

use crate::node::Node;

impl Node {
    /// Is there such a tenant now?
    pub async fn tenant_exists(&self, tenant: &TenantId) -> Result<bool, SeamError> {
        let revision = self.fresh(tenant).await?;
        self.exists_at(tenant, revision).await
    }

    /// Is there such a tenant, whose revision was this a moment ago?
    pub(crate) async fn exists_at(&self, tenant: &TenantId, revision: u64) -> Result<bool, SeamError> {
        if revision == 0 {
            return Ok(false);
        }
        if let Some(exists) = self.existing.at(tenant, revision) {
            return Ok(exists);
        }
        let exists = match self.timed("the directory", self.engines.directory.tenant_exists(tenant)).await {
            // Whoever keeps tenants elsewhere has given this one a revision.
            Err(SeamError::NotKept) => true,
            answer => answer?,
        };
        self.existing.note(tenant, revision, exists);
        Ok(exists)
    }
}
