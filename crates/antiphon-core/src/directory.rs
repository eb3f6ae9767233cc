//! The seam to tenants, users, projects, members and settings, and to the revision that tells of every change.

use std::collections::HashMap;

use antiphon_protocol::{ProjectId, TenantId, UserId};
use async_trait::async_trait;
use serde::{Deserialize, Serialize};

use crate::SeamError;

/// What a member wants of a project.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Settings {
    /// Entries on the socket, in history and recovery.
    #[serde(default = "yes")]
    pub deliver: bool,
    /// Push notifications.
    #[serde(default = "yes")]
    pub push: bool,
}

fn yes() -> bool {
    true
}

impl Default for Settings {
    fn default() -> Self {
        Self { deliver: true, push: true }
    }
}

/// A member with its settings; a setting that is not named stays as it is (true for a new member).
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct MemberSettings {
    /// The user.
    pub user: UserId,
    /// Entries on the socket.
    pub deliver: Option<bool>,
    /// Push notifications.
    pub push: Option<bool>,
}

/// All that decides for one user, as of a tenant revision.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct UserState {
    /// The user exists.
    pub exists: bool,
    /// Counts revocations: a connection whose token was checked at a lower number has to end.
    pub revocations: u64,
    /// Counts disconnects that the application asked for.
    pub disconnects: u64,
    /// The projects it is a member of, with its settings.
    pub projects: HashMap<ProjectId, Settings>,
}

impl MemberSettings {
    /// These settings, changed as far as something else is wanted.
    pub fn over(&self, settings: Settings) -> Settings {
        Settings {
            deliver: self.deliver.unwrap_or(settings.deliver),
            push: self.push.unwrap_or(settings.push),
        }
    }
}

/// One page of a list, in the order of ids.
#[derive(Debug, Clone)]
pub struct Page {
    /// At most so many.
    pub limit: u32,
    /// Only what comes after this id.
    pub after: Option<String>,
}

/// What a page holds.
#[derive(Debug, Clone)]
pub struct Listed<T> {
    /// In the order of ids.
    pub items: Vec<T>,
    /// There is more after the last.
    pub more: bool,
}

/// Tenants, users, projects, memberships.
///
/// # Promises
/// - Each change raises its tenant's revision in the same transaction and returns the new one (a change that changes nothing may return the current one);
///   once a change has answered, every later `revisions` sees at least that number.
/// - `user_states` is one snapshot: the states belong to the revision returned.
/// - `changed_users`: of the given users those whose state may have changed after revision `since`, also deleted ones; one snapshot with the revision returned.
/// - PUTs make missing parents and may be repeated. Deleting a user, project or tenant deletes what hangs on it (memberships,
///   the user's opaque tokens); a deleted user's `revocations` grows, also when it is made again. An engine that keeps entries
///   too takes a deleted tenant's out of everybody's reach in the same transaction: one that is made again begins with empty topics.
/// - Other tenants' ids answer exactly as ids that do not exist.
///
/// An application that keeps its own users and members implements the reading half; the rest is for whoever keeps them for it.
///
/// # Not promised
/// That a revision grows by one.
#[async_trait]
pub trait Directory: Send + Sync {
    /// The current revisions of tenants (0 for one that does not exist), in one query, in the order asked for.
    async fn revisions(&self, tenants: &[TenantId]) -> Result<Vec<u64>, SeamError>;
    /// The current revision where this engine knows it without asking anybody; none: ask.
    fn revision_now(&self, _tenant: &TenantId) -> Option<u64> {
        None
    }
    /// The states of these users, and the revision they belong to.
    async fn user_states(
        &self,
        tenant: &TenantId,
        users: &[UserId],
    ) -> Result<(u64, Vec<UserState>), SeamError>;
    /// Those of these users that may have changed after `since`, with their states, and the revision they belong to.
    async fn changed_users(
        &self,
        tenant: &TenantId,
        users: &[UserId],
        since: u64,
    ) -> Result<(u64, Vec<(UserId, UserState)>), SeamError>;

