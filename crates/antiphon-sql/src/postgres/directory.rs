//! The directory: what is asked of it. How it is changed: `put.rs` and `remove.rs`.

use antiphon_core::{Directory, Listed, MemberSettings, Page, SeamError, Settings, UserState};
use antiphon_protocol::{ProjectId, TenantId, UserId};
use async_trait::async_trait;
use std::collections::HashMap;

use super::{POSTGRES, PostgresEngine, texts};
use crate::{
    error::Fault,
    members::{self, StateRow},
};

impl PostgresEngine {
    /// The states of those of these users that changed after `since`, and the revision they belong to: one snapshot.
    async fn states(
        &self,
        tenant: &TenantId,
        users: &[UserId],
        since: i64,
    ) -> Result<(u64, HashMap<UserId, UserState>), Fault> {
        let rows: Vec<StateRow> = sqlx::query_as(
            "select t.revision, u.id, not u.deleted, u.revocations, u.disconnects, m.project, m.deliver, m.push \
             from antiphon.tenants t \
             left join antiphon.users u on u.tenant = t.id and u.id = any($2) and u.revision > $3 \
             left join antiphon.members m on m.tenant = u.tenant and m.user_id = u.id \
             where t.id = $1",
        )
        .bind(tenant.as_str())
        .bind(texts(users, UserId::as_str))
        .bind(since)
        .fetch_all(&self.pool)
        .await?;
        members::states(rows)
    }
}

#[async_trait]
impl Directory for PostgresEngine {
    async fn revisions(&self, tenants: &[TenantId]) -> Result<Vec<u64>, SeamError> {
        POSTGRES
            .within(self.options.operation_timeout, async {
                let rows: Vec<(String, i64)> =
                    sqlx::query_as("select id, revision from antiphon.tenants where id = any($1)")
                        .bind(texts(tenants, TenantId::as_str))
                        .fetch_all(&self.pool)
                        .await?;
                let found: HashMap<String, i64> = rows.into_iter().collect();
                let revision = |tenant: &TenantId| {
                    found.get(tenant.as_str()).map_or(0, |revision| revision.cast_unsigned())
                };
                Ok(tenants.iter().map(revision).collect())
            })
            .await
    }

    async fn user_states(
        &self,
        tenant: &TenantId,
        users: &[UserId],
    ) -> Result<(u64, Vec<UserState>), SeamError> {
        let states = self.states(tenant, users, -1);
        let (revision, states) = POSTGRES.within(self.options.operation_timeout, states).await?;
        Ok((revision, members::in_order(users, &states)))
    }

    async fn changed_users(
        &self,
        tenant: &TenantId,
        users: &[UserId],
        since: u64,
    ) -> Result<(u64, Vec<(UserId, UserState)>), SeamError> {
        let states = self.states(tenant, users, crate::row::bound(since));
        let (revision, states) = POSTGRES.within(self.options.operation_timeout, states).await?;
        Ok((revision, states.into_iter().collect()))
    }

    async fn put_tenant(&self, tenant: &TenantId) -> Result<bool, SeamError> {
        POSTGRES.within(self.options.operation_timeout, self.put_only_tenant(tenant)).await
    }

    async fn put_user(&self, tenant: &TenantId, user: &UserId) -> Result<bool, SeamError> {
        POSTGRES.within(self.options.operation_timeout, self.put_one_user(tenant, user)).await
    }

    async fn put_project(&self, tenant: &TenantId, project: &ProjectId) -> Result<bool, SeamError> {
        POSTGRES.within(self.options.operation_timeout, self.put_one_project(tenant, project)).await
    }

    async fn put_members(
        &self,
        tenant: &TenantId,
        project: &ProjectId,
        members: &[MemberSettings],
    ) -> Result<u64, SeamError> {
        POSTGRES.within(self.options.operation_timeout, self.put_many_members(tenant, project, members)).await
    }

    async fn change_settings(
        &self,
        tenant: &TenantId,
        project: &ProjectId,
        member: &MemberSettings,
    ) -> Result<Option<Settings>, SeamError> {
        POSTGRES.within(self.options.operation_timeout, self.change_one_member(tenant, project, member)).await
    }

    async fn delete_tenant(&self, tenant: &TenantId) -> Result<bool, SeamError> {
        POSTGRES.within(self.options.operation_timeout, self.remove_tenant(tenant)).await
    }

    async fn delete_user(&self, tenant: &TenantId, user: &UserId) -> Result<bool, SeamError> {
        POSTGRES.within(self.options.operation_timeout, self.remove_user(tenant, user)).await
    }

    async fn delete_project(&self, tenant: &TenantId, project: &ProjectId) -> Result<bool, SeamError> {
        POSTGRES.within(self.options.operation_timeout, self.remove_project(tenant, project)).await
    }

