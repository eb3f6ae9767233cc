//! The ground of a run: two tenants with users, projects and members, and nothing of them at the end.

use std::{
    sync::{Arc, atomic::Ordering},
    time::Duration,
};

use antiphon_checker::{Change, Event};
use serde_json::{Value, json};
use tokio::time::Instant;

use super::{
    api::{Answer, Method},
    company::{Account, Company, SIDES, Token, pause, user},
    draft::{PROJECTS, projects},
};
use crate::failure::Failure;

/// How long a token is good. It is renewed long before that, on the connection that uses it.
const TOKEN_SECONDS: u64 = 600;
/// How old a token is when it is renewed.
const RENEWED_AFTER: Duration = Duration::from_secs(200);
/// For how long one thing is tried at the beginning and at the end, unless the operator has less patience.
const PATIENCE: Duration = Duration::from_secs(30);
/// Between two tries.
const AGAIN: Duration = Duration::from_millis(300);
/// Members of one request.
const MEMBERS_MAX: usize = 1000;

/// Looks whether the nodes are what they should be, before anything is made.
///
/// # Errors
/// When one of them can't be reached, doesn't take the key, or has such a tenant.
pub async fn look(company: &Company) -> Result<(), Failure> {
    let api = &company.api;
    for node in 0..api.len() {
        let name = api.name(node);
        for tenant in &company.plan.tenants {
            match api.get(node, &["tenants", tenant], &[]).await {
                Answer::Refused { status: 404, code, .. } if code == "NOT_FOUND" => {}
                Answer::Done(..) => {
                    return Err(unable(format!(
                        "the tenant {tenant} is there already, and would be deleted: give another --tenant"
                    )));
                }
                answer => return Err(unable(format!("node {name}: {}", why(&answer)))),
            }
        }
    }
    Ok(())
}

/// Makes everything, and looks whether all nodes know it.
///
/// # Errors
/// When a right is missing, or the nodes are not of one cluster.
pub async fn populate(company: &Company) -> Result<Vec<Arc<Account>>, Failure> {
    let (api, plan) = (&company.api, &company.plan);
    company.has_tenants.store(true, Ordering::SeqCst);
    for (number, tenant) in plan.tenants.iter().enumerate() {
        let (node, answer) = asked(company, Method::PUT, &["tenants", tenant], Some(&json!({}))).await;
        if let (0, Answer::Refused { .. }) = (number, &answer) {
            company.has_tenants.store(false, Ordering::SeqCst);
        }
        done(company, node, answer)?;
    }
    for node in 0..api.len() {
        let tenant = plan.tenants[0].as_str();
        let (name, first) = (api.name(node), api.name(0));
        match api.get(node, &["tenants", tenant], &[]).await {
            Answer::Done(..) => {}
            Answer::Refused { status: 404, .. } => {
                return Err(unable(format!(
                    "node {name} does not know the tenant {tenant}, which was made through {first}: have they one database?"
                )));
            }
            answer => return Err(unable(format!("node {name}: {}", why(&answer)))),
        }
        match api.get(node, &["tenants", tenant, "topics", tenant, "entries"], &[]).await {
            Answer::Done(..) => {}
            Answer::Refused { status: 403, .. } => {
                return Err(unable(format!("node {name}: the key may not read entries: {NEEDED}")));
            }
            answer => return Err(unable(format!("node {name}: {}", why(&answer)))),
        }
    }
    let mut accounts = Vec::with_capacity(plan.clients);
    for index in 0..plan.clients {
        let token = token(company, &plan.tenants[index % 2], &user(index / 2)).await?;
        let account = Account::new(index, plan, token);
        company.journal.recorder.push(Event::Client {
            client: account.name.clone(),
            tenant: account.tenant.clone(),
            user: Some(account.user.clone()),
        });
        accounts.push(Arc::new(account));
    }
    for (tenant, side) in plan.tenants.iter().zip(SIDES) {
        let (tenant, client) = (tenant.clone(), application(side));
        company.journal.recorder.push(Event::Client { client, tenant, user: None });
    }
    for tenant in 0..plan.tenants.len() {
        for project in PROJECTS {
            found_project(company, tenant, project).await?;
        }
    }
    Ok(accounts)
}

/// The name in the history of a tenant's application, which publishes over HTTP.
pub fn application(side: &str) -> String {
    format!("{side}-app")
}

