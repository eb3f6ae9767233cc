//! `soak`: the operator's own proof, against a cluster that runs. Two tenants of its own, clients on every node, and the
//! checker over all that they said and heard.
//!
//! `options` makes a plan of the command line; `stage` makes the tenants; `client`, `application` and `churn` live in
//! them and tell the `journal`; `rounds` lets them work and come to rest, reads the `log` and judges; `report` tells it.

mod api;
mod application;
mod churn;
mod client;
mod company;
mod draft;
mod journal;
mod latency;
mod log;
mod options;
mod progress;
mod report;
mod rounds;
mod stage;
mod tls;

use std::{fs::File, io::Write, sync::Arc, time::Duration};

use antiphon_checker::Rng;
use antiphon_core::Tasks;
use tokio::time::Instant;

use crate::{failure::Failure, output, signals::Signals};

pub use options::SoakArgs;

use api::Api;
use application::Worker;
use client::Client;
use company::{Account, Company, Phase};
use options::Plan;
use report::{Told, Verdict};
use rounds::Shown;

/// How long clients may take to go home.
const GOODBYE: Duration = Duration::from_secs(15);
/// How long all clients may take to be connected for the first time.
const ARRIVAL: Duration = Duration::from_secs(30);
/// One worker publishes at most so many entries a second over HTTP.
const RATE_OF_A_WORKER: f64 = 20.0;
/// More requests at once are no better load.
const WORKERS_MAX: u64 = 32;

/// Runs it, tells its report, and leaves nothing behind.
pub fn run(args: &SoakArgs) -> Result<(), Failure> {
    let plan = args.plan()?;
    crate::files::raise();
    // Written at the end, but found to be impossible at the beginning.
    let report = plan.report.as_ref().map(|path| {
        let wrong = |error: std::io::Error| Failure::Usage(format!("--report {}: {error}", path.display()));
        File::create(path).map_err(wrong)
    });
    let report = report.transpose()?;
    let tls = tls::trusting(plan.ca.as_deref())?;
    let api = Api::new(plan.nodes.clone(), plan.key.clone(), &tls)?;
    let company = Arc::new(Company::new(plan, api, tls));
    let runtime = tokio::runtime::Builder::new_multi_thread().enable_all().build();
    let runtime = runtime.map_err(Failure::running)?;
    let outcome = runtime.block_on(soak(&company, report));
    runtime.shutdown_background();
    outcome
}

async fn soak(company: &Arc<Company>, file: Option<File>) -> Result<(), Failure> {
    let mut signals = Signals::listen().map_err(Failure::running)?;
    tokio::select! {
        looked = stage::look(company) => looked?,
        signal = signals.next() => {
            return Err(Failure::Unproved(format!("ended by {signal} before anything was made")));
        }
    }
    let tasks = Tasks::new(tokio::runtime::Handle::current());
    let told = tokio::select! {
        told = play(company, &tasks) => told,
        () = ended_twice(company, &mut signals) => Err(Failure::Unproved("ended by a second signal".to_owned())),
    };
    company.enter(Phase::Over);
    // Whoever still asked for something would make again what is deleted now.
    tasks.end(GOODBYE).await;
    let deleted = match company.plan.keep {
        true => None,
        false => Some(tokio::select! {
            deleted = stage::clear(company) => deleted,
            _ = signals.next() => Err("the tenants may be left, and have to be deleted by hand".to_owned()),
        }),
    };
    if let Some(Err(left)) = &deleted {
        output::warn(std::slice::from_ref(left));
    }
    let mut told = told?;
    told.deleted = matches!(deleted, Some(Ok(())));
    tell(&told, file)
}

/// Resolves at the second signal; the first one lets the run come to its end.
async fn ended_twice(company: &Company, signals: &mut Signals) {
    let signal = signals.next().await;
    output::note(&format!("{signal}: what was seen is judged; once more ends it at once"));
    company.interrupt();
    signals.next().await;
}

