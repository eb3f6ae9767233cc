//! Each node is drained and started again, one after the other, under traffic: what clients lose and notice, how many of them come
//! to the others at once, and what the store is asked for it.
//!
//! `CLIENTS` (3000) that know all of 3 nodes, on `TOPICS` (50) of `RATE` entries a second in all (500), drained over `DRAIN_SECS`
//! (10). A client leaves when it was asked to, and only then connects to another node.
#![allow(clippy::unwrap_used)]

mod figures;

use std::collections::VecDeque;

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

const NODES: usize = 3;
/// What a node asks its store about single topics.
const KINDS: [&str; 3] = ["locates", "pages", "repairs"];

/// What came of one restart.
struct Restart {
    /// Connections that the node had, by the second of its window.
    paced: f64,
    /// The most accepts of any second, at all nodes and at one.
    worst: usize,
    worst_at_one: usize,
    /// Readings of the store for each topic, by their kinds, at all nodes but the drained one before its end.
    reads: [f64; KINDS.len()],
    ended_with: String,
}

fn main() {
    figures::run(measure());
}

async fn measure() {
    let (clients, rate) = (settings::number("CLIENTS", 3000), settings::number("RATE", 500.0));
    let (topics, window) = (settings::topics(50), settings::seconds("DRAIN_SECS", 10));
    let seed = settings::seed();
    let mut report = Report::new("rolling_restart", seed);
    let mut cluster = Cluster::start(NODES, Bell::Redis, &["--drain", &format!("{}s", window.as_secs())]);
    let token = cluster.token("ann");
    let seats = Seat::in_turn(clients, NODES, topics.len(), &token);
    let crowd = Crowd::seat(cluster.addresses(), &topics, seats, 1, seed);
    let plan = Plan { rate, publishers: 6, topics: topics.clone(), bytes: 128, token, seed };
    let says = Says::clients(&cluster.addresses(), &plan).await;
    flow(window / 4).await;
    let prober = Prober::start(&cluster).await;
    crowd.mark();
    let (mut restarts, mut came) = (Vec::new(), Vec::new());
    for node in 0..NODES {
        let one = restart(&mut cluster, &crowd, node, topics.len(), window.as_secs_f64(), &mut came);
        restarts.push(one.await);
    }
    flow(window / 4).await;
    let bare = prober.end().await;
    let said = says.end().await;
    let heads = heads(&cluster.database.url()).await;
    let is_whole = crowd.reach(&heads, figures::PATIENCE, &mut came);
    let told = crowd.tell();

    let lost = told.sum(|facts| facts.lost);
    let short = told.facts.iter().filter(|facts| facts.offset < heads[&topics[facts.topic]]).count();
    let (cut, moved, refused) =
        (told.sum(|facts| facts.cut), told.sum(|facts| facts.moved), told.sum(|facts| facts.refused));
    let gaps: Latencies = told.facts.iter().map(|facts| facts.gap_us).collect();
    let late: Latencies = came.iter().map(Came::late_us).collect();
    let worst = restarts.iter().map(|one| one.worst as f64 / one.paced).fold(0.0, f64::max);
    let reads = restarts.iter().map(|one| one.reads.iter().sum()).fold(0.0, f64::max);
    report.row(
        format!(
            "rolling restart of {NODES} nodes with {clients} clients under {rate}/s: lost, worst accepts/s, client's gap p99, store reads per topic and restart"
        ),
        "0, 2 x the paced rate, 2 s, <= 3",
        format!(
            "{lost}, {worst:.2} x, {:.2} s, {reads:.1}{}",
            gaps.p99() / 1000.0,
            if is_whole { String::new() } else { format!(" ({short} not at the head)") }
        ),
        json!({"lost": lost, "worst": worst, "gaps": gaps.json(), "reads": reads, "cut": cut, "moved": moved,
            "refused": refused, "doubled": told.sum(|facts| facts.doubled), "resets": told.sum(|facts| facts.resets),
            "said": said.said, "accepted": said.accepted, "late": late.json(),
            "wrong": said.wrong.iter().chain(&told.wrong).take(20).collect::<Vec<_>>()}),
        &bare,
    );
    for (node, one) in restarts.iter().enumerate() {
        report.row(
            format!("- node {}", node + 1),
            "",
            format!(
                "paced {:.0}/s, worst second {} accepts ({} at one node), for each topic {}, {}",
                one.paced,
                one.worst,
                one.worst_at_one,
                KINDS.iter().zip(one.reads).map(|(kind, reads)| format!("{reads:.1} {kind}")).collect::<Vec<_>>().join(", "),
                one.ended_with
            ),
            json!({"paced": one.paced, "worst": one.worst, "worstAtOne": one.worst_at_one, "reads": one.reads}),
            &bare,
        );
    }
    report.row("- longest gap of each client", "", gaps.to_string(), gaps.json(), &bare);
    report.row(
        "- publish to socket over all of it",
        "",
        format!(
            "{late}; {} of {} publishes accepted, {moved} moves, {cut} cut off, {refused} refused for now",
            said.accepted, said.said
        ),
        late.json(),
        &bare,
    );
    report.end();
}

async fn restart(
    cluster: &mut Cluster,
    crowd: &Crowd,
    node: usize,
    topics: usize,
    window: f64,
    came: &mut Vec<Came>,
) -> Restart {
    let told = crowd.tell();
    came.extend(told.came);
    let here = told.facts.iter().filter(|facts| facts.node == node).count();
    let others = || (0..NODES).filter(|other| *other != node);
    let before = reads(cluster, others());
    let since = now_us();
    cluster.nodes[node].drain();
    let ended = tokio::task::block_in_place(|| cluster.nodes[node].wait(figures::PATIENCE));
    crowd.wait_for_all();
    cluster.nodes[node].restart().unwrap();
    tokio::task::block_in_place(|| cluster.is_whole());
    let after = reads(cluster, 0..NODES);
    let told = crowd.tell();
    came.extend(told.came);
    let accepts: Vec<(usize, u64)> = told.accepts.into_iter().filter(|(_, at)| *at >= since).collect();
    let at_one = |node: usize| accepts.iter().filter(move |(at, _)| *at == node).map(|(_, at)| *at).collect();
    Restart {
        paced: here as f64 / window,
        worst: most_in_a_second(accepts.iter().map(|(_, at)| *at).collect()),
        worst_at_one: (0..NODES).map(|node| most_in_a_second(at_one(node))).max().unwrap_or(0),
        reads: std::array::from_fn(|kind| after[kind].saturating_sub(before[kind]) as f64 / topics as f64),
        ended_with: ended.to_string(),
    }
}

fn reads(cluster: &Cluster, nodes: impl Iterator<Item = usize>) -> [u64; KINDS.len()] {
    let nodes: Vec<usize> = nodes.collect();
    KINDS.map(|kind| nodes.iter().map(|node| cluster.figure(*node, &format!("{kind}_total"))).sum())
}

fn most_in_a_second(mut at_us: Vec<u64>) -> usize {
    at_us.sort_unstable();
    let (mut within, mut most) = (VecDeque::new(), 0);
    for at in at_us {
        within.push_back(at);
        while within.front().is_some_and(|first| at - first >= 1_000_000) {
            within.pop_front();
        }
        most = most.max(within.len());
    }
    most
}
