//! What makes tenants, users, projects and members.

use antiphon_core::{MemberSettings, Settings};
use antiphon_protocol::{ProjectId, TenantId, UserId};

use super::{
    SqliteEngine,
    change::{make_project, make_tenant, make_user, next_revision, raise},
};
use crate::{error::Fault, members};

impl SqliteEngine {
    pub(super) async fn put_only_tenant(&self, tenant: &TenantId) -> Result<bool, Fault> {
        let mut tx = self.begin().await?;
        let change = self.revisions.change(tenant);
        if !make_tenant(&mut tx, tenant).await? {
            change.nothing();
            return Ok(false);
        }
        let revision = next_revision(&mut tx, tenant).await?.ok_or(sqlx::Error::RowNotFound)?;
        raise(&mut tx, tenant, revision).await?;
        tx.commit().await?;
        change.committed(revision.cast_unsigned());
        Ok(true)
    }

    pub(super) async fn put_one_user(&self, tenant: &TenantId, user: &UserId) -> Result<bool, Fault> {
        let mut tx = self.begin().await?;
        let change = self.revisions.change(tenant);
        make_tenant(&mut tx, tenant).await?;
        let revision = next_revision(&mut tx, tenant).await?.ok_or(sqlx::Error::RowNotFound)?;
        if !make_user(&mut tx, tenant, user, revision).await? {
            change.nothing();
            return Ok(false);
        }
        raise(&mut tx, tenant, revision).await?;
        tx.commit().await?;
        change.committed(revision.cast_unsigned());
        Ok(true)
    }

    pub(super) async fn put_one_project(
        &self,
        tenant: &TenantId,
        project: &ProjectId,
    ) -> Result<bool, Fault> {
        let mut tx = self.begin().await?;
        let change = self.revisions.change(tenant);
        make_tenant(&mut tx, tenant).await?;
        let revision = next_revision(&mut tx, tenant).await?.ok_or(sqlx::Error::RowNotFound)?;
        if !make_project(&mut tx, tenant, project).await? {
            change.nothing();
            return Ok(false);
        }
        raise(&mut tx, tenant, revision).await?;
        tx.commit().await?;
        change.committed(revision.cast_unsigned());
        Ok(true)
    }

    pub(super) async fn put_many_members(
        &self,
        tenant: &TenantId,
        project: &ProjectId,
        asked: &[MemberSettings],
    ) -> Result<u64, Fault> {
        let asked: Vec<_> = members::each_once(asked)
            .into_iter()
            .map(|member| (member.user.to_string(), member.deliver, member.push))
            .collect();
        let asked = serde_json::to_string(&asked).expect("ids are strings");
        let mut tx = self.begin().await?;
        let change = self.revisions.change(tenant);
        let new_tenant = make_tenant(&mut tx, tenant).await?;
        let revision = next_revision(&mut tx, tenant).await?.ok_or(sqlx::Error::RowNotFound)?;
        let new_project = make_project(&mut tx, tenant, project).await?;
        sqlx::query(
            "insert into users (tenant, id, revision) select ?1, k.value ->> 0, ?3 from json_each(?2) k where true \
             on conflict (tenant, id) do update set deleted = 0, revision = excluded.revision where users.deleted",
        )
        .bind(tenant.as_str())
        .bind(&asked)
        .bind(revision)
        .execute(&mut *tx)
        .await?;
        let changed = sqlx::query(
            "update members set deliver = coalesce(k.value ->> 1, deliver), push = coalesce(k.value ->> 2, push) \
             from json_each(?3) k where tenant = ?1 and project = ?2 and user_id = k.value ->> 0 \
             and (coalesce(k.value ->> 1, deliver) <> deliver or coalesce(k.value ->> 2, push) <> push)",
        )
        .bind(tenant.as_str())
        .bind(project.as_str())
        .bind(&asked)
        .execute(&mut *tx)
        .await?;
        let new = sqlx::query(
            "insert into members (tenant, project, user_id, deliver, push) \
             select ?1, ?2, k.value ->> 0, coalesce(k.value ->> 1, 1), coalesce(k.value ->> 2, 1) \
             from json_each(?3) k where true on conflict do nothing",
        )
        .bind(tenant.as_str())
        .bind(project.as_str())
        .bind(&asked)
        .execute(&mut *tx)
        .await?;
        let touched = changed.rows_affected() + new.rows_affected();
        if touched == 0 && !new_tenant && !new_project {
            change.nothing();
            return Ok(0);
        }
        sqlx::query(
            "update users set revision = ?3 where tenant = ?1 and id in (select k.value ->> 0 from json_each(?2) k)",
        )
        .bind(tenant.as_str())
        .bind(&asked)
        .bind(revision)
        .execute(&mut *tx)
        .await?;
        raise(&mut tx, tenant, revision).await?;
        tx.commit().await?;
        change.committed(revision.cast_unsigned());
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
        let change = self.revisions.change(tenant);
        let revision = next_revision(&mut tx, tenant).await?.unwrap_or_default();
        let found: Option<(bool, bool)> = sqlx::query_as(
            "select deliver, push from members where tenant = ?1 and project = ?2 and user_id = ?3",
        )
        .bind(tenant.as_str())
        .bind(project.as_str())
        .bind(member.user.as_str())
        .fetch_optional(&mut *tx)
        .await?;
        let found = found.map(|(deliver, push)| Settings { deliver, push });
        let wanted = found.map(|settings| member.over(settings));
        let Some(settings) = wanted.filter(|_| wanted != found) else {
            change.nothing();
            return Ok(wanted);
        };
        sqlx::query(
            "update members set deliver = ?4, push = ?5 where tenant = ?1 and project = ?2 and user_id = ?3",
        )
        .bind(tenant.as_str())
        .bind(project.as_str())
        .bind(member.user.as_str())
        .bind(settings.deliver)
        .bind(settings.push)
        .execute(&mut *tx)
        .await?;
        sqlx::query("update users set revision = ?3 where tenant = ?1 and id = ?2")
            .bind(tenant.as_str())
            .bind(member.user.as_str())
            .bind(revision)
            .execute(&mut *tx)
            .await?;
        raise(&mut tx, tenant, revision).await?;
        tx.commit().await?;
        change.committed(revision.cast_unsigned());
        Ok(Some(settings))
    }
}
