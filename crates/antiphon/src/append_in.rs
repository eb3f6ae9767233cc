//! Publishing in the application's own transaction: its rows and the entry are committed together, or neither is.

use std::sync::Arc;

use antiphon_node::{By, Node};
use antiphon_protocol::{Draft, Position, Refusal, Topic};
use antiphon_sql::{AppendInError, append_in, sqlx::PgConnection};
use uuid::Uuid;

use crate::builder::{Antiphon, Log};

/// Why nothing was appended to the transaction.
#[derive(Debug, thiserror::Error)]
pub enum AppendError {
    /// There is no such tenant, it is nobody's topic, or the directory does not answer. The transaction is as it was.
    #[error("{}", .0.text)]
    Refused(Refusal),
    /// The node's log is on SQLite, which belongs to one process and one writer.
    #[error("the log is not on PostgreSQL: `publish` is the way on SQLite")]
    NotPostgres,
    /// PostgreSQL says no, and has ended the transaction, unless a savepoint stands before the call.
    #[error(transparent)]
    Sql(#[from] AppendInError),
}

impl AppendError {
    /// Whether the same transaction may succeed when it is repeated as a whole.
    pub fn is_worth_a_repeat(&self) -> bool {
        match self {
            Self::Refused(refusal) => refusal.retry_after_ms.is_some(),
            Self::NotPostgres => false,
            Self::Sql(error) => error.is_worth_a_repeat(),
        }
    }
}

/// What a transaction of the application's has appended, if it commits.
#[must_use = "ring it once the transaction is committed, or the entry is delivered some 15 ms later"]
pub struct Receipt {
    /// Where to.
    pub topic: Topic,
    /// The entry's id.
    pub id: Uuid,
    /// The entry's place in its topic.
    pub position: Position,
    /// Its key had been used before for the same content: nothing was written, and the id and position are the first one's.
    pub duplicate: bool,
    node: Arc<Node>,
}

impl Antiphon {
    /// Publishes as the application, in a transaction of its own on antiphon's PostgreSQL: nobody hears of it before that
    /// commits, and nobody ever does if it does not. After the commit [ring](Receipt::ring) the receipt.
    ///
    /// The connection's role needs `antiphon_publisher`, or to be the one that migrated. The topic is locked until the
    /// transaction ends, so publish last; several topics in the order of their names. The call waits for the topic for as
    /// long as the connection's `lock_timeout`, or for 2 seconds where none is set, and never for longer than
    /// `Limits::engine_timeout`.
    pub async fn append_in(
        &self,
        connection: &mut PgConnection,
        draft: Draft,
    ) -> Result<Receipt, AppendError> {
        let Log::Postgres { keeps_directory } = self.log else { return Err(AppendError::NotPostgres) };
        let node = self.doors().node();
        node.may_publish(&By::Key, &draft).await.map_err(AppendError::Refused)?;
        let append = append_in(connection, &draft, keeps_directory);
        let appended = tokio::time::timeout(node.limits().engine_timeout, append).await;
        let appended = appended.map_err(|_| AppendInError::Silent)??;
        Ok(Receipt {
            topic: draft.topic,
            id: appended.id,
            position: appended.position,
            duplicate: appended.duplicate,
            node: node.clone(),
        })
    }
}

impl Receipt {
    /// To be called once the transaction is committed: subscribers here and at every other node get the entry at once.
    ///
    /// It is safe at any time and as often as one likes: what is announced is what the log has, so that a transaction that
    /// was rolled back, or is not committed yet, announces nothing. What nobody rings for is delivered all the same, some
    /// 15 ms after the commit. False: there was nothing to announce, or the database did not answer.
    pub async fn ring(&self) -> bool {
        // The first one's was rung for.
        if self.duplicate {
            return false;
        }
        match self.node.ring(&self.topic, self.id).await {
            Ok(is_there) => is_there,
            Err(error) => {
                tracing::warn!(%error, "an entry that was not rung for comes a little later");
                false
            }
        }
    }
}

impl std::fmt::Debug for Receipt {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        let Self { topic, id, position, duplicate, node: _ } = self;
        let mut text = f.debug_struct("Receipt");
        text.field("topic", topic).field("id", id).field("position", position).field("duplicate", duplicate);
        text.finish()
    }
}
