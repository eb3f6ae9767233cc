//! Tenants, users, projects and members in memory.

use std::{
    collections::{BTreeMap, HashMap},
    sync::atomic::{AtomicU64, Ordering},
};

use antiphon_core::{ApiKey, Directory, Listed, MemberSettings, Page, SeamError, Settings, UserState};
use antiphon_protocol::{ProjectId, TenantId, UserId, now_ms};
use async_trait::async_trait;
use parking_lot::Mutex;

/// A directory that forgets with its process; it counts what it is asked.
#[derive(Default)]
pub struct MemoryDirectory {
    pub(crate) state: Mutex<State>,
    queries: AtomicU64,
}

/// A backup of a directory.
pub struct DirectoryCopy(State);

#[derive(Default, Clone)]
pub(crate) struct State {
    pub tenants: BTreeMap<TenantId, Tenant>,
    pub tokens: HashMap<[u8; 32], antiphon_core::NewToken>,
    pub keys: Vec<ApiKey>,
}

#[derive(Default, Clone)]
pub(crate) struct Tenant {
    pub exists: bool,
    pub revision: u64,
    /// The revision of its last deletion; 0: never.
    pub deleted: u64,
    pub users: BTreeMap<UserId, User>,
    pub projects: BTreeMap<ProjectId, BTreeMap<UserId, Settings>>,
}

#[derive(Default, Clone)]
pub(crate) struct User {
    pub exists: bool,
    pub revision: u64,
    pub revocations: u64,
    pub disconnects: u64,
    pub revoked_before: Option<i64>,
}

impl Tenant {
    fn state_of(&self, user: &UserId) -> UserState {
        let Some(held) = self.users.get(user) else { return UserState::default() };
        let projects =
            self.projects.iter().filter_map(|(id, members)| Some((id.clone(), *members.get(user)?)));
        UserState {
            exists: held.exists && self.exists,
            revocations: held.revocations,
            disconnects: held.disconnects,
            projects: projects.collect(),
        }
    }

    /// One change; it concerns these users.
    pub fn change(&mut self, users: &[UserId]) {
        self.revision += 1;
        for user in users {
            if let Some(held) = self.users.get_mut(user) {
                held.revision = self.revision;
            }
        }
    }

    /// True if the user is new.
    pub fn make_user(&mut self, user: &UserId) -> bool {
        let held = self.users.entry(user.clone()).or_default();
        let is_new = !std::mem::replace(&mut held.exists, true);
        if is_new {
            self.change(std::slice::from_ref(user));
        }
        is_new
    }

    pub fn end_user(&mut self, user: &UserId) -> bool {
        let is_there = self.users.get_mut(user).is_some_and(|held| {
            if held.exists {
                held.revocations += 1;
                held.revoked_before = Some(now_ms());
            }
            std::mem::take(&mut held.exists)
        });
        if is_there {
            for members in self.projects.values_mut() {
                members.remove(user);
            }
            self.change(std::slice::from_ref(user));
        }
        is_there
    }
}

impl State {
    /// The tenant, made if it is not there; true if it is new.
    pub fn make(&mut self, tenant: &TenantId) -> (&mut Tenant, bool) {
        let held = self.tenants.entry(tenant.clone()).or_default();
        let is_new = !std::mem::replace(&mut held.exists, true);
        held.revision += u64::from(is_new);
        (held, is_new)
    }

    /// A deleted tenant's goes on: whoever holds an older one has to look.
    fn revision(&self, tenant: &TenantId) -> u64 {
        self.tenants.get(tenant).map_or(0, |held| held.revision)
    }

    pub fn there(&mut self, tenant: &TenantId) -> Option<&mut Tenant> {
        self.tenants.get_mut(tenant).filter(|held| held.exists)
    }
}

impl MemoryDirectory {
    /// How many questions it was asked.
    pub fn queries(&self) -> u64 {
        self.queries.load(Ordering::Relaxed)
    }

    /// Takes a backup of all of it.
    pub fn copy(&self) -> DirectoryCopy {
        DirectoryCopy(self.state.lock().clone())
    }

    /// Puts a backup in its place; what changed after it is lost.
    pub fn restore(&self, copy: &DirectoryCopy) {
        *self.state.lock() = copy.0.clone();
    }

