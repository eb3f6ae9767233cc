//! A database that is slow, refuses, and commits without saying so.

use std::sync::{
    Arc,
    atomic::{AtomicBool, AtomicU64, Ordering},
};

use antiphon_core::{
    Directory, GroupOutcome, HistoryPage, Located, MemberSettings, Retention, SeamError, Store, TrimCursor,
    Trimmed, UserState,
};
use antiphon_memory::{MemoryDirectory, MemoryStore};
use antiphon_protocol::{Draft, Entry, Position, ProjectId, TenantId, Topic, UserId};
use async_trait::async_trait;

use crate::dice::Dice;

/// The log and the directory, as one node reaches them.
pub struct Database {
    pub store: Arc<MemoryStore>,
    pub directory: Arc<MemoryDirectory>,
    dice: Dice,
    weather: Arc<Weather>,
    /// Planted: it never tells of a change.
    tells_no_change: bool,
}

/// How the database is, for all nodes.
#[derive(Default)]
pub struct Weather {
    /// It refuses everything.
    pub is_down: AtomicBool,
    /// Of a thousand operations, so many fail before anything was done, and as many after all was done.
    pub failures: AtomicU64,
}

impl Database {
    pub fn new(
        store: Arc<MemoryStore>,
        directory: Arc<MemoryDirectory>,
        dice: Dice,
        weather: Arc<Weather>,
        tells_no_change: bool,
    ) -> Arc<Self> {
        Arc::new(Self { store, directory, dice, weather, tells_no_change })
    }

    async fn way(&self) -> Result<(), SeamError> {
        crate::time::pass(self.dice.ms(0, 8)).await;
        let failures = self.weather.failures.load(Ordering::Relaxed);
        if self.weather.is_down.load(Ordering::Acquire) || self.dice.permille(failures) {
            return Err(SeamError::unavailable("the database", "by chance"));
        }
        Ok(())
    }

    /// There, what is to be done, and back: each way may fail.
    async fn ask<T>(&self, what: impl Future<Output = Result<T, SeamError>>) -> Result<T, SeamError> {
        self.way().await?;
        let done = what.await?;
        self.way().await?;
        Ok(done)
    }
}

#[async_trait]
impl Store for Database {
    async fn append(&self, groups: &[(u64, Vec<Draft>)]) -> Result<Vec<GroupOutcome>, SeamError> {
        self.ask(self.store.append(groups)).await
    }

    async fn read(
        &self,
        topic: &Topic,
        after: u64,
        limit: u32,
        max_bytes: usize,
    ) -> Result<Vec<Entry>, SeamError> {
        self.ask(self.store.read(topic, after, limit, max_bytes)).await
    }

    async fn read_before(
        &self,
        topic: &Topic,
        before: Option<u64>,
        limit: u32,
    ) -> Result<HistoryPage, SeamError> {
        self.ask(self.store.read_before(topic, before, limit)).await
    }

    async fn entry(&self, topic: &Topic, id: uuid::Uuid) -> Result<Option<Entry>, SeamError> {
        self.ask(self.store.entry(topic, id)).await
    }

    async fn locate(&self, topic: &Topic, at: Option<u64>) -> Result<Located, SeamError> {
        self.ask(self.store.locate(topic, at)).await
    }

    async fn heads(&self, topics: &[Topic]) -> Result<Vec<Position>, SeamError> {
        self.ask(self.store.heads(topics)).await
    }

    async fn trim(&self, keep: &Retention, from: TrimCursor) -> Result<Trimmed, SeamError> {
        self.ask(self.store.trim(keep, from)).await
    }

    async fn ping(&self) -> Result<(), SeamError> {
        self.ask(self.store.ping()).await
    }
}

#[async_trait]
impl Directory for Database {
    async fn revisions(&self, tenants: &[TenantId]) -> Result<Vec<u64>, SeamError> {
        let revisions = self.ask(self.directory.revisions(tenants)).await?;
        // 1: there is such a tenant, and nothing has changed since.
        Ok(if self.tells_no_change { vec![1; revisions.len()] } else { revisions })
    }

    async fn user_states(
        &self,
        tenant: &TenantId,
        users: &[UserId],
    ) -> Result<(u64, Vec<UserState>), SeamError> {
        self.ask(self.directory.user_states(tenant, users)).await
    }

    async fn changed_users(
        &self,
        tenant: &TenantId,
        users: &[UserId],
        since: u64,
    ) -> Result<(u64, Vec<(UserId, UserState)>), SeamError> {
        self.ask(self.directory.changed_users(tenant, users, since)).await
    }

    async fn put_members(
        &self,
        tenant: &TenantId,
        project: &ProjectId,
        members: &[MemberSettings],
    ) -> Result<u64, SeamError> {
        self.ask(self.directory.put_members(tenant, project, members)).await
    }

    async fn delete_member(
        &self,
        tenant: &TenantId,
        project: &ProjectId,
        user: &UserId,
    ) -> Result<bool, SeamError> {
        self.ask(self.directory.delete_member(tenant, project, user)).await
    }

    async fn tenant_exists(&self, tenant: &TenantId) -> Result<bool, SeamError> {
        self.ask(self.directory.tenant_exists(tenant)).await
    }

    async fn project_exists(&self, tenant: &TenantId, project: &ProjectId) -> Result<bool, SeamError> {
        self.ask(self.directory.project_exists(tenant, project)).await
    }
}
