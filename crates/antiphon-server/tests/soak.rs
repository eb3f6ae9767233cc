//! `soak` against real nodes: it says clean of a cluster that keeps its promises, also while something breaks, finds a
//! fault that is planted, and leaves nothing behind.
#![allow(clippy::unwrap_used)]

mod support;

use std::{
    net::SocketAddr,
    sync::{Mutex, MutexGuard, PoisonError},
};

use antiphon_testkit::{Antiphon, AntiphonLaunch, Database, Redis, or_skip, run_antiphon, shared_postgres};
use serde_json::Value;
use support::{
    Finished, antiphon,
    frame_proxy::{FrameProxy, Wrong},
    node::{Node, eventually},
    tls::Certificate,
};

/// One run at a time: they would starve each other.
fn alone() -> MutexGuard<'static, ()> {
    static RUNNING: Mutex<()> = Mutex::new(());
    RUNNING.lock().unwrap_or_else(PoisonError::into_inner)
}

struct Cluster {
    nodes: Vec<Antiphon>,
    redis: Redis,
    database: Database,
    key: String,
}

impl Cluster {
    fn start(test: &str) -> Option<Self> {
        let database = shared_postgres(test)?;
        let redis = or_skip(test, Redis::start())?;
        let url = database.url();
        let env = [("ANTIPHON_DATABASE", url.as_str())];
        assert!(or_skip(test, run_antiphon(&["migrate"], &env))?.status.success());
        let key = issue(&database, &[]);
        let start = || {
            let args = ["--database", &url, "--redis", &redis.url()].map(str::to_owned);
            AntiphonLaunch::new().args(args).start().unwrap()
        };
        let nodes = vec![start(), start()];
        Some(Self { nodes, redis, database, key })
    }

    fn urls(&self) -> Vec<String> {
        self.nodes.iter().map(Antiphon::url).collect()
    }

    /// What is left of soaks.
    fn tenants(&self) -> String {
        self.database.sql("select count(*) from antiphon.tenants where id like 'soak-%' and not deleted")
    }
}

fn issue(database: &Database, args: &[&str]) -> String {
    let url = database.url();
    let issued = run_antiphon(&[&["key", "issue"], args].concat(), &[("ANTIPHON_DATABASE", url.as_str())]);
    issued.unwrap().stdout
}

/// A run, and its report.
struct Run {
    finished: Finished,
    report: Value,
}

fn soak(nodes: &[String], key: &str, args: &[&str]) -> Run {
    let folder = support::folder();
    let file = folder.path().join("report.json");
    let mut program = antiphon(&["soak"]).env("ANTIPHON_API_KEY", key).args(args).arg("--report").arg(&file);
    for node in nodes {
        program = program.args(&["--node", node]);
    }
    let finished = program.run();
    println!("{}\n{}", finished.stdout, finished.stderr);
    let report = std::fs::read(&file).ok().and_then(|text| serde_json::from_slice(&text).ok());
    Run { finished, report: report.unwrap_or(Value::Null) }
}

fn number(report: &Value, pointer: &str) -> u64 {
    report.pointer(pointer).and_then(Value::as_u64).unwrap_or_else(|| panic!("no number {pointer}: {report}"))
}

