//! Notices: what changed for this session's user elsewhere.

use std::sync::Arc;

use antiphon_hub::Member;
use antiphon_node::{EndReason, Node};
use antiphon_protocol::{CloseCode, ServerFrame, TerminateReason, Topic};

use crate::{Act, Session};

impl Session {
    /// Is this its user?
    pub fn is_of(&self, member: &Arc<Member>) -> bool {
        self.caller.as_ref().is_some_and(|caller| Arc::ptr_eq(caller.login.member(), member))
    }

    /// Its user's memberships, settings or tokens have changed.
    pub fn member_changed(&mut self, node: &Node, acts: &mut Vec<Act>) {
        let Some(caller) = self.caller.clone() else { return };
        if self.is_closed {
            return;
        }
        if caller.is_revoked() {
            return self.terminate(TerminateReason::TokenRevoked, acts);
        }
        if caller.login.member().state().disconnects > caller.disconnects {
            acts.push(Act::Close(CloseCode::Restart, EndReason::Restart));
            self.is_closed = true;
            return;
        }
        let lost: Vec<Topic> = self.topics.0.iter().map(|(topic, _)| topic.clone()).collect();
        for topic in lost.into_iter().filter(|topic| !node.may_stay(&caller, topic)) {
            acts.extend(self.topics.remove(&topic).map(Act::Leave));
            let frame = ServerFrame::Unsubscribed { topic: topic.name(), reason: "FORBIDDEN" };
            acts.push(Act::Send(frame.encode()));
        }
    }
}
