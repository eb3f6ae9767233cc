//! Leases of nodes. On SQLite there is one serving process, but its nodes (as in the demo) can be several.

use antiphon_core::{Lease, Presence, SeamError};
use antiphon_protocol::NodeId;
use async_trait::async_trait;

use super::{SQLITE, SqliteEngine};
use crate::row::bound;

#[async_trait]
impl Presence for SqliteEngine {
    async fn renew(&self, lease: Lease, ttl_ms: u64) -> Result<Vec<Lease>, SeamError> {
        SQLITE
            .within(self.options.operation_timeout, async {
                let mut tx = self.begin().await?;
                let now: i64 = sqlx::query_scalar("select cast(unixepoch('subsec') * 1000 as integer)")
                    .fetch_one(&mut *tx)
                    .await?;
                sqlx::query("delete from leases where expires_at <= ?1").bind(now).execute(&mut *tx).await?;
                sqlx::query(
                    "insert into leases (node, connections, expires_at) values (?1, ?2, ?3) on conflict (node) \
                     do update set connections = excluded.connections, expires_at = excluded.expires_at",
                )
                .bind(lease.node.0.cast_signed())
                .bind(bound(lease.connections))
                .bind(now.saturating_add(bound(ttl_ms)))
                .execute(&mut *tx)
                .await?;
                let rows: Vec<(i64, i64)> =
                    sqlx::query_as("select node, connections from leases order by node").fetch_all(&mut *tx).await?;
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
        SQLITE
            .within(self.options.operation_timeout, async {
                let release = sqlx::query("delete from leases where node = ?1").bind(node.0.cast_signed());
                release.execute(&self.writer).await?;
                Ok(())
            })
            .await
    }
}
