//! Members who are removed, and added again a moment later.

use std::{
    sync::{Arc, atomic::Ordering},
    time::Duration,
};

use antiphon_checker::{Change, Event, Rng};
use serde_json::json;

use super::{
    api::{Answer, Method},
    company::{Account, Company, pause},
};

/// How long a change that had no answer waits for the next try.
const AGAIN: Duration = Duration::from_millis(200);

/// One member after the other, for as long as there is work.
pub async fn run(company: Arc<Company>, accounts: Vec<Arc<Account>>, mut rng: Rng) {
    let members: Vec<_> = accounts.iter().filter(|account| !account.projects.is_empty()).collect();
    while !company.is_over() && !members.is_empty() {
        pause(rng.millis(500, 3000)).await;
        // Said first, looked after it: whoever waits for rest must not miss it.
        company.is_churning.store(true, Ordering::SeqCst);
        if company.works() {
            let account = rng.pick(&members);
            let project = rng.pick(account.projects);
            change(&company, account, project, Change::Removed, &mut rng).await;
            pause(rng.millis(300, 2000)).await;
            change(&company, account, project, Change::Added, &mut rng).await;
            company.journal.count(|figures| figures.removals += 1);
        }
        company.is_churning.store(false, Ordering::SeqCst);
    }
}

/// Asks until it is answered, or all is over.
async fn change(company: &Company, account: &Account, project: &str, change: Change, rng: &mut Rng) {
    let path = ["tenants", account.tenant.as_str(), "projects", project, "members", account.user.as_str()];
    while !company.is_over() {
        let node = rng.below(company.api.len());
        let asked = company.journal.now();
        let answer = match change {
            Change::Added => company.api.change(node, Method::PUT, &path, Some(&json!({}))).await,
            Change::Removed => company.api.change(node, Method::DELETE, &path, None).await,
        };
        // After an answer that got lost, what is already so is not found.
        let is_done = matches!(answer, Answer::Done(..) | Answer::Refused { status: 404, .. });
        company.journal.recorder.push(Event::Member {
            tenant: account.tenant.clone(),
            project: project.to_owned(),
            user: account.user.clone(),
            change,
            asked,
            answered: is_done.then(|| company.journal.now()),
        });
        if is_done {
            return;
        }
        pause(AGAIN).await;
    }
}
