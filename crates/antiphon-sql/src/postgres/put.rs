//! What makes tenants, users, projects and members.

use antiphon_core::{MemberSettings, Settings};
use antiphon_protocol::{ProjectId, TenantId, UserId};

use super::{
    PostgresEngine,
    change::{make_project, make_tenant, make_user, next_revision, raise},
};
use crate::{error::Fault, members};

impl PostgresEngine {
    pub(super) async fn put_only_tenant(&self, tenant: &TenantId) -> Result<bool, Fault> {
        let mut tx = self.begin().await?;
        if !make_tenant(&mut tx, tenant).await? {
            return Ok(false);
        }
        let revision = next_revision(&mut tx, tenant).await?.ok_or(sqlx::Error::RowNotFound)?;
        raise(&mut tx, tenant, revision).await?;
        tx.commit().await?;
        Ok(true)
    }

    pub(super) async fn put_one_user(&self, tenant: &TenantId, user: &UserId) -> Result<bool, Fault> {
        let mut tx = self.begin().await?;
        make_tenant(&mut tx, tenant).await?;
        let revision = next_revision(&mut tx, tenant).await?.ok_or(sqlx::Error::RowNotFound)?;
        if !make_user(&mut tx, tenant, user, revision).await? {
            return Ok(false);
        }
        raise(&mut tx, tenant, revision).await?;
        tx.commit().await?;
        Ok(true)
    }

    pub(super) async fn put_one_project(
        &self,
        tenant: &TenantId,
        project: &ProjectId,
    ) -> Result<bool, Fault> {
        let mut tx = self.begin().await?;
        make_tenant(&mut tx, tenant).await?;
        let revision = next_revision(&mut tx, tenant).await?.ok_or(sqlx::Error::RowNotFound)?;
        if !make_project(&mut tx, tenant, project).await? {
            return Ok(false);
        }
        raise(&mut tx, tenant, revision).await?;
        tx.commit().await?;
        Ok(true)
    }

    pub(super) async fn put_many_members(
        &self,
        tenant: &TenantId,
        project: &ProjectId,
        asked: &[MemberSettings],
    ) -> Result<u64, Fault> {
        let asked = members::each_once(asked);
        let users: Vec<&str> = asked.iter().map(|member| member.user.as_str()).collect();
        let deliver: Vec<Option<bool>> = asked.iter().map(|member| member.deliver).collect();
        let push: Vec<Option<bool>> = asked.iter().map(|member| member.push).collect();
        let mut tx = self.begin().await?;
        let new_tenant = make_tenant(&mut tx, tenant).await?;
        let revision = next_revision(&mut tx, tenant).await?.ok_or(sqlx::Error::RowNotFound)?;
        let new_project = make_project(&mut tx, tenant, project).await?;
        sqlx::query(
            "insert into antiphon.users (tenant, id, revision) select $1, k.id, $3 from unnest($2::text[]) k (id) \
             on conflict (tenant, id) do update set deleted = false, revision = excluded.revision where users.deleted",
        )
        .bind(tenant.as_str())
        .bind(&users)
        .bind(revision)
        .execute(&mut *tx)
        .await?;
        let changed = sqlx::query(
            "update antiphon.members m set deliver = coalesce(k.deliver, m.deliver), push = coalesce(k.push, m.push) \
             from unnest($3::text[], $4::boolean[], $5::boolean[]) k (user_id, deliver, push) \
             where m.tenant = $1 and m.project = $2 and m.user_id = k.user_id \
             and (coalesce(k.deliver, m.deliver) <> m.deliver or coalesce(k.push, m.push) <> m.push)",
        )
        .bind(tenant.as_str())
        .bind(project.as_str())
        .bind(&users)
        .bind(&deliver)
        .bind(&push)
        .execute(&mut *tx)
        .await?;
        let new = sqlx::query(
            "insert into antiphon.members (tenant, project, user_id, deliver, push) \
             select $1, $2, k.user_id, coalesce(k.deliver, true), coalesce(k.push, true) \
             from unnest($3::text[], $4::boolean[], $5::boolean[]) k (user_id, deliver, push) on conflict do nothing",
        )
        .bind(tenant.as_str())
        .bind(project.as_str())
        .bind(&users)
        .bind(&deliver)
        .bind(&push)
        .execute(&mut *tx)
        .await?;
        let touched = changed.rows_affected() + new.rows_affected();
        if touched == 0 && !new_tenant && !new_project {
            return Ok(0);
        }
        sqlx::query("update antiphon.users set revision = $3 where tenant = $1 and id = any($2)")
            .bind(tenant.as_str())
            .bind(&users)
            .bind(revision)
            .execute(&mut *tx)
            .await?;
        raise(&mut tx, tenant, revision).await?;
        tx.commit().await?;
        Ok(new.rows_affected())
    }

    /// The tenant is locked first, as by every change: a removal is before this or after it.
    pub(super) async fn change_one_member(
        &self,
        tenant: &TenantId,
        project: &ProjectId,
        member: &MemberSettings,
    ) -> Result<Option<Settings>, Fault> {
        let mut tx = self.begin().await?;
        let revision = next_revision(&mut tx, tenant).await?.unwrap_or_default();
        let found: Option<(bool, bool)> = sqlx::query_as(
            "select deliver, push from antiphon.members where tenant = $1 and project = $2 and user_id = $3",
        )
        .bind(tenant.as_str())
        .bind(project.as_str())
        .bind(member.user.as_str())
        .fetch_optional(&mut *tx)
        .await?;
        let found = found.map(|(deliver, push)| Settings { deliver, push });
        let wanted = found.map(|settings| member.over(settings));
        let Some(settings) = wanted.filter(|_| wanted != found) else {
            return Ok(wanted);
        };
        sqlx::query(
            "update antiphon.members set deliver = $4, push = $5 where tenant = $1 and project = $2 and user_id = $3",
        )
        .bind(tenant.as_str())
        .bind(project.as_str())
        .bind(member.user.as_str())
        .bind(settings.deliver)
        .bind(settings.push)
        .execute(&mut *tx)
        .await?;
        sqlx::query("update antiphon.users set revision = $3 where tenant = $1 and id = $2")
            .bind(tenant.as_str())
            .bind(member.user.as_str())
            .bind(revision)
            .execute(&mut *tx)
            .await?;
        raise(&mut tx, tenant, revision).await?;
        tx.commit().await?;
        Ok(Some(settings))
    }
}