    async fn delete_member(
        &self,
        tenant: &TenantId,
        project: &ProjectId,
        user: &UserId,
    ) -> Result<bool, SeamError> {
        POSTGRES.within(self.options.operation_timeout, self.remove_member(tenant, project, user)).await
    }

    async fn disconnect_user(&self, tenant: &TenantId, user: &UserId) -> Result<bool, SeamError> {
        POSTGRES.within(self.options.operation_timeout, self.count_disconnect(tenant, user)).await
    }

    async fn tenant_exists(&self, tenant: &TenantId) -> Result<bool, SeamError> {
        POSTGRES
            .within(self.options.operation_timeout, async {
                let found: bool = sqlx::query_scalar(
                    "select exists (select 1 from antiphon.tenants where id = $1 and not deleted)",
                )
                .bind(tenant.as_str())
                .fetch_one(&self.pool)
                .await?;
                Ok(found)
            })
            .await
    }

    async fn project_exists(&self, tenant: &TenantId, project: &ProjectId) -> Result<bool, SeamError> {
        POSTGRES
            .within(self.options.operation_timeout, async {
                let found: bool = sqlx::query_scalar(
                    "select exists (select 1 from antiphon.projects where tenant = $1 and id = $2)",
                )
                .bind(tenant.as_str())
                .bind(project.as_str())
                .fetch_one(&self.pool)
                .await?;
                Ok(found)
            })
            .await
    }

    async fn member(
        &self,
        tenant: &TenantId,
        project: &ProjectId,
        user: &UserId,
    ) -> Result<Option<Settings>, SeamError> {
        POSTGRES
            .within(self.options.operation_timeout, async {
                let found: Option<(bool, bool)> = sqlx::query_as(
                    "select deliver, push from antiphon.members where tenant = $1 and project = $2 and user_id = $3",
                )
                .bind(tenant.as_str())
                .bind(project.as_str())
                .bind(user.as_str())
                .fetch_optional(&self.pool)
                .await?;
                Ok(found.map(|(deliver, push)| Settings { deliver, push }))
            })
            .await
    }

    async fn list_tenants(&self, page: &Page) -> Result<Listed<TenantId>, SeamError> {
        POSTGRES
            .within(self.options.operation_timeout, async {
                let rows: Vec<(String,)> = sqlx::query_as(
                    "select id from antiphon.tenants where id > $1 and not deleted order by id limit $2",
                )
                .bind(page.after.as_deref().unwrap_or_default())
                .bind(members::page_rows(page))
                .fetch_all(&self.pool)
                .await?;
                members::listed(rows, page, |(id,)| Ok(TenantId::parse(&id)?))
            })
            .await
    }

    async fn list_users(&self, tenant: &TenantId, page: &Page) -> Result<Listed<UserId>, SeamError> {
        POSTGRES
            .within(self.options.operation_timeout, async {
                let rows: Vec<(String,)> = sqlx::query_as(
                    "select id from antiphon.users where tenant = $1 and id > $2 and not deleted order by id limit $3",
                )
                .bind(tenant.as_str())
                .bind(page.after.as_deref().unwrap_or_default())
                .bind(members::page_rows(page))
                .fetch_all(&self.pool)
                .await?;
                members::listed(rows, page, |(id,)| Ok(UserId::parse(&id)?))
            })
            .await
    }

    async fn list_projects(&self, tenant: &TenantId, page: &Page) -> Result<Listed<ProjectId>, SeamError> {
        POSTGRES
            .within(self.options.operation_timeout, async {
                let rows: Vec<(String,)> = sqlx::query_as(
                    "select id from antiphon.projects where tenant = $1 and id > $2 order by id limit $3",
                )
                .bind(tenant.as_str())
                .bind(page.after.as_deref().unwrap_or_default())
                .bind(members::page_rows(page))
                .fetch_all(&self.pool)
                .await?;
                members::listed(rows, page, |(id,)| Ok(ProjectId::parse(&id)?))
            })
            .await
    }

    async fn list_members(
        &self,
        tenant: &TenantId,
        project: &ProjectId,
        page: &Page,
    ) -> Result<Listed<(UserId, Settings)>, SeamError> {
        POSTGRES
            .within(self.options.operation_timeout, async {
                let rows: Vec<(String, bool, bool)> = sqlx::query_as(
                    "select user_id, deliver, push from antiphon.members \
                     where tenant = $1 and project = $2 and user_id > $3 order by user_id limit $4",
                )
                .bind(tenant.as_str())
                .bind(project.as_str())
                .bind(page.after.as_deref().unwrap_or_default())
                .bind(members::page_rows(page))
                .fetch_all(&self.pool)
                .await?;
                members::listed(rows, page, |(id, deliver, push)| {
                    Ok((UserId::parse(&id)?, Settings { deliver, push }))
                })
            })
            .await
    }
}
