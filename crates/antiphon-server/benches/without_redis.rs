//! Two nodes that hear each other through PostgreSQL alone: how late entries come to the other node.
//!
//! `RATE` entries a second (500) over both, `TOPICS` (10), `LISTENERS` at each node (40), for `SECS` (20).
#![allow(clippy::unwrap_used)]

mod figures;

use figures::{
    cluster::{Bell, Cluster},
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
    let (rate, secs) = (settings::number("RATE", 500.0), settings::seconds("SECS", 20));
    let listeners = settings::number("LISTENERS", 40);
    let topics = settings::topics(10);
    let seed = settings::seed();
    let mut report = Report::new("without_redis", seed);
    let cluster = Cluster::start(2, Bell::Postgres, &[]);
    let token = cluster.token("ann");
    let seats = Seat::in_turn(2 * listeners, 2, topics.len(), &token);
    let crowd = Crowd::seat(cluster.addresses(), &topics, seats, 1, seed);
    let plan = Plan { rate, publishers: 20, topics, bytes: 128, token, seed };
    let says = Says::plain(&cluster.addresses(), &plan).await;
    flow(secs / 6).await;
    let (prober, from) = (Prober::start(&cluster).await, now_us());
    flow(secs).await;
    let (bare, to) = (prober.end().await, now_us());
    let said = says.end().await;
    let mut came = Vec::new();
    let heads = heads(&cluster.database.url()).await;
    assert!(crowd.reach(&heads, figures::PATIENCE, &mut came), "some have not all that was published");
    let told = crowd.tell();

    let within = came.iter().filter(|came| (from..to).contains(&came.sent_us));
    let (across, here): (Vec<&Came>, Vec<&Came>) = within.partition(|came| came.from != came.to);
    let late = |came: Vec<&Came>| came.into_iter().map(Came::late_us).collect::<Latencies>();
    let (across, here) = (late(across), late(here));
    let lost = told.sum(|facts| facts.lost);
    report.row(
        format!("without Redis at all, two nodes: from the publish to the socket at the other node at {rate}/s, p50 / p99"),
        "<= 25 / 100 ms",
        format!("{:.1} / {:.1} ms ({} errors, {lost} lost)", across.percentile(50.0), across.p99(), said.wrong.len()),
        json!({"across": across.json(), "lost": lost, "said": said.said, "wrong": said.wrong}),
        &bare,
    );
    report.row("- the same at the publisher's own node", "", here.to_string(), here.json(), &bare);
    report.end();
}
