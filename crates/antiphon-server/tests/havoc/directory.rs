//! Who comes and goes: members are removed and added again, tokens are revoked and issued anew.

use std::{
    sync::{Arc, Mutex},
    time::Duration,
};

use antiphon_checker::{Change, Event};
use serde_json::{Value, json};

use super::{
    Rng, cluster::Doors, draft::PROJECTS, draft::Speaker, http, pause, plan::Plan, recorder::Recorder,
};

/// A user with its token, which may be another one tomorrow.
pub struct Account {
    pub speaker: Speaker,
    /// The token, and when it was asked for.
    pub token: Mutex<(String, u64)>,
}

impl Account {
    pub fn token(&self) -> (String, u64) {
        self.token.lock().unwrap().clone()
    }
}

/// Changes the directory through whatever node answers, and records what was asked and answered.
#[derive(Clone)]
pub struct Directory {
    doors: Doors,
    recorder: Recorder,
    rng: Rng,
}

impl Directory {
    pub fn new(doors: Doors, recorder: Recorder, rng: Rng) -> Self {
        Self { doors, recorder, rng }
    }

    /// Makes everybody. Of twelve users the first seven are in the first project, the fifth to tenth in the second, and
    /// the last one never is in any.
    pub async fn populate(&mut self, plan: &Plan) -> Vec<Arc<Account>> {
        let mut accounts = Vec::new();
        for tenant in (0..plan.tenants).map(|number| format!("tenant{number}")) {
            self.ask(&format!("PUT /api/v1/tenants/{tenant}"), &json!({})).await;
            for user in (0..plan.users).map(|number| format!("user{number}")) {
                self.ask(&format!("PUT /api/v1/tenants/{tenant}/users/{user}"), &json!({})).await;
                let speaker = Speaker { name: format!("{tenant}-{user}"), tenant: tenant.clone(), user };
                let account = Account { speaker, token: Mutex::default() };
                self.recorder.push(Event::Client {
                    client: account.speaker.name.clone(),
                    tenant: tenant.clone(),
                    user: Some(account.speaker.user.clone()),
                });
                self.issue(&account).await;
                accounts.push(Arc::new(account));
            }
            for (project, users) in PROJECTS.iter().zip([0..7, 4..10]) {
                self.ask(&format!("PUT /api/v1/tenants/{tenant}/projects/{project}"), &json!({})).await;
                for user in users.filter(|number| *number < plan.users) {
                    self.change(&tenant, project, &format!("user{user}"), Change::Added).await;
                }
            }
        }
        accounts
    }

    /// Asks until it is answered.
    async fn ask(&mut self, request: &str, body: &Value) -> Value {
        loop {
            if let Some(answer) = self.try_once(request, body).await {
                return answer;
            }
            pause(Duration::from_millis(100)).await;
        }
    }

    /// Asks one node; none: it is not known whether it was done.
    async fn try_once(&mut self, request: &str, body: &Value) -> Option<Value> {
        let node = *self.rng.pick(&self.doors.nodes);
        let patience = Duration::from_secs(12);
        let (status, answer) = http::call(node, request, &self.doors.key, body, patience).await?;
        let is_temporary = status == 503 || status == 429 || status == 500;
        assert!(status < 300 || is_temporary, "{request}: {status} {answer}");
        (!is_temporary).then_some(answer)
    }

    async fn change(&mut self, tenant: &str, project: &str, user: &str, change: Change) {
        let method = if change == Change::Added { "PUT" } else { "DELETE" };
        let request = format!("{method} /api/v1/tenants/{tenant}/projects/{project}/members/{user}");
        loop {
            let asked = self.recorder.now();
            // What is already so may be answered as not found.
            let node = *self.rng.pick(&self.doors.nodes);
            let body = if change == Change::Added { json!({}) } else { Value::Null };
            let answer = http::call(node, &request, &self.doors.key, &body, Duration::from_secs(12)).await;
            let done = answer.as_ref().is_some_and(|(status, _)| *status < 300 || *status == 404);
            self.recorder.push(Event::Member {
                tenant: tenant.to_owned(),
                project: project.to_owned(),
                user: user.to_owned(),
                change,
                asked,
                answered: done.then(|| self.recorder.now()),
            });
            if done {
                return;
            }
            pause(Duration::from_millis(100)).await;
        }
    }

    async fn issue(&mut self, account: &Account) {
        let Speaker { tenant, user, .. } = &account.speaker;
        let issued = self.recorder.now();
        let request = format!("POST /api/v1/tenants/{tenant}/users/{user}/tokens");
        let answer = self.ask(&request, &json!({"ttlSeconds": 86_400})).await;
        let token = answer["token"].as_str().expect("a token").to_owned();
        *account.token.lock().unwrap() = (token, issued);
    }

    async fn revoke(&mut self, account: &Account) {
        let Speaker { tenant, user, .. } = &account.speaker;
        let asked = self.recorder.now();
        let done = self
            .try_once(&format!("DELETE /api/v1/tenants/{tenant}/users/{user}/tokens"), &Value::Null)
            .await;
        self.recorder.push(Event::Revoked {
            tenant: tenant.clone(),
            user: user.clone(),
            asked,
            answered: done.map(|_| self.recorder.now()),
        });
        self.issue(account).await;
    }

    /// Changes something every now and then, until `is_over`.
    pub async fn churn(mut self, accounts: Vec<Arc<Account>>, is_over: impl Fn() -> bool) -> (u64, u64) {
        let (mut changes, mut revocations) = (0, 0);
        let mut removed: Vec<(Arc<Account>, &str)> = Vec::new();
        while !is_over() {
            pause(self.rng.millis(50, 400)).await;
            if self.rng.percent(20) {
                let account = self.rng.pick(&accounts).clone();
                self.revoke(&account).await;
                revocations += 1;
                continue;
            }
            changes += 1;
            if !removed.is_empty() && self.rng.percent(50) {
                let (account, project) = removed.swap_remove(self.rng.below(removed.len()));
                let Speaker { tenant, user, .. } = &account.speaker;
                self.change(tenant, project, user, Change::Added).await;
            } else {
                let account = self.rng.pick(&accounts).clone();
                let number: usize = account.speaker.user["user".len()..].parse().unwrap();
                let project = if number < 5 { PROJECTS[0] } else { PROJECTS[1] };
                let Speaker { tenant, user, .. } = &account.speaker;
                let is_out = removed.iter().any(|(other, _)| Arc::ptr_eq(other, &account));
                if number < 10 && !is_out {
                    self.change(tenant, project, user, Change::Removed).await;
                    removed.push((account, project));
                }
            }
        }
        (changes, revocations)
    }
}