#[test]
fn a_cluster_that_keeps_its_promises_is_clean_and_the_report_counts_what_was_there() {
    let _alone = alone();
    let Some(cluster) = Cluster::start("a_cluster_that_keeps_its_promises_is_clean") else { return };
    let args = ["--duration", "16s", "--rate", "80", "--round-entries", "300", "--seed", "7", "--keep"];
    let Run { finished, report } = soak(&cluster.urls(), &cluster.key, &args);
    assert_eq!(finished.code, 0, "{}", finished.stderr);
    assert_eq!((&report["verdict"], &report["seed"]), (&"clean".into(), &7.into()));
    assert!(finished.stdout.starts_with("clean: every promise was kept"), "{}", finished.stdout);
    assert!(finished.stderr.contains("violations so far 0"), "{}", finished.stderr);

    // Its numbers are those of the database, over all rounds.
    let entries = number(&report, "/checked/entries");
    let in_database = "select count(*) from antiphon.entries e join antiphon.topics t on t.id = e.topic_id \
                       where t.tenant like 'soak-%'";
    assert_eq!(entries.to_string(), cluster.database.sql(in_database));
    assert!(number(&report, "/rounds") >= 2 && entries > 300, "{report}");
    let sum = |field: &str| -> u64 {
        report["nodes"].as_array().unwrap().iter().map(|node| node[field].as_u64().unwrap()).sum()
    };
    assert_eq!(sum("receptions"), number(&report, "/checked/receptions"));
    assert_eq!(sum("attempts"), number(&report, "/checked/attempts"));
    assert_eq!(sum("logs_read"), 2 * number(&report, "/rounds"));
    assert!(number(&report, "/checked/receptions") > 3 * entries, "{report}");
    assert!(number(&report, "/signals/received") > 0, "{report}");
    assert!(number(&report, "/connections/moves") > 0 && number(&report, "/checked/recoveries") > 0);
    // Each pair of nodes has its latencies, in order.
    let pairs = report["latency"].as_array().unwrap();
    assert_eq!(pairs.len(), 4);
    for pair in pairs {
        let [p50, p99, max] = ["p50_ms", "p99_ms", "max_ms"].map(|field| pair[field].as_f64().unwrap());
        assert!(p50 > 0.0 && p50 <= p99 && p99 <= max && pair["count"].as_u64() > Some(10), "{pair}");
    }
    // They were to be kept.
    assert_eq!((cluster.tenants(), &report["deleted"]), ("2".to_owned(), &false.into()));
    let tenant = report["tenants"][0].as_str().unwrap();
    let again = soak(&cluster.urls(), &cluster.key, &["--tenant", tenant]);
    assert_eq!(again.finished.code, 2);
    assert!(again.finished.stderr.contains("is there already"), "{}", again.finished.stderr);
    assert_eq!(cluster.tenants(), "2", "what it did not make it does not delete");
}

#[test]
fn a_node_and_redis_that_die_meanwhile_break_no_promise() {
    let _alone = alone();
    let Some(mut cluster) = Cluster::start("a_node_and_redis_that_die_meanwhile") else { return };
    let (urls, key) = (cluster.urls(), cluster.key.clone());
    let run = std::thread::spawn(move || soak(&urls, &key, &["--duration", "15s", "--rate", "60"]));
    let entries = |database: &Database| -> u64 {
        let count = "select count(*) from antiphon.entries e join antiphon.topics t on t.id = e.topic_id \
                     where t.tenant like 'soak-%'";
        database.sql(count).parse().unwrap()
    };
    eventually("it publishes", || entries(&cluster.database) > 100);
    cluster.nodes[1].kill9();
    let before = entries(&cluster.database);
    eventually("it goes on through the other one", || entries(&cluster.database) > before + 200);
    cluster.nodes[1].restart().unwrap();
    cluster.redis.kill9();
    let before = entries(&cluster.database);
    eventually("it goes on without Redis", || entries(&cluster.database) > before + 100);
    cluster.redis.restart().unwrap();
    let Run { finished, report } = run.join().unwrap();
    assert_eq!(finished.code, 0, "{}", finished.stderr);
    assert_eq!(report["verdict"], "clean");
    assert!(number(&report, "/nodes/1/failed_connections") > 0, "{report}");
    assert!(finished.stdout.contains("was away for a time"), "{}", finished.stdout);
    assert_eq!((cluster.tenants(), &report["deleted"]), ("0".to_owned(), &true.into()));
}

