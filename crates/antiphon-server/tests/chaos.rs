//! Nothing is lost, doubled, reordered or leaked, whatever breaks: real processes, a recorded history, and the checker.
//!
//! `cargo test -p antiphon-server --test chaos -- --nocapture` runs the short form; `havoc/plan.rs` names the variables
//! that make it long. Each run prints its seed, which decides who says what and what breaks when; what processes make of
//! it is their own.
#![allow(clippy::unwrap_used)]

mod havoc;

use std::{
    path::Path,
    sync::{
        Arc, Mutex, MutexGuard, PoisonError,
        atomic::{AtomicBool, Ordering},
    },
    time::{Duration, Instant},
};

use antiphon_checker::{Bounds, Event, History, Outcome, Report, check};
use antiphon_client::{Error, Raw};
use havoc::{
    Rng,
    cluster::{Cluster, Doors, PATIENCE},
    directory::{Account, Directory},
    draft::{Draft, place},
    faults,
    library::Application,
    pause,
    plan::Plan,
    recorder::{Recorder, keep},
    rows,
    speaker::{Client, Company},
};
use serde_json::{Value, json};

/// One run at a time: they would starve each other.
fn alone() -> MutexGuard<'static, ()> {
    static RUNNING: Mutex<()> = Mutex::new(());
    RUNNING.lock().unwrap_or_else(PoisonError::into_inner)
}

fn runtime() -> tokio::runtime::Runtime {
    tokio::runtime::Builder::new_multi_thread().worker_threads(2).enable_all().build().unwrap()
}

/// As long as a node stays stopped, and some more.
const LONGEST_STOP_US: u64 = 8_000_000;

/// Reads the log, checks everything and writes it all down.
fn judge(name: &str, plan: &Plan, mut history: History, cluster: &Cluster, figures: Value) -> Report {
    rows::add(&mut history, &cluster.database);
    // A node that is stopped can't look at who was revoked meanwhile: it does when it goes on, within its time from then. Only
    // what was sent before the revocation may leave before that.
    let bounds = Bounds { stopped: LONGEST_STOP_US, ..Bounds::default() };
    let report = check(&history, &bounds);
    println!("{name}: TESTKIT_SEED={}: {report}\n{figures}", plan.seed);
    let folder = std::env::var("CHAOS_REPORT").unwrap_or_else(|_| env!("CARGO_TARGET_TMPDIR").to_owned());
    let folder = Path::new(&folder);
    let told = json!({"test": name, "seed": plan.seed, "figures": figures, "report": report});
    std::fs::write(folder.join(format!("{name}.json")), serde_json::to_vec_pretty(&told).unwrap()).unwrap();
    if !report.is_clean() {
        let file = folder.join(format!("{name}-{}.jsonl", plan.seed));
        keep(&history, &file);
        for (number, site) in cluster.sites.iter().enumerate() {
            let log = folder.join(format!("{name}-{}-node{number}.log", plan.seed));
            std::fs::write(log, site.node.log().text()).unwrap();
        }
        println!("the history is kept in {}", file.display());
    }
    report
}

#[test]
fn a_publish_whose_commit_was_cut_from_its_answer_is_there_once_and_its_retry_says_so() {
    let _alone = alone();
    let Some(cluster) = Cluster::start("a_publish_whose_commit_was_cut", 2) else { return };
    runtime().block_on(async {
        let plan = Plan { tenants: 1, users: 1, ..Plan::from_environment() };
        let doors = cluster.doors();
        doors.ready().await;
        let mut directory = Directory::new(doors.clone(), Recorder::new(), Rng::new(plan.seed));
        let account = directory.populate(&plan).await.remove(0);
        let frame = json!({"type": "MESSAGE", "token": account.token().0, "ref": "a", "key": "once", "text": "hi",
            "topic": "news"});
        let say = async |node: usize| {
            let mut raw = Raw::connect(&doors.sockets[node]).await.unwrap().deadline(PATIENCE);
            raw.send_json(&frame).await.unwrap();
            raw.frame().await.unwrap()
        };
        cluster.sites[0].cutter.cut_next(1);
        let unknown = say(0).await;
        assert_eq!((&unknown["type"], &unknown["code"]), (&json!("ERROR"), &json!("UNAVAILABLE")), "{unknown}");
        assert!(unknown["retryAfterMs"].is_number(), "{unknown}");
        assert_eq!(cluster.sites[0].cutter.cuts(), 1);
        let count = || cluster.database.sql("select count(*) from antiphon.entries");
        assert_eq!(count(), "1", "it was committed");
        // On either node it is known.
        for node in [1, 0] {
            let again = say(node).await;
            assert_eq!((&again["type"], &again["duplicate"]), (&json!("ACCEPTED"), &json!(true)), "{again}");
            assert_eq!(again["offset"], 1);
        }
        assert_eq!(count(), "1");
    });
}

