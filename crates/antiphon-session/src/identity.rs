//! Who speaks: the token that the first frame has to show, later ones that renew it, and their ends.

use std::sync::Arc;

use antiphon_core::AuthError;
use antiphon_node::{Caller, EndReason, Node};
use antiphon_protocol::{CloseCode, CommandFrame, Refusal, ServerFrame, SystemEntry, TerminateReason};
use sha2::{Digest, Sha256};

use crate::{
    Act, Operation, Session,
    drive::{Asked, Wait},
};

/// Says which token was shown without keeping it.
fn tag(token: &str) -> [u8; 16] {
    let digest = Sha256::digest(token);
    let mut tag = [0; 16];
    tag.copy_from_slice(&digest[..16]);
    tag
}

impl Session {
    /// Carries a frame out once its identity is known.
    pub(crate) fn identify(
        &mut self,
        node: &Node,
        mut frame: CommandFrame,
        now_ms: i64,
        acts: &mut Vec<Act>,
    ) {
        let shown = frame.token.as_deref().map(tag);
        match (&self.caller, shown) {
            // It did show one, and was told to come again with it: what it said behind that is not worth its end.
            (None, None) if self.was_shown => {
                self.refuse(frame.reference.as_deref(), None, Refusal::unavailable(1000), acts);
            }
            (None, None) => {
                self.warn("the first frame has none", "no token was provided");
                self.terminate(TerminateReason::NoTokenProvided, acts);
            }
            (Some(caller), None) => {
                if caller.identity.expires_at.is_some_and(|ends| ends <= now_ms) {
                    return self.terminate(TerminateReason::TokenExpired, acts);
                }
                self.carry_out(node, frame, acts);
            }
            (Some(caller), Some(shown)) if shown == self.token_tag => {
                if caller.identity.expires_at.is_some_and(|ends| ends <= now_ms) {
                    return self.invalid("it has ended", acts);
                }
                self.carry_out(node, frame, acts);
            }
            (_, Some(shown)) => {
                if !self.in_flight.is_empty() {
                    self.held = Some(Box::new(frame));
                    return;
                }
                let token = frame.token.take().unwrap_or_default();
                self.wait = Wait::Answer(Box::new(Asked::Token(frame, shown)));
                acts.push(Act::Operate(Operation::Authenticate(token)));
            }
        }
    }

    pub(crate) fn token_checked(
        &mut self,
        node: &Node,
        frame: CommandFrame,
        shown: [u8; 16],
        checked: Result<Arc<Caller>, AuthError>,
        now_ms: i64,
        acts: &mut Vec<Act>,
    ) {
        let caller = match checked {
            Ok(caller) => caller,
            Err(AuthError::Invalid(reason)) => {
                return self.invalid(reason, acts);
            }
            Err(AuthError::Seam(error)) => {
                tracing::warn!(%error, "a token could not be checked");
                // Time to show it again.
                (self.opened_ms, self.was_shown) = (now_ms, true);
                return self.refuse(frame.reference.as_deref(), None, Refusal::unavailable(1000), acts);
            }
        };
        let is_other = self.caller.as_ref().is_some_and(|held| {
            held.identity.tenant != caller.identity.tenant || held.identity.user != caller.identity.user
        });
        if is_other {
            return self.invalid("it is another user's", acts);
        }
        if caller.identity.expires_at.is_some_and(|ends| ends <= now_ms) {
            return self.invalid("it has ended", acts);
        }
        if caller.is_revoked() {
            return self.invalid("it was revoked", acts);
        }
        if self.caller.is_none() {
            acts.push(Act::Identified);
        }
        (self.caller, self.token_tag, self.opening) = (Some(caller), shown, None);
        // What changed while it was checked was told to those who were known already.
        self.member_changed(node, acts);
        if !self.is_closed {
            self.carry_out(node, frame, acts);
        }
    }

    fn invalid(&mut self, reason: &'static str, acts: &mut Vec<Act>) {
        self.warn(reason, "a socket message shows no valid token");
        self.terminate(TerminateReason::InvalidToken, acts);
    }

    /// Tells the operator who it is: what its upgrade claimed, or, once it is known, its user. What is claimed is bounded
    /// where it is read, and given as text, which the log escapes.
    fn warn(&self, reason: &'static str, what: &'static str) {
        let opening = self.opening.as_deref();
        let identity = self.caller.as_deref().map(|caller| &caller.identity);
        tracing::warn!(
            reason,
            agent = opening.and_then(|opening| opening.user_agent.as_deref()),
            forwarded_for = opening.and_then(|opening| opening.forwarded_for.as_deref()),
            address = opening.and_then(|opening| opening.address).map(tracing::field::display),
            tenant = identity.map(|identity| identity.tenant.as_str()),
            user = identity.map(|identity| identity.user.as_str()),
            "{what}"
        );
    }

    pub(crate) fn terminate(&mut self, reason: TerminateReason, acts: &mut Vec<Act>) {
        acts.push(Act::Send(
            ServerFrame::TerminateConnection { text: reason, entry: SystemEntry::fresh() }.encode(),
        ));
        acts.push(Act::Close(CloseCode::Terminated, EndReason::Terminated));
        self.is_closed = true;
    }

    /// Time has passed: what has ended by it? Returns when to ask again (ms), if ever.
    pub fn tick(&mut self, node: &Node, now_ms: i64, acts: &mut Vec<Act>) -> Option<i64> {
        if self.is_closed {
            return None;
        }
        match &self.caller {
            // It is shown and being checked, however long that takes.
            None if matches!(self.wait, Wait::Answer(_)) => {
                Some(now_ms + node.limits().first_token_timeout.as_millis() as i64)
            }
            None => {
                let until = self.opened_ms + node.limits().first_token_timeout.as_millis() as i64;
                if now_ms >= until {
                    self.warn("none came in time", "no token was provided");
                    self.terminate(TerminateReason::NoTokenProvided, acts);
                }
                Some(until)
            }
            Some(caller) => {
                let ends = caller.identity.expires_at?;
                if now_ms >= ends {
                    self.terminate(TerminateReason::TokenExpired, acts);
                }
                Some(ends)
            }
        }
    }
}
