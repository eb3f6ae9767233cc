//! Leases of nodes, by the server's clock: one for all.

use antiphon_core::{Lease, Presence, SeamError};
use antiphon_protocol::NodeId;
use async_trait::async_trait;

use super::{POSTGRES, PostgresEngine};
use crate::row::bound;

/// Beyond this nothing is a lease: a year.
const MAX_TTL_MS: u64 = 365 * 24 * 3600 * 1000;

#[async_trait]
impl Presence for PostgresEngine {
    async fn renew(&self, lease: Lease, ttl_ms: u64) -> Result<Vec<Lease>, SeamError> {
        POSTGRES
            .within(self.options.operation_timeout, async {
                let mut tx = self.pool.begin().await?;
                sqlx::query("delete from antiphon.leases where expires_at <= now() and node <> $1")
.bind(lease.node.0.cast_signed()).execute(&mut *tx).await?;
                sqlx::query(
                    "insert into antiphon.leases (node, connections, expires_at) values ($1, $2, now() + $3::bigint * interval '1 millisecond') on conflict (node) \
                     do update set connections = excluded.connections, expires_at = excluded.expires_at",
                )
                .bind(lease.node.0.cast_signed())
                .bind(bound(lease.connections))
                .bind(bound(ttl_ms.min(MAX_TTL_MS)))
                .execute(&mut *tx)
                .await?;
                let rows: Vec<(i64, i64)> =
                    sqlx::query_as("select node, connections from antiphon.leases order by node").fetch_all(&mut *tx).await?;
                tx.commit().await?;
                let lease = |(node, connections): (i64, i64)| Lease {
                    node: NodeId(node.cast_unsigned()),
                    connections: connections.cast_unsigned(),
                };
                Ok(rows.into_iter().map(lease).collect())
            })
            .await
    }

    async fn release(&self, node: NodeId) -> Result<(), SeamError> {
        POSTGRES
            .within(self.options.operation_timeout, async {
                let release =
                    sqlx::query("delete from antiphon.leases where node = $1").bind(node.0.cast_signed());
                release.execute(&self.pool).await?;
                Ok(())
            })
            .await
    }
}
