//! The post's own form: what other programs publish on the channel named after the tenant's id.

use std::sync::Arc;

use antiphon_core::PlainInbox;
use antiphon_hub::{Delivery, Feed};
use antiphon_protocol::{Content, FRAME_TYPES, ProjectId, TenantId, Topic, check_nesting};
use bytes::Bytes;
use serde::Deserialize;
use tokio::sync::mpsc;

use crate::{node::Node, state::parked::Parked};

#[derive(Deserialize)]
struct PlainFields {
    #[serde(default, rename = "type")]
    kind: Option<String>,
    #[serde(default)]
    position: Option<serde::de::IgnoredAny>,
    #[serde(default)]
    project: Option<PlainProject>,
}

#[derive(Deserialize)]
struct PlainProject {
    #[serde(default)]
    id: Option<ProjectId>,
}

/// The delivery, or why it is none.
fn read(bytes: &Bytes) -> Result<Delivery, &'static str> {
    if bytes.len() > Content::MAX_ENTRY_BYTES {
        return Err("it has more than 64 KiB");
    }
    let text = std::str::from_utf8(bytes).map_err(|_| "it is not UTF-8")?;
    if !text.trim_start().starts_with('{') || !check_nesting(text) {
        return Err("it is not a JSON object nested at most 32 deep");
    }
    let fields: PlainFields =
        serde_json::from_str(text).map_err(|_| "it is not a JSON object of the form expected")?;
    if fields.position.is_some() {
        return Err("it has a position: only entries of the log have");
    }
    if fields.kind.is_some_and(|kind| kind != "MESSAGE" && FRAME_TYPES.contains(&kind.as_str())) {
        return Err("its type is one of ours");
    }
    let project = fields.project.and_then(|project| project.id);
    // The fixed id stands for no project.
    let project = project.filter(|id| id.as_str() != antiphon_protocol::SYSTEM_PROJECT);
    Ok(Delivery::signal(project, bytes))
}

impl Node {
    /// Lets a signal wait until what is held here is as new as it has to be.
    pub(crate) fn park(&self, feed: Arc<Feed>, revision: u64, delivery: Delivery) {
        self.queue_parked(Parked { feed, revision: Some(revision), delivery });
    }

    fn queue_parked(&self, parked: Parked) {
        if self.plain_queue.0.try_send(parked).is_err() {
            self.metrics.signals_dropped.inc();
        }
    }

    pub(crate) async fn run_plain(self: Arc<Self>, mut queue: mpsc::Receiver<Parked>) {
        while let Some(Parked { feed, revision, delivery }) = queue.recv().await {
            let tenant = feed.topic().tenant();
            let fresh = match revision {
                Some(revision) => self.audience_at(tenant, revision).await.map(|()| revision),
                None => self.fresh(tenant).await,
            };
            match fresh {
                Ok(revision) => drop(feed.offer_signal(revision, delivery)),
                Err(error) => {
                    self.metrics.signals_dropped.inc();
                    tracing::warn!(%error, "dropped something ephemeral whose receivers are not known");
                }
            }
        }
    }
}

impl PlainInbox for Node {
    fn plain(&self, tenant: &TenantId, bytes: Bytes) {
        let Some(feed) = self.hub.feed(&Topic::of_tenant(tenant)) else { return };
        match read(&bytes) {
            Ok(delivery) => self.queue_parked(Parked { feed, revision: None, delivery }),
            Err("it has a position: only entries of the log have") => {}
            Err(reason) => {
                if self.metrics.plain_refused.inc() < 100 {
                    tracing::warn!(%tenant, reason, "dropped a plain message");
                }
            }
        }
    }
}