/// The run itself.
async fn play(company: &Arc<Company>, tasks: &Tasks) -> Result<Told, Failure> {
    let accounts = stage::populate(company).await?;
    let mut rng = Rng::new(company.plan.seed);
    announce(&company.plan);
    for account in &accounts {
        let (company, account, rng) = (company.clone(), account.clone(), rng.fork());
        tasks.spawn_until_end(Client::new(company, account, rng).run());
    }
    match arrive(company, &accounts).await {
        Ok(()) => {
            employ(company, &accounts, tasks, &mut rng);
            let shown = Arc::new(Shown::default());
            tasks.spawn_until_end(progress::run(company.clone(), shown.clone()));
            let begun = Instant::now();
            let outcome = rounds::run(company, &accounts, &shown).await;
            Ok(Told::new(company, outcome, begun.elapsed()))
        }
        Err(failure) => Err(failure),
    }
}

fn announce(plan: &Plan) {
    let Plan { tenants, clients, duration, seed, .. } = plan;
    let duration = crate::config::Span(*duration);
    output::note(&format!(
        "{clients} clients in the tenants {} and {}, for {duration}; seed {seed}",
        tenants[0], tenants[1]
    ));
}

/// Waits until all are connected.
async fn arrive(company: &Company, accounts: &[Arc<Account>]) -> Result<(), Failure> {
    let begun = Instant::now();
    loop {
        let is_here = |account: &&Arc<Account>| account.is_settled.load(std::sync::atomic::Ordering::SeqCst);
        let missing = accounts.len() - accounts.iter().filter(is_here).count();
        if missing == 0 || company.is_interrupted() {
            return Ok(());
        }
        if begun.elapsed() > ARRIVAL {
            let why = company.journal.count(|figures| format!("{:?}", figures.ended));
            return Err(Failure::Unproved(format!(
                "{missing} of {} clients could not connect within {} s (ended: {why}): do the nodes take WebSockets \
                 at /ws below the base URL, and that many?",
                accounts.len(),
                ARRIVAL.as_secs()
            )));
        }
        company::pause(Duration::from_millis(50)).await;
    }
}

/// Those who are no clients: applications over HTTP, who removes members, who renews tokens.
fn employ(company: &Arc<Company>, accounts: &[Arc<Account>], tasks: &Tasks, rng: &mut Rng) {
    let rate = company.plan.http_pace.as_secs_f64().recip();
    let workers = ((rate / RATE_OF_A_WORKER).ceil() as u64).clamp(1, WORKERS_MAX);
    for side in 0..company.plan.tenants.len() {
        for number in 0..workers {
            let worker = Worker::new(company.clone(), side, number, workers, rng.fork());
            tasks.spawn_until_end(worker.run());
        }
    }
    tasks.spawn_until_end(churn::run(company.clone(), accounts.to_vec(), rng.fork()));
    tasks.spawn_until_end(stage::keep_tokens(company.clone(), accounts.to_vec()));
}

/// Prints the report, writes it, and makes the exit status of it.
fn tell(told: &Told, file: Option<File>) -> Result<(), Failure> {
    output::print(&told.to_string())?;
    if let Some(mut file) = file {
        let json = serde_json::to_vec_pretty(told).map_err(Failure::running)?;
        let written =
            file.write_all(&json).and_then(|()| file.write_all(b"\n")).and_then(|()| file.sync_all());
        written.map_err(|error| Failure::Unproved(format!("the report could not be written: {error}")))?;
    }
    match told.verdict {
        Verdict::Clean => Ok(()),
        Verdict::Violations => {
            let count: u64 = told.checked.counts.values().sum();
            let s = if count == 1 { "" } else { "s" };
            Err(Failure::Running(format!(
                "promises were broken, {count} violation{s}: the report says which"
            )))
        }
        Verdict::Unproved => Err(Failure::Unproved(told.unproved.join("; "))),
    }
}
