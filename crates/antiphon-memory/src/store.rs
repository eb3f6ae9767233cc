//! The log in memory.

use std::{
    collections::{HashMap, VecDeque},
    sync::{
        Arc,
        atomic::{AtomicBool, AtomicU64, Ordering},
    },
};

use antiphon_core::{
    AppendRefusal, Appended, GroupOutcome, HistoryPage, Located, Retention, SeamError, Store, TrimCursor,
    Trimmed,
};
use antiphon_protocol::{ClusterSecret, Draft, Entry, Head, Key, Position, TenantId, Topic, UserId, now_ms};
use async_trait::async_trait;
use parking_lot::{Mutex, MutexGuard};
use uuid::Uuid;

use crate::{MemoryDirectory, directory::State};

/// A topic's log as it was once: a backup of it.
pub struct LogCopy(Option<Log>);

/// A store that forgets with its process, and can be made to fail.
pub struct MemoryStore {
    secret: ClusterSecret,
    /// Whose tenants these are, where they are kept here. Locked under `logs`, never the other way.
    directory: Option<Arc<MemoryDirectory>>,
    logs: Mutex<HashMap<Topic, Log>>,
    is_down: AtomicBool,
    queries: AtomicU64,
}

#[derive(Clone)]
struct Log {
    /// The deletion of its tenant that it was made after; 0: none. A later one takes it out of reach.
    since: u64,
    trimmed: Position,
    entries: VecDeque<Entry>,
    keys: HashMap<(Option<UserId>, Key), Uuid>,
}

impl Log {
    fn head(&self) -> Position {
        self.entries.back().map_or(self.trimmed, |entry| entry.position)
    }

    /// The oldest entry goes while it is outside of what is kept.
    fn trim(&mut self, keep: &Retention) -> u64 {
        let size = |entry: &Entry| entry.content.json().len() as u64;
        let mut bytes: u64 = self.entries.iter().map(size).sum();
        let mut removed = 0;
        while let Some(oldest) = self.entries.front() {
            let is_old = keep.before_ms.is_some_and(|before_ms| oldest.created_at < before_ms);
            let is_over = keep.entries.is_some_and(|most| self.entries.len() as u64 > most)
                || keep.bytes.is_some_and(|most| bytes > most);
            if !is_old && !is_over {
                break;
            }
            let Some(gone) = self.entries.pop_front() else { break };
            bytes -= size(&gone);
            self.trimmed = gone.position;
            if let Some(key) = gone.key {
                self.keys.remove(&(gone.author, key));
            }
            removed += 1;
        }
        removed
    }

    fn at(&self, offset: u64) -> Option<&Entry> {
        let index = offset.checked_sub(self.trimmed.offset + 1)?;
        self.entries.get(usize::try_from(index).ok()?)
    }
}

/// The logs while they are held.
struct Logs<'a> {
    logs: MutexGuard<'a, HashMap<Topic, Log>>,
    state: Option<MutexGuard<'a, State>>,
}

impl Logs<'_> {
    /// The revision of this tenant's last deletion; 0: none that matters here.
    fn deleted(&self, tenant: &TenantId) -> u64 {
        let held = self.state.as_ref().and_then(|state| state.tenants.get(tenant));
        held.map_or(0, |held| held.deleted)
    }

    fn get(&self, topic: &Topic) -> Option<&Log> {
        self.logs.get(topic).filter(|log| log.since == self.deleted(topic.tenant()))
    }

    fn get_or_make(&mut self, topic: &Topic, origin: impl Fn() -> Position) -> &mut Log {
        let since = self.deleted(topic.tenant());
        let empty = || Log { since, trimmed: origin(), entries: VecDeque::new(), keys: HashMap::new() };
        let log = self.logs.entry(topic.clone()).or_insert_with(empty);
        if log.since != since {
            *log = empty();
        }
        log
    }
}

