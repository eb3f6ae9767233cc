//! May it? Decided from memory, which whoever asks has made fresh.

use std::{sync::Arc, time::Instant};

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
        if own && !caller.is_revoked() && !state.is_void() && self.engines.authorizer.allows(&access) {
            Ok(())
        } else {
            Err(Refusal::forbidden())
        }
    }

    /// One more frame or request of this caller, within what its user and its tenant have at this node.
    pub fn keep_shares(&self, caller: &Caller) -> Result<(), Refusal> {
        let limits = &self.limits;
        if limits.user_rate == 0 && limits.tenant_rate == 0 {
            return Ok(());
        }
        let (now, tenant) = (Instant::now(), caller.tenant());
        let user = (tenant.clone(), caller.identity.user.clone());
        let taken = self.shares.users.take(&user, limits.rate(limits.user_rate), now);
        let taken =
            taken.and_then(|()| self.shares.tenants.take(tenant, limits.rate(limits.tenant_rate), now));
        taken.map_err(Refusal::rate_limited)
    }

    /// May this caller still be subscribed to this topic? From memory.
    pub fn may_stay(&self, caller: &Arc<Caller>, topic: &Topic) -> bool {
        self.authorize(&By::User(caller.clone()), Action::Subscribe, topic, None).is_ok()
    }
}
