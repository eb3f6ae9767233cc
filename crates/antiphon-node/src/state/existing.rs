//! What was answered to whether a tenant exists.

use std::{
    collections::HashMap,
    time::{Duration, Instant},
};

use antiphon_protocol::TenantId;
use parking_lot::Mutex;

/// How many answers are kept.
const ANSWERS_MAX: usize = 10_000;
/// For how long an answer is good: of a directory that was restored the numbers may come once more.
const AGE: Duration = Duration::from_secs(5);

/// By tenant: when it was answered, the revision of the answer, and the answer. Nothing else is locked while this is.
#[derive(Default)]
pub(crate) struct Existing(Mutex<HashMap<TenantId, (Instant, u64, bool)>>);

impl Existing {
    pub fn at(&self, tenant: &TenantId, revision: u64) -> Option<bool> {
        let answers = self.0.lock();
        let answer = answers.get(tenant);
        let answer = answer.filter(|(since, at, _)| *at == revision && since.elapsed() < AGE);
        answer.map(|(_, _, exists)| *exists)
    }

    /// Another directory gives its numbers once more.
    pub fn clear(&self) {
        self.0.lock().clear();
    }

    pub fn note(&self, tenant: &TenantId, revision: u64, exists: bool) {
        let mut answers = self.0.lock();
        if answers.len() >= ANSWERS_MAX {
            answers.clear();
        }
        answers.insert(tenant.clone(), (Instant::now(), revision, exists));
    }
}
