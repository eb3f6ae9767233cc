//! The application's own users and memberships, and what antiphon asks of them: a revision that grows with each
//! change, and what is true of some users at it.

use std::{
    collections::{HashMap, HashSet},
    sync::Arc,
};

use antiphon::{Directory, ProjectId, SeamError, Settings, TenantId, UserId, UserState, async_trait};
use parking_lot::Mutex;

/// Who belongs where. A real one would be tables of the application's database, the revision beside them.
#[derive(Clone, Default)]
pub struct Membership(Arc<Mutex<HashMap<TenantId, Company>>>);

#[derive(Default)]
struct Company {
    revision: u64,
    users: HashSet<UserId>,
    members: HashSet<(ProjectId, UserId)>,
}

impl Company {
    fn state(&self, user: &UserId) -> UserState {
        let projects = self.members.iter().filter(|(_, member)| member == user);
        UserState {
            exists: self.users.contains(user),
            projects: projects.map(|(project, _)| (project.clone(), Settings::default())).collect(),
            ..UserState::default()
        }
    }
}

impl Membership {
    /// Changes a company; each change has a revision of its own.
    fn change(&self, tenant: &TenantId, change: impl FnOnce(&mut Company)) {
        let mut companies = self.0.lock();
        let company = companies.entry(tenant.clone()).or_default();
        change(company);
        company.revision += 1;
    }

    /// Somebody works there.
    pub fn hire(&self, tenant: &TenantId, user: &UserId) {
        self.change(tenant, |company| {
            company.users.insert(user.clone());
        });
    }

    /// Somebody is on a project.
    pub fn join(&self, tenant: &TenantId, project: &ProjectId, user: &UserId) {
        self.change(tenant, |company| {
            company.members.insert((project.clone(), user.clone()));
        });
    }

    /// Somebody is no longer on it.
    pub fn leave(&self, tenant: &TenantId, project: &ProjectId, user: &UserId) {
        self.change(tenant, |company| {
            company.members.remove(&(project.clone(), user.clone()));
        });
    }
}

#[async_trait]
impl Directory for Membership {
    async fn revisions(&self, tenants: &[TenantId]) -> Result<Vec<u64>, SeamError> {
        let companies = self.0.lock();
        Ok(tenants.iter().map(|tenant| companies.get(tenant).map_or(0, |company| company.revision)).collect())
    }

    async fn user_states(
        &self,
        tenant: &TenantId,
        users: &[UserId],
    ) -> Result<(u64, Vec<UserState>), SeamError> {
        let companies = self.0.lock();
        let Some(company) = companies.get(tenant) else {
            return Ok((0, vec![UserState::default(); users.len()]));
        };
        Ok((company.revision, users.iter().map(|user| company.state(user)).collect()))
    }

    async fn changed_users(
        &self,
        tenant: &TenantId,
        users: &[UserId],
        _since: u64,
    ) -> Result<(u64, Vec<(UserId, UserState)>), SeamError> {
        // All of them may have changed: this company is small.
        let (revision, states) = self.user_states(tenant, users).await?;
        Ok((revision, users.iter().cloned().zip(states).collect()))
    }
}