impl MemoryStore {
    /// An empty store. Its tenants are kept elsewhere.
    pub fn new(secret: ClusterSecret) -> Self {
        Self {
            secret,
            directory: None,
            logs: Mutex::default(),
            is_down: AtomicBool::new(false),
            queries: AtomicU64::new(0),
        }
    }

    /// An empty store of the tenants of this directory: what is deleted there is out of reach here.
    pub fn beside(directory: Arc<MemoryDirectory>, secret: ClusterSecret) -> Self {
        Self { directory: Some(directory), ..Self::new(secret) }
    }

    /// The logs of those who are there, with the directory's state as long as both are held.
    fn logs(&self) -> Logs<'_> {
        let logs = self.logs.lock();
        Logs { logs, state: self.directory.as_ref().map(|directory| directory.state.lock()) }
    }

    /// While down, everything fails as if the database were away.
    pub fn set_down(&self, is_down: bool) {
        self.is_down.store(is_down, Ordering::Relaxed);
    }

    /// Takes a backup of a topic's log.
    pub fn copy(&self, topic: &Topic) -> LogCopy {
        LogCopy(self.logs.lock().get(topic).cloned())
    }

    /// Puts a backup in the place of a topic's log; what came after it is lost.
    pub fn restore(&self, topic: &Topic, copy: &LogCopy) {
        let mut logs = self.logs.lock();
        match &copy.0 {
            Some(log) => drop(logs.insert(topic.clone(), log.clone())),
            None => drop(logs.remove(topic)),
        }
    }

    /// How many questions it was asked.
    pub fn queries(&self) -> u64 {
        self.queries.load(Ordering::Relaxed)
    }

    fn ask(&self) -> Result<(), SeamError> {
        self.queries.fetch_add(1, Ordering::Relaxed);
        if self.is_down.load(Ordering::Relaxed) {
            return Err(SeamError::unavailable(
                "the memory store",
                "it was made to fail with secret-inner-cause",
            ));
        }
        Ok(())
    }

    fn origin(&self, topic: &Topic) -> Position {
        self.secret.origin(topic, self.secret.first_epoch(topic))
    }

    fn append_group(&self, logs: &mut Logs<'_>, revision: u64, drafts: &[Draft]) -> GroupOutcome {
        let is_gone = |draft: &Draft| {
            let deleted = logs.deleted(draft.topic.tenant());
            deleted > 0 && deleted >= revision
        };
        if drafts.iter().any(is_gone) {
            return Err(AppendRefusal::Gone);
        }
        let mut fresh: HashMap<(&Topic, Option<&UserId>, &Key), &Draft> = HashMap::new();
        for (index, draft) in drafts.iter().enumerate() {
            let Some(key) = &draft.key else { continue };
            let stored = logs.get(&draft.topic).and_then(|log| {
                let id = log.keys.get(&(draft.author.clone(), key.clone()))?;
                log.entries.iter().find(|entry| entry.id == *id)
            });
            let earlier = fresh.insert((&draft.topic, draft.author.as_ref(), key), draft);
            let same = stored
                .is_none_or(|entry| entry.content == draft.content && entry.project == draft.project())
                && earlier.is_none_or(|one| one.content == draft.content && one.project() == draft.project());
            if !same {
                return Err(AppendRefusal::Conflict(index));
            }
        }
        Ok(drafts.iter().map(|draft| self.append_one(logs, revision, draft)).collect())
    }

    fn append_one(&self, logs: &mut Logs<'_>, revision: u64, draft: &Draft) -> Appended {
        let log = logs.get_or_make(&draft.topic, || self.origin(&draft.topic));
        let key = draft.key.clone().map(|key| (draft.author.clone(), key));
        if let Some(id) = key.as_ref().and_then(|key| log.keys.get(key))
            && let Some(entry) = log.entries.iter().find(|entry| entry.id == *id)
        {
            return Appended { entry: entry.clone(), duplicate: true };
        }
        let id = Uuid::now_v7();
        let entry = Entry {
            id,
            topic: draft.topic.clone(),
            position: self.secret.next(log.head(), &id, &draft.content),
            author: draft.author.clone(),
            project: draft.project(),
            key: draft.key.clone(),
            content: draft.content.clone(),
            created_at: now_ms(),
            revision,
        };
        log.entries.push_back(entry.clone());
        log.keys.extend(key.map(|key| (key, id)));
        Appended { entry, duplicate: false }
    }
}