/// Sends each of the publishes up to five times, through whatever node, and once more until one was answered.
async fn publish_again_and_again(
    plan: &Plan,
    doors: &Doors,
    recorder: &Recorder,
    account: &Arc<Account>,
    mut rng: Rng,
    worker: u64,
) {
    let mut lines: Vec<Option<Raw>> = doors.sockets.iter().map(|_| None).collect();
    let connection = recorder.connection();
    for number in (worker..plan.publishes).step_by(8) {
        let mut draft = Draft::new(&account.speaker, number, &mut rng);
        draft.topic = rng.pick(&["news", "chat:1"]).to_string();
        draft.project = None;
        let mut left = 1 + rng.below(5);
        loop {
            let node = rng.below(lines.len());
            if lines[node].is_none() {
                lines[node] = Raw::connect(&doors.sockets[node]).await.ok();
            }
            let Some(raw) = &mut lines[node] else {
                pause(Duration::from_millis(50)).await;
                continue;
            };
            let sent = recorder.now();
            let frame = json!({"type": "MESSAGE", "token": account.token().0, "ref": number.to_string(),
                "topic": draft.topic, "key": draft.key, "text": draft.text});
            let answer = match raw.send_json(&frame).await {
                Ok(()) => raw.frame().await,
                Err(error) => Err::<Value, Error>(error),
            };
            let mut outcome = Outcome::Unknown;
            match answer {
                Ok(frame) if frame["type"] == "ACCEPTED" => {
                    let place = place(frame["position"].as_str().unwrap());
                    outcome = Outcome::Accepted { place, duplicate: frame["duplicate"] == true };
                }
                Ok(frame) => assert!(frame["retryAfterMs"].is_number(), "{frame}"),
                Err(_) => lines[node] = None,
            }
            let url = &doors.sockets[node];
            let answered = Some(recorder.now());
            recorder.push(draft.attempt(&account.speaker, connection, url, sent, answered, outcome));
            left = left.saturating_sub(1);
            if left == 0 && outcome != Outcome::Unknown {
                break;
            }
        }
    }
}

#[test]
fn what_is_sent_five_times_through_links_that_are_cut_is_in_the_log_once() {
    let _alone = alone();
    let plan = Plan { tenants: 1, users: 1, ..Plan::from_environment() };
    println!("TESTKIT_SEED={}", plan.seed);
    let Some(cluster) = Cluster::start("what_is_sent_five_times", 3) else { return };
    let recorder = Recorder::new();
    let begun = Instant::now();
    runtime().block_on(async {
        let doors = cluster.doors();
        doors.ready().await;
        let mut rng = Rng::new(plan.seed);
        let mut directory = Directory::new(doors.clone(), recorder.clone(), rng.fork());
        let account = directory.populate(&plan).await.remove(0);
        let workers: Vec<_> = (0..8)
            .map(|worker| {
                let (plan, doors, recorder) = (plan.clone(), doors.clone(), recorder.clone());
                let (account, rng) = (account.clone(), rng.fork());
                tokio::spawn(async move {
                    publish_again_and_again(&plan, &doors, &recorder, &account, rng, worker).await;
                })
            })
            .collect();
        // Commits are cut on every node, and now and then a whole link.
        while workers.iter().any(|worker| !worker.is_finished()) {
            pause(rng.millis(20, 120)).await;
            let site = rng.pick(&cluster.sites);
            site.cutter.cut_next(1);
            if rng.percent(10) {
                site.to_database.cut();
            }
        }
        for worker in workers {
            worker.await.unwrap();
        }
    });
    let cuts: u64 = cluster.sites.iter().map(|site| site.cutter.cuts()).sum();
    let figures = json!({"cuts": cuts, "seconds": begun.elapsed().as_secs()});
    let report = judge("exactly-once", &plan, recorder.take(), &cluster, figures);
    assert!(report.is_clean(), "{report}");
    assert_eq!(report.entries, plan.publishes);
    assert!(cuts > 0 && report.unknown > 0, "links were cut");
}