    pub(crate) fn ask(&self) -> parking_lot::MutexGuard<'_, State> {
        self.queries.fetch_add(1, Ordering::Relaxed);
        self.state.lock()
    }
}

fn page<T: Clone>(items: impl Iterator<Item = T>, id: impl Fn(&T) -> &str, page: &Page) -> Listed<T> {
    let limit = page.limit as usize;
    let after = items.filter(|item| page.after.as_deref().is_none_or(|after| id(item) > after));
    let mut items: Vec<T> = after.take(limit + 1).collect();
    let more = items.len() > limit;
    items.truncate(limit);
    Listed { items, more }
}

#[async_trait]
impl Directory for MemoryDirectory {
    async fn revisions(&self, tenants: &[TenantId]) -> Result<Vec<u64>, SeamError> {
        let state = self.ask();
        Ok(tenants.iter().map(|tenant| state.revision(tenant)).collect())
    }

    fn revision_now(&self, tenant: &TenantId) -> Option<u64> {
        Some(self.state.lock().revision(tenant))
    }

    async fn user_states(
        &self,
        tenant: &TenantId,
        users: &[UserId],
    ) -> Result<(u64, Vec<UserState>), SeamError> {
        let state = self.ask();
        let Some(held) = state.tenants.get(tenant) else {
            return Ok((0, vec![UserState::default(); users.len()]));
        };
        Ok((held.revision, users.iter().map(|user| held.state_of(user)).collect()))
    }

    async fn changed_users(
        &self,
        tenant: &TenantId,
        users: &[UserId],
        since: u64,
    ) -> Result<(u64, Vec<(UserId, UserState)>), SeamError> {
        let state = self.ask();
        let Some(held) = state.tenants.get(tenant) else { return Ok((0, Vec::new())) };
        let changed =
            users.iter().filter(|user| held.users.get(*user).is_some_and(|one| one.revision > since));
        Ok((held.revision, changed.map(|user| (user.clone(), held.state_of(user))).collect()))
    }

    async fn put_tenant(&self, tenant: &TenantId) -> Result<bool, SeamError> {
        Ok(self.ask().make(tenant).1)
    }

    async fn put_user(&self, tenant: &TenantId, user: &UserId) -> Result<bool, SeamError> {
        Ok(self.ask().make(tenant).0.make_user(user))
    }

    async fn put_project(&self, tenant: &TenantId, project: &ProjectId) -> Result<bool, SeamError> {
        let mut state = self.ask();
        let (held, _) = state.make(tenant);
        let is_new = !held.projects.contains_key(project);
        held.projects.entry(project.clone()).or_default();
        held.revision += u64::from(is_new);
        Ok(is_new)
    }

    async fn put_members(
        &self,
        tenant: &TenantId,
        project: &ProjectId,
        members: &[MemberSettings],
    ) -> Result<u64, SeamError> {
        let mut state = self.ask();
        let (held, _) = state.make(tenant);
        let mut made = 0;
        for member in members {
            held.make_user(&member.user);
            let of_project = held.projects.entry(project.clone()).or_default();
            made += u64::from(!of_project.contains_key(&member.user));
            let settings = of_project.entry(member.user.clone()).or_default();
            *settings = member.over(*settings);
        }
        let users: Vec<UserId> = members.iter().map(|member| member.user.clone()).collect();
        held.change(&users);
        Ok(made)
    }

    async fn change_settings(
        &self,
        tenant: &TenantId,
        project: &ProjectId,
        member: &MemberSettings,
    ) -> Result<Option<Settings>, SeamError> {
        let mut state = self.ask();
        let Some(held) = state.there(tenant) else { return Ok(None) };
        let of_project = held.projects.get_mut(project);
        let Some(settings) = of_project.and_then(|members| members.get_mut(&member.user)) else {
            return Ok(None);
        };
        let wanted = member.over(*settings);
        if std::mem::replace(settings, wanted) != wanted {
            held.change(std::slice::from_ref(&member.user));
        }
        Ok(Some(wanted))
    }

