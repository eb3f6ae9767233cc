//! Migrations of PostgreSQL: one process at a time by an advisory lock, each migration in its own transaction.

use antiphon_protocol::{ClusterSecret, now_ms};
use sqlx::{Connection, PgConnection};

use crate::{
    error::SqlError,
    migration::{self, Migration, SchemaStatus},
};

const MIGRATIONS: &[Migration] = &[
    Migration { version: 1, name: "first", sql: include_str!("../../migrations/postgres/0001_first.sql") },
    Migration { version: 2, name: "sql", sql: include_str!("../../migrations/postgres/0002_sql.sql") },
    Migration {
        version: 3,
        name: "retention",
        sql: include_str!("../../migrations/postgres/0003_retention.sql"),
    },
];

/// The advisory lock: "antiphon" in bytes.
const LOCK: i64 = i64::from_be_bytes(*b"antiphon");

/// Brings the schema up to date; the versions that were applied.
pub(super) async fn migrate(connection: &mut PgConnection, name: &str) -> Result<Vec<i64>, SqlError> {
    let error = |error| SqlError::of(name, error);
    // A migration may take long; waiting for another's end may not for ever. The lock ends with the connection.
    sqlx::query(
        "select set_config('statement_timeout', '0', false), set_config('lock_timeout', '60s', false)",
    )
    .execute(&mut *connection)
    .await
    .map_err(error)?;
    sqlx::query("select pg_advisory_lock($1)").bind(LOCK).execute(&mut *connection).await.map_err(error)?;
    let migrated = migrate_locked(connection, name).await;
    sqlx::query("select pg_advisory_unlock($1)").bind(LOCK).execute(connection).await.map_err(error)?;
    migrated
}

async fn migrate_locked(connection: &mut PgConnection, name: &str) -> Result<Vec<i64>, SqlError> {
    let error = |error| SqlError::of(name, error);
    let applied = if is_there(connection, name).await? {
        applied(connection, name).await?
    } else {
        sqlx::raw_sql(
            "create schema if not exists antiphon; \
             create table antiphon.schema_migrations (version bigint primary key, name text not null, \
             checksum bytea not null, applied_at bigint not null)",
        )
        .execute(&mut *connection)
        .await
        .map_err(error)?;
        Vec::new()
    };
    let missing = migration::to_apply(name, MIGRATIONS, &applied)?;
    for migration in MIGRATIONS.iter().filter(|migration| missing.contains(&migration.version)) {
        let mut tx = connection.begin().await.map_err(error)?;
        sqlx::raw_sql(migration.sql).execute(&mut *tx).await.map_err(error)?;
        sqlx::query(
            "insert into antiphon.schema_migrations (version, name, checksum, applied_at) values ($1, $2, $3, $4)",
        )
        .bind(migration.version)
        .bind(migration.name)
        .bind(migration.checksum())
        .bind(now_ms())
        .execute(&mut *tx)
        .await
        .map_err(error)?;
        sqlx::query("insert into antiphon.cluster (one, secret) values (1, $1) on conflict do nothing")
            .bind(rand::random::<[u8; 32]>().to_vec())
            .execute(&mut *tx)
            .await
            .map_err(error)?;
        tx.commit().await.map_err(error)?;
    }
    Ok(missing)
}

pub(super) async fn status(connection: &mut PgConnection, name: &str) -> Result<SchemaStatus, SqlError> {
    let applied =
        if is_there(connection, name).await? { applied(connection, name).await? } else { Vec::new() };
    migration::compare(name, MIGRATIONS, &applied)
}

/// A schema that this program must not touch.
pub(super) fn newer(name: &str, unknown: Vec<i64>) -> SqlError {
    let known = MIGRATIONS.last().map_or(0, |migration| migration.version);
    SqlError::Newer { database: name.to_owned(), unknown, known }
}

async fn is_there(connection: &mut PgConnection, name: &str) -> Result<bool, SqlError> {
    sqlx::query_scalar("select to_regclass('antiphon.schema_migrations') is not null")
        .fetch_one(connection)
        .await
        .map_err(|error| SqlError::of(name, error))
}

async fn applied(connection: &mut PgConnection, name: &str) -> Result<Vec<(i64, Vec<u8>)>, SqlError> {
    sqlx::query_as("select version, checksum from antiphon.schema_migrations order by version")
        .fetch_all(connection)
        .await
        .map_err(|error| SqlError::of(name, error))
}

pub(super) async fn secret(connection: &mut PgConnection, name: &str) -> Result<ClusterSecret, SqlError> {
    let secret: Vec<u8> = sqlx::query_scalar("select secret from antiphon.cluster")
        .fetch_one(connection)
        .await
        .map_err(|error| SqlError::of(name, error))?;
    let broken =
        |_| SqlError::Broken { database: name.to_owned(), cause: "the secret has not 32 bytes".into() };
    Ok(ClusterSecret::new(secret.try_into().map_err(broken)?))
}
