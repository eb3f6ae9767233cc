//! What deletes tenants, users, projects and members, and what counts a disconnect.

use antiphon_protocol::{ProjectId, TenantId, UserId, now_ms};

use super::{
    PostgresEngine,
    change::{next_revision, raise},
};
use crate::error::Fault;

impl PostgresEngine {
    pub(super) async fn remove_tenant(&self, tenant: &TenantId) -> Result<bool, Fault> {
        let mut tx = self.begin().await?;
        // Whoever publishes by SQL holds the tenant's key until it commits, and whoever makes a topic while it does: each is
        // before this or after it. The topics follow, in the one order in which all lock them.
        sqlx::query("select from antiphon.tenants where id = $1 for update")
            .bind(tenant.as_str())
            .execute(&mut *tx)
            .await?;
        let Some(revision) = next_revision(&mut tx, tenant).await? else {
            return Ok(false);
        };
        for statement in [
            "delete from antiphon.members where tenant = $1",
            "delete from antiphon.projects where tenant = $1",
            "delete from antiphon.tokens where tenant = $1",
            "delete from antiphon.api_keys where tenant = $1",
        ] {
            sqlx::query(statement).bind(tenant.as_str()).execute(&mut *tx).await?;
        }
        sqlx::query(
            "update antiphon.users set deleted = true, revocations = revocations + 1, revision = $2, tokens_revoked_before = $3 \
             where tenant = $1 and not deleted",
        )
        .bind(tenant.as_str())
        .bind(revision)
        .bind(now_ms())
        .execute(&mut *tx)
        .await?;
        sqlx::query(
            "update antiphon.tenants set deleted = true, revision = $2, deleted_revision = $2, tokens_revoked_before = $3 where id = $1",
        )
        .bind(tenant.as_str())
        .bind(revision)
        .bind(now_ms())
        .execute(&mut *tx)
        .await?;
        // No tenant's id has a space: nobody can name these logs any more, and who makes the tenant again begins anew.
        sqlx::query(
            "update antiphon.topics t set tenant = $1 || ' ' || $2::bigint from \
             (select id from antiphon.topics where tenant = $1 order by name for update) k where t.id = k.id",
        )
        .bind(tenant.as_str())
        .bind(revision)
        .execute(&mut *tx)
        .await?;
        tx.commit().await?;
        Ok(true)
    }

    pub(super) async fn remove_user(&self, tenant: &TenantId, user: &UserId) -> Result<bool, Fault> {
        let mut tx = self.begin().await?;
        let revision = next_revision(&mut tx, tenant).await?.unwrap_or_default();
        let removed = sqlx::query(
            "update antiphon.users set deleted = true, revocations = revocations + 1, revision = $3, tokens_revoked_before = $4 \
             where tenant = $1 and id = $2 and not deleted",
        )
        .bind(tenant.as_str())
        .bind(user.as_str())
        .bind(revision)
        .bind(now_ms())
        .execute(&mut *tx)
        .await?;
        if removed.rows_affected() == 0 {
            return Ok(false);
        }
        for statement in [
            "delete from antiphon.members where tenant = $1 and user_id = $2",
            "delete from antiphon.tokens where tenant = $1 and user_id = $2",
        ] {
            sqlx::query(statement).bind(tenant.as_str()).bind(user.as_str()).execute(&mut *tx).await?;
        }
        raise(&mut tx, tenant, revision).await?;
        tx.commit().await?;
        Ok(true)
    }

    pub(super) async fn remove_project(&self, tenant: &TenantId, project: &ProjectId) -> Result<bool, Fault> {
        let mut tx = self.begin().await?;
        let revision = next_revision(&mut tx, tenant).await?.unwrap_or_default();
        sqlx::query(
            "update antiphon.users set revision = $3 where tenant = $1 and id in \
             (select user_id from antiphon.members where tenant = $1 and project = $2)",
        )
        .bind(tenant.as_str())
        .bind(project.as_str())
        .bind(revision)
        .execute(&mut *tx)
        .await?;
        sqlx::query("delete from antiphon.members where tenant = $1 and project = $2")
            .bind(tenant.as_str())
            .bind(project.as_str())
            .execute(&mut *tx)
            .await?;
        let removed = sqlx::query("delete from antiphon.projects where tenant = $1 and id = $2")
            .bind(tenant.as_str())
            .bind(project.as_str())
            .execute(&mut *tx)
            .await?;
        if removed.rows_affected() == 0 {
            return Ok(false);
        }
        raise(&mut tx, tenant, revision).await?;
        tx.commit().await?;
        Ok(true)
    }

    pub(super) async fn remove_member(
        &self,
        tenant: &TenantId,
        project: &ProjectId,
        user: &UserId,
    ) -> Result<bool, Fault> {
        let mut tx = self.begin().await?;
        let Some(revision) = next_revision(&mut tx, tenant).await? else {
            return Ok(false);
        };
        let removed =
            sqlx::query("delete from antiphon.members where tenant = $1 and project = $2 and user_id = $3")
                .bind(tenant.as_str())
                .bind(project.as_str())
                .bind(user.as_str())
                .execute(&mut *tx)
                .await?;
        if removed.rows_affected() == 0 {
            return Ok(false);
        }
        sqlx::query("update antiphon.users set revision = $3 where tenant = $1 and id = $2")
            .bind(tenant.as_str())
            .bind(user.as_str())
            .bind(revision)
            .execute(&mut *tx)
            .await?;
        raise(&mut tx, tenant, revision).await?;
        tx.commit().await?;
        Ok(true)
    }

    pub(super) async fn count_disconnect(&self, tenant: &TenantId, user: &UserId) -> Result<bool, Fault> {
        let mut tx = self.begin().await?;
        let revision = next_revision(&mut tx, tenant).await?.unwrap_or_default();
        let counted = sqlx::query(
            "update antiphon.users set disconnects = disconnects + 1, revision = $3 \
             where tenant = $1 and id = $2 and not deleted",
        )
        .bind(tenant.as_str())
        .bind(user.as_str())
        .bind(revision)
        .execute(&mut *tx)
        .await?;
        if counted.rows_affected() == 0 {
            return Ok(false);
        }
        raise(&mut tx, tenant, revision).await?;
        tx.commit().await?;
        Ok(true)
    }
}