    async fn delete_tenant(&self, tenant: &TenantId) -> Result<bool, SeamError> {
        let mut state = self.ask();
        let Some(held) = state.there(tenant) else { return Ok(false) };
        let users: Vec<UserId> = held.users.keys().cloned().collect();
        for user in &users {
            held.end_user(user);
        }
        held.projects.clear();
        held.exists = false;
        held.revision += 1;
        held.deleted = held.revision;
        state.tokens.retain(|_, token| token.tenant != *tenant);
        Ok(true)
    }

    async fn delete_user(&self, tenant: &TenantId, user: &UserId) -> Result<bool, SeamError> {
        let mut state = self.ask();
        let is_there = state.there(tenant).is_some_and(|held| held.end_user(user));
        state.tokens.retain(|_, token| token.tenant != *tenant || token.user != *user);
        Ok(is_there)
    }

    async fn delete_project(&self, tenant: &TenantId, project: &ProjectId) -> Result<bool, SeamError> {
        let mut state = self.ask();
        let Some(held) = state.there(tenant) else { return Ok(false) };
        let Some(members) = held.projects.remove(project) else { return Ok(false) };
        let users: Vec<UserId> = members.into_keys().collect();
        held.change(&users);
        Ok(true)
    }

    async fn delete_member(
        &self,
        tenant: &TenantId,
        project: &ProjectId,
        user: &UserId,
    ) -> Result<bool, SeamError> {
        let mut state = self.ask();
        let Some(held) = state.there(tenant) else { return Ok(false) };
        let was = held.projects.get_mut(project).is_some_and(|members| members.remove(user).is_some());
        if was {
            held.change(std::slice::from_ref(user));
        }
        Ok(was)
    }

    async fn disconnect_user(&self, tenant: &TenantId, user: &UserId) -> Result<bool, SeamError> {
        let mut state = self.ask();
        let Some(held) = state.there(tenant) else { return Ok(false) };
        let Some(one) = held.users.get_mut(user).filter(|one| one.exists) else { return Ok(false) };
        one.disconnects += 1;
        held.change(std::slice::from_ref(user));
        Ok(true)
    }

    async fn tenant_exists(&self, tenant: &TenantId) -> Result<bool, SeamError> {
        Ok(self.ask().there(tenant).is_some())
    }

    async fn project_exists(&self, tenant: &TenantId, project: &ProjectId) -> Result<bool, SeamError> {
        Ok(self.ask().there(tenant).is_some_and(|held| held.projects.contains_key(project)))
    }

    async fn member(
        &self,
        tenant: &TenantId,
        project: &ProjectId,
        user: &UserId,
    ) -> Result<Option<Settings>, SeamError> {
        let mut state = self.ask();
        Ok(state.there(tenant).and_then(|held| held.projects.get(project)?.get(user).copied()))
    }

    async fn list_tenants(&self, wanted: &Page) -> Result<Listed<TenantId>, SeamError> {
        let state = self.ask();
        let there = state.tenants.iter().filter(|(_, held)| held.exists).map(|(id, _)| id.clone());
        Ok(page(there, TenantId::as_str, wanted))
    }

    async fn list_users(&self, tenant: &TenantId, wanted: &Page) -> Result<Listed<UserId>, SeamError> {
        let mut state = self.ask();
        let users = state.there(tenant).into_iter().flat_map(|held| held.users.iter());
        Ok(page(users.filter(|(_, one)| one.exists).map(|(id, _)| id.clone()), UserId::as_str, wanted))
    }

    async fn list_projects(&self, tenant: &TenantId, wanted: &Page) -> Result<Listed<ProjectId>, SeamError> {
        let mut state = self.ask();
        let projects = state.there(tenant).into_iter().flat_map(|held| held.projects.keys().cloned());
        Ok(page(projects, ProjectId::as_str, wanted))
    }

    async fn list_members(
        &self,
        tenant: &TenantId,
        project: &ProjectId,
        wanted: &Page,
    ) -> Result<Listed<(UserId, Settings)>, SeamError> {
        let mut state = self.ask();
        let members = state.there(tenant).and_then(|held| held.projects.get(project));
        let members = members.into_iter().flatten().map(|(id, settings)| (id.clone(), *settings));
        Ok(page(members, |(id, _)| id.as_str(), wanted))
    }
}
