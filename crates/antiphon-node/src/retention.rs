//! Retention: what is too old or too much goes from the store, step by step.

use std::{sync::Arc, time::Duration};

use antiphon_core::{Retention, TrimCursor};
use antiphon_protocol::now_ms;
use tokio::time::{Instant, MissedTickBehavior, interval};

use crate::node::Node;

/// How often a round of trimming begins.
const EVERY: Duration = Duration::from_secs(60);
/// How long one may take; what is left then goes on with the next.
const ROUND: Duration = Duration::from_secs(45);

impl Node {
    pub(crate) async fn run_retention(self: Arc<Self>) {
        let mut every = interval(EVERY);
        every.set_missed_tick_behavior(MissedTickBehavior::Delay);
        let mut from = TrimCursor::default();
        loop {
            every.tick().await;
            from = self.trim_round(from).await;
            if let Some(tokens) = &self.engines.tokens
                && let Err(error) = self.bounded("the tokens", tokens.sweep_tokens(now_ms())).await
            {
                tracing::warn!(%error, "ended tokens are removed later");
            }
        }
    }

    /// Goes on with a round; where the next one does.
    async fn trim_round(&self, mut from: TrimCursor) -> TrimCursor {
        let until = Instant::now() + ROUND;
        while Instant::now() < until {
            let keep = self.kept_now();
            if keep == Retention::default() {
                break;
            }
            match self.bounded("the store", self.engines.store.trim(&keep, from)).await {
                Ok(trimmed) => {
                    tracing::debug!(removed = trimmed.removed, "entries past the retention are gone");
                    let Some(next) = trimmed.next else { return TrimCursor::default() };
                    from = next;
                }
                Err(error) => {
                    tracing::warn!(%error, "the retention goes on later");
                    break;
                }
            }
        }
        from
    }

    fn kept_now(&self) -> Retention {
        let limits = &self.limits;
        let keep_ms = limits.retention.map(|keep| i64::try_from(keep.as_millis()).unwrap_or(i64::MAX));
        Retention {
            before_ms: keep_ms.map(|keep_ms| now_ms().saturating_sub(keep_ms)),
            entries: limits.retention_count,
            bytes: limits.retention_bytes,
        }
    }
}
