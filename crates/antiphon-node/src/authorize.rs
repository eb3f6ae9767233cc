//! May it? Decided from memory, which whoever asks has made fresh.

use std::sync::Arc;

use antiphon_core::{Access, Action, Membership};
use antiphon_hub::MemberState;
use antiphon_protocol::{ProjectId, Refusal, Topic};

use crate::{
    caller::{By, Caller},
    node::Node,
};

struct Of<'a>(&'a MemberState);

impl Membership for Of<'_> {
    fn is_member(&self, project: &ProjectId) -> bool {
        self.0.projects.contains_key(project)
    }
}

impl Node {
    /// May it? Decided from memory, which the caller of this has made fresh.
    pub(crate) fn authorize(
        &self,
        by: &By,
        action: Action,
        topic: &Topic,
        project: Option<&ProjectId>,
    ) -> Result<(), Refusal> {
        let caller = match by {
            By::User(caller) => caller,
            By::Key if topic.kind() == antiphon_protocol::TopicKind::Reserved => {
                return Err(Refusal::forbidden());
            }
            By::Key => return Ok(()),
        };
        let state = caller.login.member().state();
        let membership = Of(&state);
        let access = Access { user: &caller.identity.user, action, topic, project, membership: &membership };
        let own = topic.tenant() == caller.tenant();
        if own && !caller.is_revoked() && self.engines.authorizer.allows(&access) {
            Ok(())
        } else {
            Err(Refusal::forbidden())
        }
    }

    /// May this caller still be subscribed to this topic? From memory.
    pub fn may_stay(&self, caller: &Arc<Caller>, topic: &Topic) -> bool {
        self.authorize(&By::User(caller.clone()), Action::Subscribe, topic, None).is_ok()
    }
}