    /// Makes a tenant; true if it is new.
    async fn put_tenant(&self, _tenant: &TenantId) -> Result<bool, SeamError> {
        Err(SeamError::NotKept)
    }
    /// Makes a user; true if it is new.
    async fn put_user(&self, _tenant: &TenantId, _user: &UserId) -> Result<bool, SeamError> {
        Err(SeamError::NotKept)
    }
    /// Makes a project; true if it is new.
    async fn put_project(&self, _tenant: &TenantId, _project: &ProjectId) -> Result<bool, SeamError> {
        Err(SeamError::NotKept)
    }
    /// Makes members or changes their settings; how many were new.
    async fn put_members(
        &self,
        _tenant: &TenantId,
        _project: &ProjectId,
        _members: &[MemberSettings],
    ) -> Result<u64, SeamError> {
        Err(SeamError::NotKept)
    }
    /// Changes what a member wants, and tells what it wants then; none: it is no member, and is made none.
    async fn change_settings(
        &self,
        _tenant: &TenantId,
        _project: &ProjectId,
        _member: &MemberSettings,
    ) -> Result<Option<Settings>, SeamError> {
        Err(SeamError::NotKept)
    }
    /// Deletes a tenant with all that is its (entries go as retention passes); false if it was not there.
    async fn delete_tenant(&self, _tenant: &TenantId) -> Result<bool, SeamError> {
        Err(SeamError::NotKept)
    }
    /// Deletes a user, its memberships and its tokens.
    async fn delete_user(&self, _tenant: &TenantId, _user: &UserId) -> Result<bool, SeamError> {
        Err(SeamError::NotKept)
    }
    /// Deletes a project and its memberships.
    async fn delete_project(&self, _tenant: &TenantId, _project: &ProjectId) -> Result<bool, SeamError> {
        Err(SeamError::NotKept)
    }
    /// Ends a membership.
    async fn delete_member(
        &self,
        _tenant: &TenantId,
        _project: &ProjectId,
        _user: &UserId,
    ) -> Result<bool, SeamError> {
        Err(SeamError::NotKept)
    }
    /// Counts up the user's disconnects; false if there is no such user.
    async fn disconnect_user(&self, _tenant: &TenantId, _user: &UserId) -> Result<bool, SeamError> {
        Err(SeamError::NotKept)
    }

    /// Is there such a tenant?
    async fn tenant_exists(&self, _tenant: &TenantId) -> Result<bool, SeamError> {
        Err(SeamError::NotKept)
    }
    /// Is there such a project?
    async fn project_exists(&self, _tenant: &TenantId, _project: &ProjectId) -> Result<bool, SeamError> {
        Err(SeamError::NotKept)
    }
    /// A member's settings; none if it is no member.
    async fn member(
        &self,
        _tenant: &TenantId,
        _project: &ProjectId,
        _user: &UserId,
    ) -> Result<Option<Settings>, SeamError> {
        Err(SeamError::NotKept)
    }
    /// Tenants.
    async fn list_tenants(&self, _page: &Page) -> Result<Listed<TenantId>, SeamError> {
        Err(SeamError::NotKept)
    }
    /// A tenant's users.
    async fn list_users(&self, _tenant: &TenantId, _page: &Page) -> Result<Listed<UserId>, SeamError> {
        Err(SeamError::NotKept)
    }
    /// A tenant's projects.
    async fn list_projects(&self, _tenant: &TenantId, _page: &Page) -> Result<Listed<ProjectId>, SeamError> {
        Err(SeamError::NotKept)
    }
    /// A project's members.
    async fn list_members(
        &self,
        _tenant: &TenantId,
        _project: &ProjectId,
        _page: &Page,
    ) -> Result<Listed<(UserId, Settings)>, SeamError> {
        Err(SeamError::NotKept)
    }
}