#[async_trait]
impl Store for MemoryStore {
    async fn append(&self, groups: &[(u64, Vec<Draft>)]) -> Result<Vec<GroupOutcome>, SeamError> {
        self.ask()?;
        let mut logs = self.logs();
        Ok(groups.iter().map(|(revision, drafts)| self.append_group(&mut logs, *revision, drafts)).collect())
    }

    async fn read(
        &self,
        topic: &Topic,
        after: u64,
        limit: u32,
        max_bytes: usize,
    ) -> Result<Vec<Entry>, SeamError> {
        self.ask()?;
        let logs = self.logs();
        let Some(log) = logs.get(topic) else { return Ok(Vec::new()) };
        let skip = usize::try_from(after.saturating_sub(log.trimmed.offset)).unwrap_or(usize::MAX);
        let (mut page, mut bytes) = (Vec::new(), 0);
        for entry in log.entries.iter().skip(skip).take(limit as usize) {
            bytes += entry.content.json().len();
            if bytes > max_bytes && !page.is_empty() {
                break;
            }
            page.push(entry.clone());
        }
        Ok(page)
    }

    async fn read_before(
        &self,
        topic: &Topic,
        before: Option<u64>,
        limit: u32,
    ) -> Result<HistoryPage, SeamError> {
        self.ask()?;
        let logs = self.logs();
        let Some(log) = logs.get(topic) else { return Ok(HistoryPage::default()) };
        let older = log
            .entries
            .iter()
            .rev()
            .filter(|entry| before.is_none_or(|before| entry.position.offset < before));
        let mut entries: Vec<Entry> = older.take(limit as usize + 1).cloned().collect();
        let more = entries.len() > limit as usize;
        entries.truncate(limit as usize);
        entries.reverse();
        Ok(HistoryPage { entries, more })
    }

    async fn entry(&self, topic: &Topic, id: Uuid) -> Result<Option<Entry>, SeamError> {
        self.ask()?;
        let logs = self.logs();
        Ok(logs.get(topic).and_then(|log| log.entries.iter().find(|entry| entry.id == id)).cloned())
    }

    async fn locate(&self, topic: &Topic, at: Option<u64>) -> Result<Located, SeamError> {
        self.ask()?;
        let logs = self.logs();
        let (head, trimmed) = logs
            .get(topic)
            .map_or_else(|| (self.origin(topic), self.origin(topic)), |log| (log.head(), log.trimmed));
        let link = at.and_then(|at| {
            let entry = logs.get(topic).and_then(|log| log.at(at)).map(|entry| entry.position);
            entry.or((at == trimmed.offset).then_some(trimmed)).map(|position| position.link)
        });
        Ok(Located { head: Head { position: head, trimmed: trimmed.offset }, link })
    }

    async fn heads(&self, topics: &[Topic]) -> Result<Vec<Position>, SeamError> {
        self.ask()?;
        let logs = self.logs();
        Ok(topics.iter().map(|topic| logs.get(topic).map_or_else(|| self.origin(topic), Log::head)).collect())
    }

    async fn trim(&self, keep: &Retention, _: TrimCursor) -> Result<Trimmed, SeamError> {
        self.ask()?;
        let removed = self.logs.lock().values_mut().map(|log| log.trim(keep)).sum();
        Ok(Trimmed { removed, next: None })
    }

    async fn ping(&self) -> Result<(), SeamError> {
        self.ask()
    }
}
