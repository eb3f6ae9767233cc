//! Steps of a change of the directory, each inside of the change's transaction. A change makes what is missing as of the
//! tenant's next revision, and raises the tenant to it if anything changed. The tenant's row is locked first: changes of
//! one tenant are made one after the other, and never wait for each other in a circle.

use antiphon_protocol::{ProjectId, TenantId, UserId};
use sqlx::PgConnection;

/// Makes the tenant, also one that was deleted; true if it was not there.
pub(super) async fn make_tenant(
    connection: &mut PgConnection,
    tenant: &TenantId,
) -> Result<bool, sqlx::Error> {
    let made = sqlx::query(
        "insert into antiphon.tenants (id) values ($1) on conflict (id) do update set deleted = false where tenants.deleted",
    )
    .bind(tenant.as_str())
    .execute(connection)
    .await?;
    Ok(made.rows_affected() > 0)
}

/// The revision that the tenant gets if something changes; none: there is no such tenant.
pub(super) async fn next_revision(
    connection: &mut PgConnection,
    tenant: &TenantId,
) -> Result<Option<i64>, sqlx::Error> {
    sqlx::query_scalar(
        "select revision + 1 from antiphon.tenants where id = $1 and not deleted for no key update",
    )
    .bind(tenant.as_str())
    .fetch_optional(connection)
    .await
}

/// Raises the tenant to this revision: something changed.
pub(super) async fn raise(
    connection: &mut PgConnection,
    tenant: &TenantId,
    revision: i64,
) -> Result<(), sqlx::Error> {
    sqlx::query("update antiphon.tenants set revision = $2 where id = $1")
        .bind(tenant.as_str())
        .bind(revision)
        .execute(connection)
        .await?;
    Ok(())
}

/// Makes the user as of this revision, also one that was deleted; true if it was not there.
pub(super) async fn make_user(
    connection: &mut PgConnection,
    tenant: &TenantId,
    user: &UserId,
    revision: i64,
) -> Result<bool, sqlx::Error> {
    let made = sqlx::query(
        "insert into antiphon.users (tenant, id, revision) values ($1, $2, $3) \
         on conflict (tenant, id) do update set deleted = false, revision = excluded.revision where users.deleted",
    )
    .bind(tenant.as_str())
    .bind(user.as_str())
    .bind(revision)
    .execute(connection)
    .await?;
    Ok(made.rows_affected() > 0)
}

/// Makes the project; true if it was not there.
pub(super) async fn make_project(
    connection: &mut PgConnection,
    tenant: &TenantId,
    project: &ProjectId,
) -> Result<bool, sqlx::Error> {
    let made =
        sqlx::query("insert into antiphon.projects (tenant, id) values ($1, $2) on conflict do nothing")
            .bind(tenant.as_str())
            .bind(project.as_str())
            .execute(connection)
            .await?;
    Ok(made.rows_affected() > 0)
}
