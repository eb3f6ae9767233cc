//! Tokens of users, by the SHA-256 of each, and what a JWT's user has to be.

use std::collections::HashMap;

use antiphon_core::{NewToken, OpaqueToken, SeamError, Tokens};
use antiphon_protocol::{TenantId, UserId};
use async_trait::async_trait;

use super::{
    POSTGRES, PostgresEngine,
    change::{make_tenant, make_user, next_revision, raise},
};
use crate::{
    error::Fault,
    tokens::{Admission, AdmissionRow, SWEEP_ROWS, TokenRow, opaque},
};

impl PostgresEngine {
    /// What stands for a JWT's user now; none: it was never there.
    async fn admission(&self, tenant: &TenantId, user: &UserId) -> Result<Admission, Fault> {
        let found: Option<AdmissionRow> = sqlx::query_as(
            "select t.deleted, t.tokens_revoked_before, u.deleted, u.revocations, u.tokens_revoked_before \
             from antiphon.tenants t left join antiphon.users u on u.tenant = t.id and u.id = $2 where t.id = $1",
        )
        .bind(tenant.as_str())
        .bind(user.as_str())
        .fetch_optional(&self.pool)
        .await?;
        Ok(Admission::of(found))
    }

    /// Makes what was never there, and a user that was deleted before the token was issued; a deleted tenant stays deleted,
    /// also if it was deleted just now.
    async fn make_for_token(&self, tenant: &TenantId, user: &UserId, issued_at: i64) -> Result<(), Fault> {
        let mut tx = self.begin().await?;
        sqlx::query("insert into antiphon.tenants (id) values ($1) on conflict do nothing")
            .bind(tenant.as_str())
            .execute(&mut *tx)
            .await?;
        let Some(revision) = next_revision(&mut tx, tenant).await? else {
            return Ok(());
        };
        let made = sqlx::query(
            "insert into antiphon.users (tenant, id, revision) values ($1, $2, $3) \
             on conflict (tenant, id) do update set deleted = false, revision = excluded.revision \
             where users.deleted and users.tokens_revoked_before <= $4",
        )
        .bind(tenant.as_str())
        .bind(user.as_str())
        .bind(revision)
        .bind(issued_at)
        .execute(&mut *tx)
        .await?;
        if made.rows_affected() > 0 {
            raise(&mut tx, tenant, revision).await?;
            tx.commit().await?;
        }
        Ok(())
    }
}

#[async_trait]
impl Tokens for PostgresEngine {
    async fn find_tokens(&self, hashes: &[[u8; 32]]) -> Result<Vec<Option<OpaqueToken>>, SeamError> {
        POSTGRES
            .within(self.options.operation_timeout, async {
                let asked: Vec<&[u8]> = hashes.iter().map(|hash| &hash[..]).collect();
                let rows: Vec<TokenRow> = sqlx::query_as(
                    "select k.hash, k.tenant, k.user_id, k.expires_at, u.revocations from antiphon.tokens k \
                     join antiphon.users u on u.tenant = k.tenant and u.id = k.user_id where k.hash = any($1) and not u.deleted",
                )
                .bind(asked)
                .fetch_all(&self.pool)
                .await?;
                let found: HashMap<_, _> = rows.into_iter().map(opaque).collect::<Result<_, _>>()?;
                Ok(hashes.iter().map(|hash| found.get(hash).cloned()).collect())
            })
            .await
    }

    async fn add_token(&self, token: &NewToken) -> Result<(), SeamError> {
        POSTGRES
            .within(self.options.operation_timeout, async {
                let mut tx = self.begin().await?;
                let new_tenant = make_tenant(&mut tx, &token.tenant).await?;
                let revision =
                    next_revision(&mut tx, &token.tenant).await?.ok_or(sqlx::Error::RowNotFound)?;
                let new_user = make_user(&mut tx, &token.tenant, &token.user, revision).await?;
                if new_tenant || new_user {
                    raise(&mut tx, &token.tenant, revision).await?;
                }
                sqlx::query(
                    "insert into antiphon.tokens (hash, tenant, user_id, expires_at) values ($1, $2, $3, $4)",
                )
                .bind(&token.hash[..])
                .bind(token.tenant.as_str())
                .bind(token.user.as_str())
                .bind(token.expires_at)
                .execute(&mut *tx)
                .await?;
                tx.commit().await?;
                Ok(())
            })
            .await
    }

    async fn revoke_tokens(&self, tenant: &TenantId, user: &UserId, now_ms: i64) -> Result<bool, SeamError> {
        POSTGRES
            .within(self.options.operation_timeout, async {
                let mut tx = self.begin().await?;
                let Some(revision) = next_revision(&mut tx, tenant).await? else {
                    return Ok(false);
                };
                let revoked = sqlx::query(
                    "update antiphon.users set revocations = revocations + 1, revision = $3, \
                     tokens_revoked_before = greatest(tokens_revoked_before, $4) \
                     where tenant = $1 and id = $2 and not deleted",
                )
                .bind(tenant.as_str())
                .bind(user.as_str())
                .bind(revision)
                .bind(now_ms)
                .execute(&mut *tx)
                .await?;
                if revoked.rows_affected() == 0 {
                    return Ok(false);
                }
                raise(&mut tx, tenant, revision).await?;
                sqlx::query("delete from antiphon.tokens where tenant = $1 and user_id = $2")
                    .bind(tenant.as_str())
                    .bind(user.as_str())
                    .execute(&mut *tx)
                    .await?;
                tx.commit().await?;
                Ok(true)
            })
            .await
    }

    async fn admit_user(
        &self,
        tenant: &TenantId,
        user: &UserId,
        issued_at: i64,
    ) -> Result<(u64, Option<i64>), SeamError> {
        POSTGRES
            .within(self.options.operation_timeout, async {
                let admission = self.admission(tenant, user).await?;
                if !admission.is_made_by(issued_at) {
                    return Ok(admission.answer());
                }
                self.make_for_token(tenant, user, issued_at).await?;
                Ok(self.admission(tenant, user).await?.answer())
            })
            .await
    }

    async fn sweep_tokens(&self, now_ms: i64) -> Result<u64, SeamError> {
        POSTGRES
            .within(self.options.operation_timeout, async {
                let gone = sqlx::query(
                    "delete from antiphon.tokens where hash in (select hash from antiphon.tokens where expires_at < $1 limit $2)",
                )
                .bind(now_ms)
                .bind(SWEEP_ROWS)
                .execute(&self.pool)
                .await?;
                Ok(gone.rows_affected())
            })
            .await
    }
}
