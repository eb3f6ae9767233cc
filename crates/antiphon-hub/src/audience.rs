//! Who is meant: the connected users of each tenant, with what their memberships and settings say, as of a
//! revision. Deciding for a subscriber is a look into memory.

use std::{
    collections::HashMap,
    sync::{
        Arc,
        atomic::{AtomicU64, Ordering},
    },
};

use antiphon_protocol::{Audience, ProjectId, TenantId, UserId};
use arc_swap::ArcSwap;
use parking_lot::Mutex;

/// What decides for one user, as of a tenant revision.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct MemberState {
    /// The user exists.
    pub exists: bool,
    /// Counts revocations of its tokens.
    pub revocations: u64,
    /// Counts disconnects that the application asked for.
    pub disconnects: u64,
    /// The projects it is a member of, and whether it wants their entries.
    pub projects: HashMap<ProjectId, bool>,
}

impl MemberState {
    /// More disconnects than any application asks for.
    pub(crate) const VOID: u64 = u64::MAX;

    /// It came from a directory that is another one now: nothing may rest on it any more.
    pub fn is_void(&self) -> bool {
        self.disconnects == Self::VOID
    }
}

/// A connected user of a tenant.
#[derive(Debug)]
pub struct Member {
    user: UserId,
    state: ArcSwap<MemberState>,
}

impl Member {
    /// Who it is.
    pub fn user(&self) -> &UserId {
        &self.user
    }

    /// What decides for it now.
    pub fn state(&self) -> Arc<MemberState> {
        self.state.load_full()
    }

    pub(crate) fn state_ref(&self) -> arc_swap::Guard<Arc<MemberState>> {
        self.state.load()
    }

    /// Does this audience admit it?
    pub fn is_meant(&self, audience: &Audience) -> bool {
        let state = self.state.load();
        state.exists
            && match audience {
                Audience::All => true,
                Audience::Project(project) => state.projects.get(project).copied().unwrap_or(false),
            }
    }
}

/// The connected users of one tenant.
#[derive(Debug)]
pub struct TenantAudience {
    tenant: TenantId,
    revision: AtomicU64,
    // Guards who is connected, and orders updates; no other lock is taken under it.
    members: Mutex<HashMap<UserId, (Arc<Member>, usize)>>,
}

impl TenantAudience {
    /// Of a tenant of which nothing is known yet.
    pub fn new(tenant: TenantId) -> Self {
        Self { tenant, revision: AtomicU64::new(0), members: Mutex::default() }
    }

    /// Whose it is.
    pub fn tenant(&self) -> &TenantId {
        &self.tenant
    }

    /// What is held here is at least as new as this.
    pub fn revision(&self) -> u64 {
        self.revision.load(Ordering::Acquire)
    }

    /// The users that are connected.
    pub fn users(&self) -> Vec<UserId> {
        self.members.lock().keys().cloned().collect()
    }

    /// True if nobody is connected.
    pub fn is_empty(&self) -> bool {
        self.members.lock().is_empty()
    }

    /// A connected user.
    pub fn member(&self, user: &UserId) -> Option<Arc<Member>> {
        self.members.lock().get(user).map(|(member, _)| member.clone())
    }

    /// One more connection of this user. Its state was read at `revision`, after which no update of an older reading
    /// may come: whoever reads states for this audience does so one after the other.
    pub fn login(self: &Arc<Self>, user: &UserId, revision: u64, state: MemberState) -> Login {
        let mut members = self.members.lock();
        if members.is_empty() {
            self.revision.fetch_max(revision, Ordering::AcqRel);
        }
        let (member, count) = members.entry(user.clone()).or_insert_with(|| {
            (Arc::new(Member { user: user.clone(), state: ArcSwap::from_pointee(state) }), 0)
        });
        *count += 1;
        Login { audience: self.clone(), member: member.clone() }
    }

    /// Takes the states of changed users, and then the revision that they bring what is held to. `changed` hears of each
    /// member whose state is another now, before the revision moves.
    pub fn update(
        &self,
        revision: u64,
        states: Vec<(UserId, MemberState)>,
        mut changed: impl FnMut(Arc<Member>),
    ) {
        let members = self.members.lock();
        if revision < self.revision() {
            return;
        }
        for (user, state) in states {
            if let Some((member, _)) = members.get(&user)
                && **member.state.load() != state
            {
                member.state.store(Arc::new(state));
                changed(member.clone());
            }
        }
        self.revision.fetch_max(revision, Ordering::AcqRel);
    }

    /// What was held came from a directory that is another one now, as after a backup was restored: all of it is forgotten, and
    /// what comes is as of this revision, which may be an earlier one. `gone` hears of each member that was connected before
    /// the revision moves: as of a disconnect, so that its connections come back and are read anew.
    pub fn start_anew(&self, revision: u64, mut gone: impl FnMut(Arc<Member>)) {
        let mut members = self.members.lock();
        for (_, (member, _)) in members.drain() {
            let state = MemberState {
                disconnects: MemberState::VOID,
                projects: HashMap::new(),
                ..MemberState::clone(&member.state.load())
            };
            member.state.store(Arc::new(state));
            gone(member);
        }
        self.revision.store(revision, Ordering::Release);
    }
}

/// A connection's hold on its user's place in the audience.
#[derive(Debug)]
pub struct Login {
    audience: Arc<TenantAudience>,
    member: Arc<Member>,
}

impl Login {
    /// The user.
    pub fn member(&self) -> &Arc<Member> {
        &self.member
    }

    /// Its tenant's audience.
    pub fn audience(&self) -> &Arc<TenantAudience> {
        &self.audience
    }
}

impl Drop for Login {
    fn drop(&mut self) {
        let mut members = self.audience.members.lock();
        // Of before a new start, others may hold the same user's place.
        if let Some((member, count)) = members.get_mut(self.member.user())
            && Arc::ptr_eq(member, &self.member)
        {
            *count -= 1;
            if *count == 0 {
                members.remove(self.member.user());
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn after_a_new_start_who_was_there_is_let_go_and_leaves_no_hole_in_who_comes() {
        let audience = Arc::new(TenantAudience::new(TenantId::parse("acme").unwrap()));
        let ann = UserId::parse("ann").unwrap();
        let projects = HashMap::from([(ProjectId::parse("kitchen").unwrap(), true)]);
        let state = MemberState { exists: true, revocations: 2, disconnects: 1, projects };
        let before = audience.login(&ann, 7, state.clone());
        let mut gone = Vec::new();
        audience.start_anew(3, |member| gone.push(member));
        assert_eq!((audience.revision(), audience.is_empty(), gone.len()), (3, true, 1));
        assert!(Arc::ptr_eq(&gone[0], before.member()));
        let left = before.member().state();
        assert_eq!((left.is_void(), left.revocations, left.projects.len()), (true, 2, 0));
        let after = audience.login(&ann, 3, MemberState { disconnects: 0, ..state });
        drop(before);
        assert!(Arc::ptr_eq(&audience.member(&ann).unwrap(), after.member()));
        // Numbers that were known before are news again.
        let removed = MemberState { exists: true, ..MemberState::default() };
        audience.update(4, vec![(ann, removed.clone())], |_| {});
        assert_eq!((audience.revision(), &*after.member().state()), (4, &removed));
        drop(after);
        assert!(audience.is_empty());
    }
}
