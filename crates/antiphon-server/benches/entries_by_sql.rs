//! Entries that another program publishes in its own transactions: from the commit, by the database's own word, to the socket.
//!
//! `RATE` transactions a second (500), each with a row of the program's own and one entry, over `APPS` connections (10), to
//! `TOPICS` (10) with `LISTENERS` at each of two nodes (40), for `SECS` (20) with Redis and as long without.
#![allow(clippy::unwrap_used)]

mod figures;

use std::{
    sync::{
        Arc,
        atomic::{AtomicBool, Ordering},
    },
    time::Duration,
};

use figures::{
    cluster::{Bell, Cluster, TENANT},
    commits::{commits, heads},
    crowd::{Crowd, Seat},
    flow,
    latency::Latencies,
    now_us,
    report::Report,
    round_trips::Prober,
    settings::{self, Random},
};
use serde_json::json;
use sqlx::{Connection, PgConnection};
use tokio::time::{Instant, sleep_until};

fn main() {
    figures::run(async {
        let mut report = Report::new("entries_by_sql", settings::seed());
        for bell in [Bell::Redis, Bell::Postgres] {
            measure(&mut report, bell).await;
        }
        report.end();
    });
}

async fn measure(report: &mut Report, bell: Bell) {
    let (rate, secs) = (settings::number("RATE", 500.0), settings::seconds("SECS", 20));
    let (listeners, apps) = (settings::number("LISTENERS", 40), settings::number("APPS", 10));
    let topics = settings::topics(10);
    let cluster = Cluster::start(2, bell, &[]);
    cluster.database.sql("create schema app; create table app.orders (number bigint)");
    let token = cluster.token("ann");
    let seats = Seat::in_turn(2 * listeners, 2, topics.len(), &token);
    let crowd = Crowd::seat(cluster.addresses(), &topics, seats, 1, report.seed());
    let stop = Arc::new(AtomicBool::new(false));
    let mut tasks = Vec::new();
    for number in 0..apps {
        let connection = PgConnection::connect(&cluster.database.url()).await.unwrap();
        let every = Duration::from_secs_f64(apps as f64 / rate);
        let first = Instant::now() + every.mul_f64(number as f64 / apps as f64);
        let random = Random(report.seed() + number as u64);
        tasks.push(tokio::spawn(publish(connection, topics.clone(), first, every, random, stop.clone())));
    }
    flow(secs / 6).await;
    let (prober, from) = (Prober::start(&cluster).await, now_us());
    flow(secs).await;
    let (bare, to) = (prober.end().await, now_us());
    stop.store(true, Ordering::Relaxed);
    let mut committed = 0;
    for task in tasks {
        committed += task.await.unwrap();
    }
    let mut came = Vec::new();
    let heads = heads(&cluster.database.url()).await;
    assert!(crowd.reach(&heads, figures::PATIENCE, &mut came), "some have not all that was published");
    let (told, commits) = (crowd.tell(), commits(&cluster.database.url()).await);
    let late: Latencies = came
        .iter()
        .filter(|came| (from..to).contains(&came.sent_us))
        .filter_map(|came| {
            let at = commits.get(&(topics[usize::from(came.topic)].clone(), came.offset))?;
            Some(came.at_us.saturating_sub(*at))
        })
        .collect();
    let lost = told.sum(|facts| facts.lost);
    let reached = commits.values().filter(|at| (from..to).contains(at)).count() as f64 / secs.as_secs_f64();
    report.row(
        format!("entries by SQL, commit to socket at {rate}/s, {bell}, at both nodes"),
        "p99 <= 50 ms",
        format!("{late} ({reached:.0}/s, {lost} lost)"),
        json!({"late": late.json(), "committed": committed, "lost": lost, "perSecond": reached}),
        &bare,
    );
}

/// One connection of the program: how many transactions it has committed.
async fn publish(
    mut connection: PgConnection,
    topics: Vec<String>,
    mut next: Instant,
    every: Duration,
    mut random: Random,
    stop: Arc<AtomicBool>,
) -> i64 {
    let (mut committed, filler) = (0, random.text(100));
    while !stop.load(Ordering::Relaxed) {
        sleep_until(next).await;
        next += every;
        let mut own = connection.begin().await.unwrap();
        sqlx::query("insert into app.orders values ($1)").bind(committed).execute(&mut *own).await.unwrap();
        sqlx::query("select from antiphon.publish(tenant => $1, topic => $2, text => $3)")
            .bind(TENANT)
            .bind(&topics[random.below(topics.len())])
            .bind(format!("{} 0 {filler}", now_us()))
            .execute(&mut *own)
            .await
            .unwrap();
        own.commit().await.unwrap();
        committed += 1;
    }
    committed
}
