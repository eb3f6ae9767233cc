//! The tail: entries that other programs committed by SQL are announced like those of a node, by the one node that looks.

use std::{collections::HashMap, sync::Arc, time::Duration};

use antiphon_core::{SeamError, Tail, Tailed, backoff};
use antiphon_protocol::{Entry, TenantId};

use crate::node::Node;

/// How often the node that looks does, and how often another one asks whether it is to.
const LOOK_EVERY: Duration = Duration::from_millis(20);
const ASK_EVERY: Duration = Duration::from_secs(1);

impl Node {
    pub(crate) async fn run_tail(self: Arc<Self>, tail: Arc<dyn Tail>) {
        let mut failed = 0;
        loop {
            let wait = match self.look(&*tail).await {
                Ok(wait) => wait,
                Err(error) => {
                    if failed == 0 {
                        tracing::warn!(%error, "what other programs publish comes with the tick for now");
                    }
                    failed += 1;
                    tokio::time::sleep(backoff(failed)).await;
                    continue;
                }
            };
            failed = 0;
            tokio::time::sleep(wait).await;
        }
    }
    /// Looks once, and tells how long to wait.
    async fn look(&self, tail: &dyn Tail) -> Result<Duration, SeamError> {
        match self.timed("the tail", tail.look()).await? {
            Tailed::Elsewhere => Ok(ASK_EVERY),
            Tailed::Entries { mut entries, more } => {
                self.stamp(&mut entries).await?;
                entries.iter().for_each(|entry| self.announce(entry));
                Ok(if more { Duration::ZERO } else { LOOK_EVERY })
            }
        }
    }

    /// Stamps what has no revision, since its tenant is kept elsewhere, with the one that the directory has now.
    async fn stamp(&self, entries: &mut [Entry]) -> Result<(), SeamError> {
        let mut revisions: HashMap<TenantId, u64> = HashMap::new();
        for entry in entries.iter_mut().filter(|entry| entry.revision == 0) {
            let tenant = entry.topic.tenant();
            entry.revision = match revisions.get(tenant) {
                Some(revision) => *revision,
                None => {
                    let revision = self.fresh(tenant).await?;
                    revisions.insert(tenant.clone(), revision);
                    revision
                }
            };
        }
        Ok(())
    }
}
