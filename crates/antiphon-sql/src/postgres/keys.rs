//! API keys, by the SHA-256 of each.

use antiphon_core::{ApiKey, ApiKeys, NewKey, SeamError};
use async_trait::async_trait;

use super::{POSTGRES, PostgresEngine};
use crate::members::{self, KeyRow};

#[async_trait]
impl ApiKeys for PostgresEngine {
    async fn find_key(&self, hash: &[u8; 32]) -> Result<Option<ApiKey>, SeamError> {
        POSTGRES
            .within(self.options.operation_timeout, async {
                let found: Option<KeyRow> = sqlx::query_as(
                    "select id, hash, scopes, tenant, expires_at, created_at from antiphon.api_keys where hash = $1",
                )
                .bind(&hash[..])
                .fetch_optional(&self.pool)
                .await?;
                found.map(members::api_key).transpose()
            })
            .await
    }

    async fn add_key(&self, key: &NewKey) -> Result<(), SeamError> {
        POSTGRES
            .within(self.options.operation_timeout, async {
                sqlx::query(
                    "insert into antiphon.api_keys (id, hash, scopes, tenant, expires_at, created_at) \
                     values ($1, $2, $3, $4, $5, $6)",
                )
                .bind(&key.id)
                .bind(&key.hash[..])
                .bind(members::scopes_text(&key.scopes))
                .bind(key.tenant.as_ref().map(|tenant| tenant.as_str()))
                .bind(key.expires_at)
                .bind(key.created_at)
                .execute(&self.pool)
                .await?;
                Ok(())
            })
            .await
    }

    async fn list_keys(&self) -> Result<Vec<ApiKey>, SeamError> {
        POSTGRES
            .within(self.options.operation_timeout, async {
                let rows: Vec<KeyRow> = sqlx::query_as(
                    "select id, hash, scopes, tenant, expires_at, created_at from antiphon.api_keys order by made",
                )
                .fetch_all(&self.pool)
                .await?;
                rows.into_iter().map(members::api_key).collect()
            })
            .await
    }

    async fn revoke_key(&self, id: &str) -> Result<bool, SeamError> {
        POSTGRES
            .within(self.options.operation_timeout, async {
                let gone = sqlx::query("delete from antiphon.api_keys where id = $1")
                    .bind(id)
                    .execute(&self.pool)
                    .await?;
                Ok(gone.rows_affected() > 0)
            })
            .await
    }
}
