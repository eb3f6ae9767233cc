//! A run is made of rounds: publish, come to rest, read the log, judge, forget. So a soak of a week needs no more memory
//! than one of a minute.

use std::{
    collections::{BTreeMap, HashMap},
    sync::{Arc, atomic::Ordering},
    time::Duration,
};

use antiphon_checker::{Bounds, Event, History, Kind, Report, check};
use tokio::time::Instant;

use super::{
    company::{Account, Company, Phase, pause},
    log::{self, Judged, Reading},
};

/// The longest that a round publishes: a fault is told soon.
const ROUND_MAX: Duration = Duration::from_secs(60);
/// The most events of a round: receptions take 56 bytes each.
const EVENTS_MAX: usize = 2_000_000;
/// How long nobody has heard anything at rest: longer than a node needs to find a lost bell by its tick, 0.7 s.
const SILENCE: Duration = Duration::from_millis(1500);
/// How long an entry may be under way before it counts as lost.
const LATEST: Duration = Duration::from_secs(12);
/// How long an interrupted run waits for rest.
const HURRY: Duration = Duration::from_secs(15);
/// Between two looks.
const LOOK: Duration = Duration::from_millis(100);

/// What all rounds have shown.
#[derive(Debug, Default)]
pub struct Outcome {
    /// All of them.
    pub report: Report,
    /// How many were judged.
    pub rounds: u64,
    /// How long each took to come to rest, at most.
    pub slowest_rest: Duration,
    /// Why the last one could not be judged.
    pub unproved: Vec<String>,
}

/// Goes on until the time is over, the operator wants an end, or a round can't be judged.
pub async fn run(company: &Arc<Company>, accounts: &[Arc<Account>], shown: &Shown) -> Outcome {
    let mut outcome = Outcome::default();
    let mut judged = Judged::new();
    let end = Instant::now() + company.plan.duration;
    loop {
        work(company, end).await;
        let reading = rest(company, accounts, &judged, &mut outcome).await;
        let Some(reading) = reading else { break };
        outcome.report.merge(settle(company, reading.events).await);
        for violation in reading.found {
            outcome.report.add(violation);
        }
        outcome.rounds += 1;
        shown.set(&outcome.report);
        judged = reading.heads;
        // Whoever is not back may come later, but nothing more is proved by this run.
        if !outcome.unproved.is_empty() || company.is_interrupted() || Instant::now() >= end {
            break;
        }
        company.journal.forget_signals();
    }
    outcome.report.merge(company.journal.count(|figures| std::mem::take(&mut figures.found)));
    outcome
}

/// What the progress line shows of judged rounds.
#[derive(Debug, Default)]
pub struct Shown(parking_lot::Mutex<BTreeMap<Kind, u64>>);

impl Shown {
    fn set(&self, report: &Report) {
        self.0.lock().clone_from(&report.counts);
    }

    /// The number of violations so far.
    pub fn violations(&self) -> u64 {
        self.0.lock().values().sum()
    }
}

/// Publishes for one round.
async fn work(company: &Company, end: Instant) {
    let recorder = &company.journal.recorder;
    let end = end.min(Instant::now() + ROUND_MAX);
    let entries = recorder.published() + company.plan.round_entries;
    company.enter(Phase::Work);
    while Instant::now() < end
        && !company.is_interrupted()
        && recorder.published() < entries
        && recorder.len() < EVENTS_MAX
    {
        pause(LOOK).await;
    }
    company.enter(Phase::Rest);
}

/// Waits until everything is answered and everybody is back, and reads the log; none: that could not be.
async fn rest(
    company: &Company,
    accounts: &[Arc<Account>],
    judged: &Judged,
    outcome: &mut Outcome,
) -> Option<Reading> {
    let begun = Instant::now();
    let recorder = &company.journal.recorder;
    let patience = |company: &Company| match company.is_interrupted() {
        true => company.plan.patience.min(HURRY),
        false => company.plan.patience,
    };
    let away = || accounts.iter().filter(|account| !account.is_settled.load(Ordering::SeqCst));
    loop {
        let is_churning = company.is_churning.load(Ordering::SeqCst);
        let (open, away_now) = (recorder.open(), away().count());
        if open == 0 && away_now == 0 && !is_churning && recorder.silence() >= SILENCE {
            break;
        }
        if begun.elapsed() > patience(company) {
            let seconds = begun.elapsed().as_secs();
            if open > 0 || is_churning {
                let what = format!(
                    "{open} publishes had no answer for {seconds} s: what became of them is not known"
                );
                outcome.unproved.push(what);
                return None;
            }
            for account in away() {
                let at = company.journal.now();
                recorder.push(Event::Left { client: account.name.clone(), at });
            }
            if away_now > 0 {
                let what = format!(
                    "{away_now} clients could not come back for {seconds} s: what they would have got is not known"
                );
                outcome.unproved.push(what);
            }
            break;
        }
        pause(LOOK).await;
    }
    outcome.slowest_rest = outcome.slowest_rest.max(begun.elapsed().saturating_sub(SILENCE));
    loop {
        match log::read(company, judged).await {
            Ok(reading) => return Some(reading),
            Err(why) if begun.elapsed() > patience(company) => {
                outcome.unproved.push(format!("the log could be read through no node: {why}"));
                return None;
            }
            Err(_) => pause(LOOK).await,
        }
    }
}

/// Judges the round, once nothing is missing, or has been for too long.
async fn settle(company: &Company, log: Vec<Event>) -> Report {
    let recorder = &company.journal.recorder;
    log.into_iter().for_each(|event| recorder.push(event));
    let begun = Instant::now();
    // On this thread: the others go on, and wait only when something happens.
    let misses = |report: &Report| report.count(Kind::Loss) + report.count(Kind::Recovery) > 0;
    while begun.elapsed() < LATEST
        && tokio::task::block_in_place(|| {
            recorder.read(|history| misses(&check(history, &Bounds::default())))
        })
    {
        pause(Duration::from_secs(1)).await;
    }
    tokio::task::block_in_place(|| {
        let history = recorder.cut();
        let mut report = check(&history, &Bounds::default());
        name_nodes(&history, &mut report);
        report
    })
}

/// Says of each violation that a client suffered through which node it was connected.
fn name_nodes(history: &History, report: &mut Report) {
    if report.is_clean() {
        return;
    }
    let mut connections: HashMap<String, Vec<(u64, String)>> = HashMap::new();
    for event in history.events() {
        if let Event::Connected { client, node, at, .. } = event {
            connections.entry(client).or_default().push((at, node));
        }
    }
    for violation in &mut report.violations {
        let Some(client) = &violation.client else { continue };
        let at = violation.at.unwrap_or(u64::MAX);
        let before = connections.get(client).into_iter().flatten().rfind(|(connected, _)| *connected <= at);
        if let Some((_, node)) = before {
            violation.what = format!("{}; the client was connected through {node}", violation.what);
        }
    }
}
