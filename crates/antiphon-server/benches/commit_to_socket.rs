//! How long it is from the commit of an entry, by the database's own word, until a client has it; and from the publish.
//!
//! `RATE` entries a second (1000) over two nodes, `TOPICS` (10), `LISTENERS` at each node (40), for `SECS` (20) with Redis and as
//! long without. The commit's time is the one that `track_commit_timestamp` keeps: just before the commit is synced to disk.
#![allow(clippy::unwrap_used)]

mod figures;

use figures::{
    cluster::{Bell, Cluster},
    commits::{commits, heads},
    crowd::{Crowd, Seat},
    flow,
    latency::Latencies,
    now_us,
    report::Report,
    round_trips::Prober,
    says::{Plan, Says},
    settings,
};
use serde_json::json;

fn main() {
    figures::run(async {
        let mut report = Report::new("commit_to_socket", settings::seed());
        for bell in [Bell::Redis, Bell::Postgres] {
            measure(&mut report, bell).await;
        }
        report.end();
    });
}

async fn measure(report: &mut Report, bell: Bell) {
    let (rate, secs) = (settings::number("RATE", 1000.0), settings::seconds("SECS", 20));
    let listeners = settings::number("LISTENERS", 40);
    let topics = settings::topics(10);
    let cluster = Cluster::start(2, bell, &[]);
    let token = cluster.token("ann");
    let seats = Seat::in_turn(2 * listeners, 2, topics.len(), &token);
    let crowd = Crowd::seat(cluster.addresses(), &topics, seats, 1, report.seed());
    let plan = Plan { rate, publishers: 20, topics: topics.clone(), bytes: 128, token, seed: report.seed() };
    let says = Says::plain(&cluster.addresses(), &plan).await;
    flow(secs / 6).await;
    let (prober, from) = (Prober::start(&cluster).await, now_us());
    flow(secs).await;
    let (bare, to) = (prober.end().await, now_us());
    let said = says.end().await;
    let mut came = Vec::new();
    let heads = heads(&cluster.database.url()).await;
    assert!(crowd.reach(&heads, figures::PATIENCE, &mut came), "some have not all that was published");
    let (told, commits) = (crowd.tell(), commits(&cluster.database.url()).await);

    came.retain(|came| (from..to).contains(&came.sent_us));
    let since_commit = |is_across: bool| -> Latencies {
        let these = came.iter().filter(|came| (came.from != came.to) == is_across);
        let at = |topic: u16, offset| commits.get(&(topics[usize::from(topic)].clone(), offset)).copied();
        these.filter_map(|came| Some(came.at_us.saturating_sub(at(came.topic, came.offset)?))).collect()
    };
    let since_publish: Latencies = came.iter().map(|came| came.late_us()).collect();
    let (here, across, lost) = (since_commit(false), since_commit(true), told.sum(|facts| facts.lost));
    report.row(
        format!("commit to socket at {rate} durable entries/s, {bell}, at the publisher's node"),
        "p99 <= 10 ms",
        format!("{here} ({} errors, {lost} lost)", said.wrong.len()),
        json!({"here": here.json(), "said": said.said, "wrong": said.wrong, "lost": lost}),
        &bare,
    );
    report.row("- at the other node", "p99 <= 10 ms", across.to_string(), across.json(), &bare);
    report.row("- from the publish, at both", "", since_publish.to_string(), since_publish.json(), &bare);
}
