//! The tail: entries that other programs committed by SQL are announced like those of a node, by the one node that looks.

use std::{sync::Arc, time::Duration};

use antiphon_core::{Tail, Tailed, backoff};

use crate::node::Node;

/// How often the node that looks does, and how often another one asks whether it is to.
const LOOK_EVERY: Duration = Duration::from_millis(20);
const ASK_EVERY: Duration = Duration::from_secs(1);

impl Node {
    pub(crate) async fn run_tail(self: Arc<Self>, tail: Arc<dyn Tail>) {
        let mut failed = 0;
        loop {
            let wait = match self.timed("the tail", tail.look()).await {
                Ok(Tailed::Elsewhere) => ASK_EVERY,
                Ok(Tailed::Entries { entries, more }) => {
                    entries.iter().for_each(|entry| self.announce(entry));
                    if more { Duration::ZERO } else { LOOK_EVERY }
                }
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
}
