//! Ring: what an application has appended in a transaction of its own is announced as soon as it says that it has committed.
//! What it says is not believed: only what the store shows is announced. What is not rung for, the tail finds.

use antiphon_core::{Action, SeamError};
use antiphon_protocol::{Draft, Refusal, Topic, encode_message};
use uuid::Uuid;

use crate::{
    caller::By,
    node::{Node, refuse},
};

impl Node {
    /// May this be published now? For what is then appended in a transaction of the caller's own.
    pub async fn may_publish(&self, by: &By, draft: &Draft) -> Result<(), Refusal> {
        self.guard()?;
        let tenant = draft.topic.tenant();
        let revision = self.fresh(tenant).await.map_err(|error| refuse(&error))?;
        if !self.exists_at(tenant, revision).await.map_err(|error| refuse(&error))? {
            return Err(Refusal::forbidden());
        }
        self.authorize(by, Action::Publish, &draft.topic, draft.project().as_ref())
    }

    /// Announces an entry that others than this node have appended, if it is in the log; false: it is not. A second time is
    /// harmless: a feed drops what it has seen.
    pub async fn ring(&self, topic: &Topic, id: Uuid) -> Result<bool, SeamError> {
        let Some(mut entry) = self.timed("the store", self.engines.store.entry(topic, id)).await? else {
            return Ok(false);
        };
        // Asked after the entry was seen: whoever was removed before its commit does not get it.
        entry.revision = self.fresh(topic.tenant()).await?;
        // The tail counts it, and posts the plain copy: that one has no position by which a second would be known.
        self.tell(&entry, encode_message(&entry).into());
        Ok(true)
    }
}
