//! Steps of a change of the directory, each inside of the change's transaction. A change makes what is missing as of the
//! tenant's next revision, and raises the tenant to it if anything changed.

use antiphon_protocol::{ProjectId, TenantId, UserId};
use sqlx::SqliteConnection;

/// Makes the tenant, also one that was deleted; true if it was not there.
pub(super) async fn make_tenant(
    connection: &mut SqliteConnection,
    tenant: &TenantId,
) -> Result<bool, sqlx::Error> {
    let made = sqlx::query(
        "insert into tenants (id) values (?1) on conflict (id) do update set deleted = 0 where tenants.deleted",
    )
    .bind(tenant.as_str())
    .execute(connection)
    .await?;
    Ok(made.rows_affected() > 0)
}

/// The revision that the tenant gets if something changes; none: there is no such tenant.
pub(super) async fn next_revision(
    connection: &mut SqliteConnection,
    tenant: &TenantId,
) -> Result<Option<i64>, sqlx::Error> {
    sqlx::query_scalar("select revision + 1 from tenants where id = ?1 and not deleted")
        .bind(tenant.as_str())
        .fetch_optional(connection)
        .await
}

/// Raises the tenant to this revision: something changed.
pub(super) async fn raise(
    connection: &mut SqliteConnection,
    tenant: &TenantId,
    revision: i64,
) -> Result<(), sqlx::Error> {
    sqlx::query("update tenants set revision = ?2 where id = ?1")
        .bind(tenant.as_str())
        .bind(revision)
        .execute(connection)
        .await?;
    Ok(())
}

/// Makes the user as of this revision, also one that was deleted; true if it was not there.
pub(super) async fn make_user(
    connection: &mut SqliteConnection,
    tenant: &TenantId,
    user: &UserId,
    revision: i64,
) -> Result<bool, sqlx::Error> {
    let made = sqlx::query(
        "insert into users (tenant, id, revision) values (?1, ?2, ?3) \
         on conflict (tenant, id) do update set deleted = 0, revision = excluded.revision where users.deleted",
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
    connection: &mut SqliteConnection,
    tenant: &TenantId,
    project: &ProjectId,
) -> Result<bool, sqlx::Error> {
    let made = sqlx::query("insert into projects (tenant, id) values (?1, ?2) on conflict do nothing")
        .bind(tenant.as_str())
        .bind(project.as_str())
        .execute(connection)
        .await?;
    Ok(made.rows_affected() > 0)
}
