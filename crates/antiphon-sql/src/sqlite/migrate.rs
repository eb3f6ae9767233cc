//! Migrations of SQLite: all that are missing in one exclusive transaction, so that two who begin at once do it once.

use antiphon_protocol::{ClusterSecret, now_ms};
use sqlx::{Connection, SqliteConnection};

use crate::{
    error::SqlError,
    migration::{self, Migration, SchemaStatus},
};

const MIGRATIONS: &[Migration] = &[
    Migration { version: 1, name: "first", sql: include_str!("../../migrations/sqlite/0001_first.sql") },
    Migration { version: 2, name: "deleted", sql: include_str!("../../migrations/sqlite/0002_deleted.sql") },
    Migration {
        version: 3,
        name: "retention",
        sql: include_str!("../../migrations/sqlite/0003_retention.sql"),
    },
];

/// Brings the schema up to date; the versions that were applied.
pub(super) async fn migrate(connection: &mut SqliteConnection, name: &str) -> Result<Vec<i64>, SqlError> {
    let error = |error| SqlError::of(name, error);
    let mut tx = connection.begin_with("begin immediate").await.map_err(error)?;
    sqlx::query(
        "create table if not exists schema_migrations (version integer primary key, name text not null, \
         checksum blob not null, applied_at integer not null) strict",
    )
    .execute(&mut *tx)
    .await
    .map_err(error)?;
    let missing = migration::to_apply(name, MIGRATIONS, &applied(&mut tx, name).await?)?;
    for migration in MIGRATIONS.iter().filter(|migration| missing.contains(&migration.version)) {
        sqlx::raw_sql(migration.sql).execute(&mut *tx).await.map_err(error)?;
        sqlx::query(
            "insert into schema_migrations (version, name, checksum, applied_at) values (?1, ?2, ?3, ?4)",
        )
        .bind(migration.version)
        .bind(migration.name)
        .bind(migration.checksum())
        .bind(now_ms())
        .execute(&mut *tx)
        .await
        .map_err(error)?;
    }
    sqlx::query("insert into cluster (one, secret) values (1, ?1) on conflict do nothing")
        .bind(rand::random::<[u8; 32]>().to_vec())
        .execute(&mut *tx)
        .await
        .map_err(error)?;
    tx.commit().await.map_err(error)?;
    Ok(missing)
}

pub(super) async fn status(connection: &mut SqliteConnection, name: &str) -> Result<SchemaStatus, SqlError> {
    let tables = "select count(*) from sqlite_schema where type = 'table' and name = 'schema_migrations'";
    let there: i64 = sqlx::query_scalar(tables)
        .fetch_one(&mut *connection)
        .await
        .map_err(|error| SqlError::of(name, error))?;
    let applied = if there == 0 { Vec::new() } else { applied(connection, name).await? };
    migration::compare(name, MIGRATIONS, &applied)
}

pub(super) fn status_of_nothing(name: &str) -> Result<SchemaStatus, SqlError> {
    migration::compare(name, MIGRATIONS, &[])
}

async fn applied(connection: &mut SqliteConnection, name: &str) -> Result<Vec<(i64, Vec<u8>)>, SqlError> {
    sqlx::query_as("select version, checksum from schema_migrations order by version")
        .fetch_all(connection)
        .await
        .map_err(|error| SqlError::of(name, error))
}

pub(super) async fn secret(connection: &mut SqliteConnection, name: &str) -> Result<ClusterSecret, SqlError> {
    let secret: Vec<u8> = sqlx::query_scalar("select secret from cluster")
        .fetch_one(connection)
        .await
        .map_err(|error| SqlError::of(name, error))?;
    let broken =
        |_| SqlError::Broken { database: name.to_owned(), cause: "the secret has not 32 bytes".into() };
    Ok(ClusterSecret::new(secret.try_into().map_err(broken)?))
}
