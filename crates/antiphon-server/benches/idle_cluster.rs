//! What a cluster that does nothing asks PostgreSQL: by number of nodes and of topics that somebody is subscribed to.
//!
//! Up to `NODES` (3) and `TOPICS` (1000), each for `SECS` (10).
#![allow(clippy::unwrap_used)]

mod figures;

use figures::{
    cluster::{Bell, Cluster},
    crowd::{Crowd, Seat},
    flow,
    report::Report,
    round_trips::RoundTrips,
    settings,
};
use serde_json::json;

/// One kind of statement.
struct Asked {
    text: String,
    calls: u64,
    ms: f64,
}

fn main() {
    figures::run(async {
        let mut report = Report::new("idle_cluster", settings::seed());
        let (nodes, topics) = (settings::number("NODES", 3), settings::number("TOPICS", 1000));
        for bell in [Bell::Redis, Bell::Postgres] {
            for (nodes, topics) in [(1, 1), (1, topics), (nodes, topics)] {
                measure(&mut report, bell, nodes, topics).await;
            }
        }
        report.end();
    });
}

async fn measure(report: &mut Report, bell: Bell, nodes: usize, topics: usize) {
    let secs = settings::seconds("SECS", 10);
    let cluster = Cluster::start(nodes, bell, &[]);
    let token = cluster.token("ann");
    let names: Vec<String> = (0..topics).map(|number| format!("t{number}")).collect();
    let seats = Seat::in_turn(topics * nodes, nodes, topics, &token);
    let _crowd = Crowd::seat(cluster.addresses(), &names, seats, 1, report.seed());
    cluster.database.sql("create extension pg_stat_statements");
    flow(secs / 3).await;
    cluster.database.sql("select pg_stat_statements_reset()");
    flow(secs).await;
    let asked = asked(&cluster);
    let (calls, ms): (u64, f64) =
        (asked.iter().map(|one| one.calls).sum(), asked.iter().map(|one| one.ms).sum());
    let a_second = |calls: u64| calls as f64 / secs.as_secs_f64();
    let kinds: Vec<String> =
        asked.iter().map(|one| format!("{:.1} `{}`", a_second(one.calls), one.text)).collect();
    eprintln!("{nodes} nodes, {topics} topics, {bell}:");
    asked.iter().for_each(|one| {
        eprintln!("  {:6.1}/s {:7.3} ms  {}", a_second(one.calls), one.ms / one.calls as f64, one.text)
    });
    report.row(
        format!("an idle cluster {bell}: {nodes} nodes, {topics} topics"),
        "one small query per interval, not one per topic or node",
        format!(
            "{:.1} queries/s, {:.2} % of a core in PostgreSQL",
            a_second(calls),
            ms / secs.as_secs_f64() / 10.0
        ),
        json!({"perSecond": a_second(calls), "nodes": nodes, "topics": topics, "kinds": kinds}),
        &RoundTrips::default(),
    );
}

/// What was asked since the reset, but for our own question.
fn asked(cluster: &Cluster) -> Vec<Asked> {
    let rows = cluster.database.sql(
        "select calls, total_exec_time, left(regexp_replace(query, '\\s+', ' ', 'g'), 90) from pg_stat_statements s \
         join pg_database d on d.oid = s.dbid where d.datname = current_database() and query not like '%pg_stat_statements%' \
         order by calls desc",
    );
    let row = |line: &str| {
        let mut parts = line.splitn(3, '|');
        let mut part = || parts.next().unwrap_or_default().to_owned();
        Asked { calls: part().parse().unwrap(), ms: part().parse().unwrap(), text: part() }
    };
    rows.lines().map(row).collect()
}