#[test]
fn an_entry_that_is_kept_from_one_client_and_one_that_comes_twice_are_found() {
    let _alone = alone();
    let Some(cluster) = Cluster::start("an_entry_that_is_kept_from_one_client") else { return };
    for (wrong, kind) in [(Wrong::Drop, "loss"), (Wrong::Double, "duplicate")] {
        let upstream: SocketAddr = cluster.nodes[1].address();
        let proxy = FrameProxy::start(upstream, wrong, r#""type":"MESSAGE""#, 700);
        let nodes = [cluster.nodes[0].url(), proxy.url()];
        let args = ["--duration", "8s", "--rate", "80", "--round-entries", "100"];
        let Run { finished, report } = soak(&nodes, &cluster.key, &args);
        assert!(proxy.is_done());
        assert_eq!(finished.code, 1, "{wrong:?}: {}", finished.stderr);
        assert_eq!(report["verdict"], "violations");
        assert_eq!(report["checked"]["counts"], serde_json::json!({kind: 1}), "{report}");
        let violation = &report["checked"]["violations"][0];
        assert_eq!(violation["kind"], kind);
        assert!(violation["what"].as_str().unwrap().contains(&proxy.url()), "{violation}");
        assert!(number(&report, "/rounds") > 1, "{report}");
        let topic = violation["topic"].as_str().unwrap();
        assert!(finished.stdout.contains(topic) && finished.stdout.starts_with("VIOLATIONS"));
        assert_eq!(cluster.tenants(), "0");
    }
}

#[test]
fn a_signal_that_comes_twice_is_found_and_one_that_is_lost_is_only_counted() {
    let _alone = alone();
    let Some(cluster) = Cluster::start("a_signal_that_comes_twice_is_found") else { return };
    for (wrong, code) in [(Wrong::Double, 1), (Wrong::Drop, 0)] {
        let proxy = FrameProxy::start(cluster.nodes[1].address(), wrong, r#""type":"SIGNAL""#, 20);
        let nodes = [cluster.nodes[0].url(), proxy.url()];
        let Run { finished, report } = soak(&nodes, &cluster.key, &["--duration", "4s"]);
        assert!(proxy.is_done());
        assert_eq!(finished.code, code, "{wrong:?}: {}", finished.stderr);
        if wrong == Wrong::Double {
            assert_eq!(report["checked"]["counts"], serde_json::json!({"duplicate": 1}), "{report}");
        }
    }
}

#[test]
fn nodes_behind_tls_are_trusted_by_the_authority_that_is_named() {
    let _alone = alone();
    let certificate = Certificate::new();
    let node = Node::serve(&certificate.flags());
    let (url, key) = (format!("https://localhost:{}/", node.address.port()), node.key("admin"));
    let stranger = soak(std::slice::from_ref(&url), &key, &[]);
    assert_eq!(stranger.finished.code, 2);
    assert!(stranger.finished.stderr.contains("certificate"), "{}", stranger.finished.stderr);
    let args = ["--duration", "2s", "--clients", "12", "--rate", "20", "--ca", certificate.flags()[1]];
    let Run { finished, report } = soak(&[url], &key, &args);
    assert_eq!((finished.code, &report["verdict"]), (0, &"clean".into()), "{}", finished.stderr);
}

#[test]
fn a_run_whose_nodes_do_not_come_back_proves_nothing_and_says_what_is_left() {
    let _alone = alone();
    let Some(mut cluster) = Cluster::start("a_run_whose_nodes_do_not_come_back") else { return };
    let (urls, key) = (cluster.urls(), cluster.key.clone());
    let run = std::thread::spawn(move || soak(&urls, &key, &["--duration", "8s", "--patience", "3s"]));
    let entries = "select count(*) from antiphon.entries";
    eventually("it publishes", || cluster.database.sql(entries).parse::<u64>().unwrap() > 50);
    cluster.nodes.iter_mut().for_each(Antiphon::kill9);
    let Run { finished, report } = run.join().unwrap();
    assert_eq!((finished.code, &report["verdict"]), (2, &"unproved".into()), "{}", finished.stderr);
    assert_eq!((&report["ended_by"], &report["deleted"]), (&"unproved".into(), &false.into()));
    let tenant = report["tenants"][0].as_str().unwrap();
    assert!(finished.stderr.contains(&format!("the tenant {tenant} could not be deleted")));
    assert!(finished.stdout.contains("not proved: "), "{}", finished.stdout);
}

#[test]
fn an_interrupted_run_tells_what_it_has_seen_and_leaves_nothing_behind() {
    let _alone = alone();
    let Some(cluster) = Cluster::start("an_interrupted_run_tells_what_it_has_seen") else { return };
    let folder = support::folder();
    let file = folder.path().join("report.json");
    let running = antiphon(&["soak", "--duration", "1h", "--node", &cluster.nodes[0].url()])
        .env("ANTIPHON_API_KEY", &cluster.key)
        .arg("--report")
        .arg(&file)
        .start();
    let entries = "select count(*) from antiphon.entries";
    eventually("it publishes", || cluster.database.sql(entries).parse::<u64>().unwrap() > 50);
    running.signal("INT");
    let finished = running.end();
    assert_eq!(finished.code, 0, "{}", finished.stderr);
    let report: Value = serde_json::from_slice(&std::fs::read(&file).unwrap()).unwrap();
    assert_eq!((&report["verdict"], &report["ended_by"]), (&"clean".into(), &"signal".into()));
    assert!(number(&report, "/checked/entries") > 50, "{report}");
    assert_eq!((cluster.tenants(), &report["deleted"]), ("0".to_owned(), &true.into()));
    // The second signal waits for no verdict, but leaves nothing behind either.
    let running = antiphon(&["soak", "--duration", "1h", "--node", &cluster.nodes[0].url()])
        .env("ANTIPHON_API_KEY", &cluster.key)
        .start();
    eventually("its tenants are there", || cluster.tenants() == "2");
    running.signal("TERM");
    eventually("it is told", || running.said("what was seen is judged"));
    running.signal("TERM");
    let finished = running.end();
    assert_eq!(finished.code, 2, "{}", finished.stderr);
    assert!(finished.stderr.contains("ended by a second signal"), "{}", finished.stderr);
    assert_eq!(cluster.tenants(), "0");
}

#[test]
fn what_can_not_run_ends_with_2_and_says_why() {
    let _alone = alone();
    let Some(mut cluster) = Cluster::start("what_can_not_run_ends_with_2") else { return };
    let urls = cluster.urls();
    let says = |nodes: &[String], key: &str, args: &[&str], parts: &[&str]| {
        let finished = soak(nodes, key, args).finished;
        assert_eq!(finished.code, 2, "{args:?}: {}", finished.stderr);
        assert!(finished.stdout.is_empty(), "{}", finished.stdout);
        for part in parts {
            assert!(finished.stderr.contains(part), "no {part} in {}", finished.stderr);
        }
        assert!(!finished.stderr.contains(key), "the key is told");
    };
    says(&urls, "antkey_wrong", &[], &[&urls[0], "the API key is not valid"]);
    let publisher = issue(&cluster.database, &["--scope", "publish"]);
    says(&urls, &publisher, &[], &["right to make tenants", "--scope directory"]);
    let directory = issue(&cluster.database, &["--scope", "directory"]);
    says(&urls, &directory, &[], &["may not read entries", "--scope publish"]);
    let bound = issue(&cluster.database, &["--tenant", "acme"]);
    says(&urls, &bound, &[], &["for all tenants"]);
    says(&urls, &cluster.key, &["--rate", "5000"], &["--rate 5000", "--clients"]);
    says(&urls, &cluster.key, &["--duration", "10"], &["--duration", "expected a duration"]);
    says(&urls, &cluster.key, &["--ca", "/nowhere.pem"], &["--ca /nowhere.pem"]);
    says(&["ws://a".to_owned()], &cluster.key, &[], &["http or https"]);
    // A node of another cluster, and one that is not there.
    let stranger = Node::serve(&[]);
    let stranger = format!("http://{}", stranger.address);
    says(&[urls[0].clone(), stranger.clone()], &cluster.key, &[], &[&stranger, "is it of this cluster"]);
    cluster.nodes[1].kill9();
    says(&urls, &cluster.key, &[], &[&urls[1], "can't be reached", "does it run"]);
    let keyless = antiphon(&["soak", "--node", &urls[0]]).run();
    assert_eq!(keyless.code, 2);
    assert!(keyless.stderr.contains("ANTIPHON_API_KEY"), "{}", keyless.stderr);
    assert_eq!(cluster.tenants(), "0");
}