#[test]
fn nothing_is_lost_doubled_reordered_or_leaked_whatever_breaks() {
    let _alone = alone();
    let plan = Plan::from_environment();
    println!("TESTKIT_SEED={}", plan.seed);
    let Some(mut cluster) = Cluster::start("nothing_is_lost", 3) else { return };
    let recorder = Recorder::new();
    let mut rng = Rng::new(plan.seed);
    let begun = Instant::now();
    let runtime = runtime();
    let doors = cluster.doors();
    let company = Arc::new(Company {
        doors: doors.clone(),
        recorder: recorder.clone(),
        is_quiet: AtomicBool::new(false),
        is_over: AtomicBool::new(false),
        pace: Duration::from_millis(plan.pace_ms),
    });
    let mut directory = Directory::new(doors.clone(), recorder.clone(), rng.fork());
    let accounts = runtime.block_on(async {
        doors.ready().await;
        directory.populate(&plan).await
    });
    let clients: Vec<_> = accounts
        .iter()
        .enumerate()
        .map(|(number, account)| {
            let (company, account, rng) = (company.clone(), account.clone(), rng.fork());
            // Each sixth is an application on the library.
            runtime.spawn(async move {
                match number % 6 {
                    5 => Application::new(company, account, rng).run().await,
                    _ => Client::new(company, account, rng).run().await,
                }
            })
        })
        .collect();
    let churn = runtime.spawn({
        let company = company.clone();
        directory.churn(accounts, move || company.is_quiet())
    });

    let mut faults = faults::run(&mut cluster, &recorder, &mut rng, plan.rounds);
    let (history, open) = runtime.block_on(async {
        // poll: until so many were published.
        while recorder.published() < plan.entries {
            pause(Duration::from_millis(100)).await;
        }
        company.is_quiet.store(true, Ordering::Relaxed);
        recorder.push(Event::Healed { at: recorder.now() });
        let healed = Instant::now();
        let (changes, revocations) = churn.await.unwrap();
        faults.insert("MembershipChanged".into(), changes);
        faults.insert("TokensRevoked".into(), revocations);
        // Whatever comes later than this is late, and the checker says so.
        // poll: until all have their answers and nobody has heard anything for a while.
        while healed.elapsed() < Duration::from_secs(12)
            || (healed.elapsed() < PATIENCE
                && (recorder.open() > 0 || recorder.silence() < Duration::from_secs(3)))
        {
            pause(Duration::from_millis(100)).await;
        }
        let open = recorder.open();
        let history = recorder.take();
        company.is_over.store(true, Ordering::Relaxed);
        for client in clients {
            client.await.unwrap();
        }
        (history, open)
    });
    let figures = json!({
        "faults": faults, "clients": plan.tenants * plan.users, "seconds": begun.elapsed().as_secs(),
        "publishes_without_an_answer": open,
    });
    let report = judge("chaos", &plan, history, &cluster, figures);
    assert!(report.is_clean(), "{report}");
    assert_eq!(open, 0, "every publish was answered in the end");
    // It was no idle run.
    assert!(report.recoveries > 100 && report.unknown > 10 && report.receptions > 5 * report.entries);
}
