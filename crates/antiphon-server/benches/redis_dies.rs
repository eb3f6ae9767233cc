//! Redis is killed in the midst of entries at a rate: what publishers and connected clients notice, and how late entries come to
//! the other node meanwhile.
//!
//! `RATE` entries a second (1000) over two nodes, `TOPICS` (10), `LISTENERS` at each node (40); `SECS` (10) with Redis, twice as long
//! without, and as long with one that is frozen.
#![allow(clippy::unwrap_used)]

mod figures;

use std::time::Duration;

use figures::{
    cluster::{Bell, Cluster, TENANT},
    commits::heads,
    crowd::{Came, Crowd, Seat},
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
    figures::run(measure());
}

async fn measure() {
    let (rate, secs) = (settings::number("RATE", 1000.0), settings::seconds("SECS", 10));
    let listeners = settings::number("LISTENERS", 40);
    let topics = settings::topics(10);
    let seed = settings::seed();
    let mut report = Report::new("redis_dies", seed);
    let mut cluster = Cluster::start(2, Bell::Redis, &[]);
    let token = cluster.token("ann");
    let seats = Seat::in_turn(2 * listeners, 2, topics.len(), &token);
    let crowd = Crowd::seat(cluster.addresses(), &topics, seats, 1, seed);
    let plan = Plan { rate, publishers: 20, topics, bytes: 128, token, seed };
    let says = Says::plain(&cluster.addresses(), &plan).await;
    flow(secs / 3).await;

    let soon = secs.min(Duration::from_secs(2));
    let mut marks = vec![("with Redis", now_us())];
    let prober = Prober::start(&cluster).await;
    flow(secs).await;
    let bare = prober.end().await;
    marks.push(("Redis killed (-9), the first two seconds", now_us()));
    cluster.redis.as_mut().unwrap().kill9();
    let prober = Prober::start_without_redis(&cluster).await;
    flow(soon).await;
    marks.push(("dead, after that", now_us()));
    flow(secs * 2).await;
    let bare_without = prober.end().await;
    marks.push(("there again", now_us()));
    cluster.redis.as_mut().unwrap().restart().unwrap();
    tokio::task::block_in_place(|| cluster.is_whole());
    flow(secs / 2).await;
    marks.push(("frozen (SIGSTOP), the first two seconds", now_us()));
    cluster.redis.as_mut().unwrap().stop();
    flow(soon).await;
    marks.push(("frozen, after that", now_us()));
    flow(secs).await;
    marks.push(("it goes on", now_us()));
    cluster.redis.as_mut().unwrap().cont();
    tokio::task::block_in_place(|| cluster.is_whole());
    flow(secs / 2).await;

    let said = says.end().await;
    marks.push(("", now_us()));
    let mut told = crowd.tell();
    let mut came = std::mem::take(&mut told.came);
    let heads = heads(&cluster.database.url()).await;
    assert!(
        crowd.reach(&heads, figures::PATIENCE, &mut came),
        "some have not all that was published to {TENANT}"
    );
    let told = crowd.tell();

    let away: Latencies = across(&came, marks[1].1..marks[3].1);
    let (lost, cut) = (told.sum(|facts| facts.lost), told.sum(|facts| facts.cut));
    let (errors, clients) = (said.wrong.len(), told.facts.len() + plan.publishers);
    report.row(
        format!("Redis dies in the middle of {rate}/s: errors to publishers, clients disconnected, p99 across nodes while it is away"),
        "0, 0, <= 300 ms",
        format!(
            "{errors} of {} publishes, {cut} of {clients}, {:.1} ms ({lost} lost)",
            said.said,
            away.p99()
        ),
        json!({"errors": errors, "said": said.said, "accepted": said.accepted, "cut": cut, "lost": lost,
            "wrong": said.wrong.iter().chain(&told.wrong).take(20).collect::<Vec<_>>(), "away": away.json()}),
        &bare_without,
    );
    for two in marks.windows(2) {
        let late = across(&came, two[0].1..two[1].1);
        let bare = if two[0].0 == "with Redis" { &bare } else { &bare_without };
        report.row(format!("- {}", two[0].0), "", late.to_string(), late.json(), bare);
    }
    report.end();
}

/// How late what was sent in this time came to the other node.
fn across(came: &[Came], sent: std::ops::Range<u64>) -> Latencies {
    came.iter()
        .filter(|came| came.from != came.to && sent.contains(&came.sent_us))
        .map(Came::late_us)
        .collect()
}
