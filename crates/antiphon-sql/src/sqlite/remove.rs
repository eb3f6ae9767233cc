//! What deletes tenants, users, projects and members, and what counts a disconnect.

use antiphon_protocol::{ProjectId, TenantId, UserId, now_ms};

use super::{
    SqliteEngine,
    change::{next_revision, raise},
};
use crate::error::Fault;

impl SqliteEngine {
    pub(super) async fn remove_tenant(&self, tenant: &TenantId) -> Result<bool, Fault> {
        let mut tx = self.begin().await?;
        let change = self.revisions.change(tenant);
        let Some(revision) = next_revision(&mut tx, tenant).await? else {
            change.nothing();
            return Ok(false);
        };
        for statement in [
            "delete from members where tenant = ?1",
            "delete from projects where tenant = ?1",
            "delete from tokens where tenant = ?1",
            "delete from api_keys where tenant = ?1",
        ] {
            sqlx::query(statement).bind(tenant.as_str()).execute(&mut *tx).await?;
        }
        sqlx::query(
            "update users set deleted = 1, revocations = revocations + 1, revision = ?2, tokens_revoked_before = ?3 \
             where tenant = ?1 and not deleted",
        )
        .bind(tenant.as_str())
        .bind(revision)
        .bind(now_ms())
        .execute(&mut *tx)
        .await?;
        sqlx::query(
            "update tenants set deleted = 1, revision = ?2, deleted_revision = ?2, tokens_revoked_before = ?3 where id = ?1",
        )
        .bind(tenant.as_str())
        .bind(revision)
        .bind(now_ms())
        .execute(&mut *tx)
        .await?;
        // No tenant's id has a space: nobody can name these logs any more, and who makes the tenant again begins anew.
        sqlx::query("update topics set tenant = ?1 || ' ' || ?2 where tenant = ?1")
            .bind(tenant.as_str())
            .bind(revision)
            .execute(&mut *tx)
            .await?;
        tx.commit().await?;
        change.committed(revision.cast_unsigned());
        Ok(true)
    }

    pub(super) async fn remove_user(&self, tenant: &TenantId, user: &UserId) -> Result<bool, Fault> {
        let mut tx = self.begin().await?;
        let change = self.revisions.change(tenant);
        let revision = next_revision(&mut tx, tenant).await?.unwrap_or_default();
        let removed = sqlx::query(
            "update users set deleted = 1, revocations = revocations + 1, revision = ?3, tokens_revoked_before = ?4 \
             where tenant = ?1 and id = ?2 and not deleted",
        )
        .bind(tenant.as_str())
        .bind(user.as_str())
        .bind(revision)
        .bind(now_ms())
        .execute(&mut *tx)
        .await?;
        if removed.rows_affected() == 0 {
            change.nothing();
            return Ok(false);
        }
        for statement in [
            "delete from members where tenant = ?1 and user_id = ?2",
            "delete from tokens where tenant = ?1 and user_id = ?2",
        ] {
            sqlx::query(statement).bind(tenant.as_str()).bind(user.as_str()).execute(&mut *tx).await?;
        }
        raise(&mut tx, tenant, revision).await?;
        tx.commit().await?;
        change.committed(revision.cast_unsigned());
        Ok(true)
    }

    pub(super) async fn remove_project(&self, tenant: &TenantId, project: &ProjectId) -> Result<bool, Fault> {
        let mut tx = self.begin().await?;
        let change = self.revisions.change(tenant);
        let revision = next_revision(&mut tx, tenant).await?.unwrap_or_default();
        sqlx::query(
            "update users set revision = ?3 where tenant = ?1 and id in \
             (select user_id from members where tenant = ?1 and project = ?2)",
        )
        .bind(tenant.as_str())
        .bind(project.as_str())
        .bind(revision)
        .execute(&mut *tx)
        .await?;
        sqlx::query("delete from members where tenant = ?1 and project = ?2")
            .bind(tenant.as_str())
            .bind(project.as_str())
            .execute(&mut *tx)
            .await?;
        let removed = sqlx::query("delete from projects where tenant = ?1 and id = ?2")
            .bind(tenant.as_str())
            .bind(project.as_str())
            .execute(&mut *tx)
            .await?;
        if removed.rows_affected() == 0 {
            change.nothing();
            return Ok(false);
        }
        raise(&mut tx, tenant, revision).await?;
        tx.commit().await?;
        change.committed(revision.cast_unsigned());
        Ok(true)
    }

    pub(super) async fn remove_member(
        &self,
        tenant: &TenantId,
        project: &ProjectId,
        user: &UserId,
    ) -> Result<bool, Fault> {
        let mut tx = self.begin().await?;
        let change = self.revisions.change(tenant);
        let removed = sqlx::query("delete from members where tenant = ?1 and project = ?2 and user_id = ?3")
            .bind(tenant.as_str())
            .bind(project.as_str())
            .bind(user.as_str())
            .execute(&mut *tx)
            .await?;
        if removed.rows_affected() == 0 {
            change.nothing();
            return Ok(false);
        }
        let revision = next_revision(&mut tx, tenant).await?.ok_or(sqlx::Error::RowNotFound)?;
        sqlx::query("update users set revision = ?3 where tenant = ?1 and id = ?2")
            .bind(tenant.as_str())
            .bind(user.as_str())
            .bind(revision)
            .execute(&mut *tx)
            .await?;
        raise(&mut tx, tenant, revision).await?;
        tx.commit().await?;
        change.committed(revision.cast_unsigned());
        Ok(true)
    }

    pub(super) async fn count_disconnect(&self, tenant: &TenantId, user: &UserId) -> Result<bool, Fault> {
        let mut tx = self.begin().await?;
        let change = self.revisions.change(tenant);
        let revision = next_revision(&mut tx, tenant).await?.unwrap_or_default();
        let counted = sqlx::query(
            "update users set disconnects = disconnects + 1, revision = ?3 \
             where tenant = ?1 and id = ?2 and not deleted",
        )
        .bind(tenant.as_str())
        .bind(user.as_str())
        .bind(revision)
        .execute(&mut *tx)
        .await?;
        if counted.rows_affected() == 0 {
            change.nothing();
            return Ok(false);
        }
        raise(&mut tx, tenant, revision).await?;
        tx.commit().await?;
        change.committed(revision.cast_unsigned());
        Ok(true)
    }
}
