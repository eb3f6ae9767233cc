//! The post's own form: what other programs publish on the channel named after the tenant's id.

use std::sync::Arc;

use antiphon_core::PlainInbox;
use antiphon_hub::{Delivery, Feed};
use antiphon_protocol::{Content, FRAME_TYPES, Position, ProjectId, TenantId, Topic, check_nesting};
use bytes::Bytes;
use serde::Deserialize;
use tokio::sync::mpsc;

use crate::{node::Node, state::parked::Parked};

#[derive(Deserialize)]
struct PlainFields {
    #[serde(default, rename = "type")]
    kind: Option<String>,
    /// Some if it is there at all, whatever it is.
    #[serde(default, deserialize_with = "present")]
    position: Option<serde_json::Value>,
    #[serde(default)]
    project: Option<PlainProject>,
}

#[derive(Deserialize)]
struct PlainProject {
    #[serde(default)]
    id: Option<ProjectId>,
}

fn present<'de, D: serde::Deserializer<'de>>(from: D) -> Result<Option<serde_json::Value>, D::Error> {
    serde_json::Value::deserialize(from).map(Some)
}

/// Types of frames that are named already and not spoken yet.
const LATER_TYPES: [&str; 3] = ["ACK", "UNREAD", "READ"];

/// What a plain message is.
enum Plain {
    Message(Delivery),
    /// An entry of ours that has come back.
    OwnCopy,
}

/// What it is, or why it is nothing.
fn read(bytes: &Bytes, high: Option<Position>) -> Result<Plain, &'static str> {
    if bytes.len() > Content::MAX_ENTRY_BYTES {
        return Err("it has more than 64 KiB");
    }
    let text = std::str::from_utf8(bytes).map_err(|_| "it is not UTF-8")?;
    if !text.trim_start().starts_with('{') || !check_nesting(text, 1) {
        return Err("it is not a JSON object nested at most 33 deep");
    }
    let fields: PlainFields =
        serde_json::from_str(text).map_err(|_| "it is not a JSON object of the form expected")?;
    if let Some(position) = fields.position {
        let position = position.as_str().and_then(|text| Position::parse(text).ok());
        // The epoch is a keyed hash: whoever did not see an entry of this topic can't say it.
        let is_own = position.zip(high).is_some_and(|(position, high)| position.epoch == high.epoch);
        return if is_own {
            Ok(Plain::OwnCopy)
        } else {
            Err("it has a position: only entries of the log have")
        };
    }
    if fields.kind.is_some_and(|kind| {
        kind != "MESSAGE" && [FRAME_TYPES, &LATER_TYPES].concat().contains(&kind.as_str())
    }) {
        return Err("its type is one of ours");
    }
    let project = fields.project.and_then(|project| project.id);
    // The fixed id stands for no project.
    let project = project.filter(|id| id.as_str() != antiphon_protocol::SYSTEM_PROJECT);
    Ok(Plain::Message(Delivery::signal(project, bytes)))
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
                Ok(revision) => self.judge(&feed, revision, delivery),
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
        match read(&bytes, feed.high()) {
            Ok(Plain::OwnCopy) => {}
            Ok(Plain::Message(delivery)) => self.queue_parked(Parked { feed, revision: None, delivery }),
            Err(reason) => {
                if self.metrics.plain_refused.inc() < 100 {
                    tracing::warn!(%tenant, reason, "dropped a plain message");
                }
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use antiphon_protocol::{Audience, Epoch, Link};

    fn kind(json: &str) -> Result<Option<Audience>, &'static str> {
        let high = Position { epoch: Epoch(0xe1), offset: 1, link: Link(1) };
        read(&Bytes::copy_from_slice(json.as_bytes()), Some(high)).map(|plain| match plain {
            Plain::Message(delivery) => Some(delivery.audience),
            Plain::OwnCopy => None,
        })
    }

    #[test]
    fn only_what_could_be_the_posts_own_message_gets_in() {
        assert_eq!(kind(r#"{"type":"MESSAGE","text":"x"}"#), Ok(Some(Audience::All)));
        assert_eq!(kind(r#"{"whatever":[1]}"#), Ok(Some(Audience::All)));
        let project = ProjectId::parse("p").unwrap();
        assert_eq!(kind(r#"{"project":{"id":"p"}}"#), Ok(Some(Audience::Project(project))));
        let system = format!(r#"{{"project":{{"id":"{}"}}}}"#, antiphon_protocol::SYSTEM_PROJECT);
        assert_eq!(kind(&system), Ok(Some(Audience::All)));
        for bad in [
            "",
            "5",
            "[1]",
            "nope",
            r#"{"type":"TERMINATE_CONNECTION"}"#,
            r#"{"type":"SIGNAL"}"#,
            r#"{"type":5}"#,
            r#"{"position":"x"}"#,
            r#"{"type":"MESSAGE","position":null}"#,
            r#"{"type":"READ"}"#,
            r#"{"position":"00000000000000e2-1-0000000000000001"}"#,
            r#"{"project":{"id":""}}"#,
        ] {
            assert!(kind(bad).is_err(), "{bad}");
        }
        assert!(kind(&format!(r#"{{"text":"{}"}}"#, "x".repeat(65_536))).is_err());
    }

    #[test]
    fn a_copy_of_our_own_entry_that_comes_back_is_dropped_without_a_word() {
        assert_eq!(kind(r#"{"type":"MESSAGE","position":"00000000000000e1-1-0000000000000001"}"#), Ok(None));
    }
}