async fn found_project(company: &Company, side: usize, project: &str) -> Result<(), Failure> {
    let plan = &company.plan;
    let tenant = plan.tenants[side].as_str();
    let path = ["tenants", tenant, "projects", project];
    ask(company, Method::PUT, &path, Some(&json!({}))).await?;
    let path = ["tenants", tenant, "projects", project, "members"];
    let users = (side..plan.clients).step_by(2).map(|index| index / 2);
    let members: Vec<String> =
        users.filter(|number| projects(*number).contains(&project)).map(user).collect();
    for members in members.chunks(MEMBERS_MAX) {
        let asked = company.journal.now();
        let body: Value = members.iter().map(|user| json!({"userId": user})).collect();
        ask(company, Method::PUT, &path, Some(&body)).await?;
        for user in members {
            company.journal.recorder.push(Event::Member {
                tenant: tenant.to_owned(),
                project: project.to_owned(),
                user: user.clone(),
                change: Change::Added,
                asked,
                answered: Some(company.journal.now()),
            });
        }
    }
    Ok(())
}

async fn token(company: &Company, tenant: &str, user: &str) -> Result<Token, Failure> {
    let issued = company.journal.now();
    let path = ["tenants", tenant, "users", user, "tokens"];
    let body = json!({"ttlSeconds": TOKEN_SECONDS});
    let answer = ask(company, Method::POST, &path, Some(&body)).await?;
    let text = answer["token"].as_str().ok_or_else(|| unable("the answer with a token has none"))?.to_owned();
    Ok(Token { text, issued, since: Instant::now() })
}

/// Renews the tokens in time, for as long as the run goes on.
pub async fn keep_tokens(company: Arc<Company>, accounts: Vec<Arc<Account>>) {
    while !company.is_over() {
        for account in &accounts {
            if account.token().since.elapsed() > RENEWED_AFTER
                && let Ok(token) = token(&company, &account.tenant, &account.user).await
            {
                *account.token.lock() = token;
            }
        }
        pause(Duration::from_secs(1)).await;
    }
}

/// Deletes both tenants.
///
/// # Errors
/// When one of them is still there after a while: which, and why.
pub async fn clear(company: &Company) -> Result<(), String> {
    if !company.has_tenants.load(Ordering::SeqCst) {
        return Ok(());
    }
    let mut left = Vec::new();
    for tenant in &company.plan.tenants {
        let (node, answer) = asked(company, Method::DELETE, &["tenants", tenant], None).await;
        if !matches!(answer, Answer::Done(..) | Answer::Refused { status: 404, .. }) {
            let (name, why) = (company.api.name(node), why(&answer));
            left.push(format!(
                "the tenant {tenant} could not be deleted, which is left to do: node {name}: {why}"
            ));
        }
    }
    if left.is_empty() { Ok(()) } else { Err(left.join("; ")) }
}

/// Asks one node after the other until one of them has done it.
async fn ask(
    company: &Company,
    method: Method,
    path: &[&str],
    body: Option<&Value>,
) -> Result<Value, Failure> {
    let (node, answer) = asked(company, method, path, body).await;
    done(company, node, answer)
}

fn done(company: &Company, node: usize, answer: Answer) -> Result<Value, Failure> {
    match answer {
        Answer::Done(_, json) => Ok(json),
        answer => Err(unable(format!("node {}: {}", company.api.name(node), why(&answer)))),
    }
}

/// The first answer that is one, or the last after a while; and whose it is.
async fn asked(company: &Company, method: Method, path: &[&str], body: Option<&Value>) -> (usize, Answer) {
    let (begun, patience) = (Instant::now(), PATIENCE.min(company.plan.patience));
    let mut node = 0;
    loop {
        let answer = company.api.change(node, method.clone(), path, body).await;
        if !matches!(answer, Answer::Unknown { .. }) || begun.elapsed() > patience {
            return (node, answer);
        }
        node = (node + 1) % company.api.len();
        pause(AGAIN).await;
    }
}

const NEEDED: &str = "it needs the scopes `publish` and `directory`, for all tenants: `antiphon key issue --scope publish \
                      --scope directory` makes such a key";

/// Why it can't be gone on, and what to do about it.
fn why(answer: &Answer) -> String {
    match answer {
        Answer::Done(status, _) => format!("HTTP {status}"),
        Answer::Refused { status: 401, .. } => {
            "the API key is not valid there: is it of this cluster, not revoked and not expired?".to_owned()
        }
        Answer::Refused { status: 403, .. } => {
            format!("the API key has not the right to make tenants: {NEEDED}")
        }
        Answer::Refused { status, code, detail } if code.is_empty() => {
            format!("HTTP {status} {detail}: that is no antiphon; is the base URL right?")
        }
        Answer::Refused { status, detail, .. } => format!("HTTP {status}: {detail}"),
        Answer::Unknown { code: "NO_ANSWER", why } => {
            format!("it can't be reached: {why}; does it run, and is that its address?")
        }
        Answer::Unknown { why, .. } => format!("it does not serve now: {why}"),
    }
}

fn unable(text: impl Into<String>) -> Failure {
    Failure::Unproved(text.into())
}
