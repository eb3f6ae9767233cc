//! A user's tokens are revoked while it is connected to both nodes: until all of its sockets are closed.
//!
//! `USERS` (300) one after the other, with Redis, with one that is dead, and with nodes that know of none.
#![allow(clippy::unwrap_used)]

mod figures;

use antiphon_client::{Raw, Received};
use figures::{
    cluster::{Bell, Cluster, TENANT},
    http,
    latency::Latencies,
    report::Report,
    round_trips::Prober,
    settings::{self, Random},
};
use serde_json::{Value, json};

fn main() {
    figures::run(async {
        let mut report = Report::new("revocation", settings::seed());
        measure(&mut report, "with Redis", Cluster::start(2, Bell::Redis, &[]), "p99 <= 1 s").await;
        let mut cluster = Cluster::start(2, Bell::Redis, &[]);
        cluster.redis.take().unwrap().kill9();
        measure(&mut report, "with a dead Redis", cluster, "p99 <= 2 s").await;
        measure(&mut report, "without Redis", Cluster::start(2, Bell::Postgres, &[]), "p99 <= 2 s").await;
        report.end();
    });
}

async fn measure(report: &mut Report, how: &str, cluster: Cluster, aim: &str) {
    let users = settings::number("USERS", 300);
    let prober = Prober::start(&cluster).await;
    let mut random = Random(report.seed());
    let mut took = Vec::new();
    for number in 0..users {
        let user = format!("u{number}");
        let token = tokio::task::block_in_place(|| cluster.token(&user));
        let mut sockets = [listener(&cluster, 0, &token).await, listener(&cluster, 1, &token).await];
        // Not at the same time of each tick.
        figures::flow(std::time::Duration::from_millis(random.below(40) as u64)).await;
        let request = format!("DELETE /api/v1/tenants/{TENANT}/users/{user}/tokens");
        let (node, key) = (cluster.address(number % 2), cluster.key.clone());
        let since = std::time::Instant::now();
        let asked = tokio::task::spawn_blocking(move || http::call(node, &request, &key, &Value::Null));
        for raw in &mut sockets {
            while !matches!(raw.receive().await.unwrap(), Received::Closed(4401, _) | Received::Ended) {}
        }
        took.push(since.elapsed().as_micros() as u64);
        let (status, answer) = asked.await.unwrap();
        assert!((200..300).contains(&status), "{status} {answer}");
    }
    let (took, bare) = (Latencies::new(took), prober.end().await);
    report.row(
        format!("revoke while connected, {how}: closed at both nodes ({users} users)"),
        aim,
        took.to_string(),
        json!({"took": took.json()}),
        &bare,
    );
}

async fn listener(cluster: &Cluster, node: usize, token: &str) -> Raw {
    let mut raw = Raw::connect(&cluster.nodes[node].ws_url()).await.unwrap();
    raw.send_json(&json!({"type": "SUBSCRIBE", "token": token})).await.unwrap();
    raw.frame_of("SUBSCRIPTION_SUCCESSFUL").await.unwrap();
    raw
}
