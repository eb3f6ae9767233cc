//! Some of many clients stop reading for a while, under a stream that none of their buffers holds: what the server keeps for them,
//! what the others notice, and whether they have all of it in the end.
//!
//! `CLIENTS` (2000) at one node, of which `SLOW_PERCENT` (10) stop for `STOP_SECS` (25); each is sent `BYTES_PER_SECOND` (500000) in
//! entries of `ENTRY_BYTES` (50000). Slow ones have a socket buffer of 64 KiB: what the kernel keeps for them is not the server's.
#![allow(clippy::unwrap_used)]

mod figures;

use std::{
    collections::HashSet,
    sync::{
        Arc,
        atomic::{AtomicBool, AtomicU64, Ordering},
    },
    time::{Duration, Instant},
};

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
    settings::{self, Random},
};
use serde_json::json;

const SLOW_BUFFER: usize = 64 * 1024;

fn main() {
    figures::run(measure());
}

async fn measure() {
    let clients = settings::number("CLIENTS", 2000);
    let slow = clients * settings::number("SLOW_PERCENT", 10) / 100;
    let (bytes_a_second, bytes) =
        (settings::number("BYTES_PER_SECOND", 500_000.0), settings::number("ENTRY_BYTES", 50_000));
    let (before_for, stop_for) = (settings::seconds("SECS", 10), settings::seconds("STOP_SECS", 25));
    let seed = settings::seed();
    let mut report = Report::new("slow_readers", seed);
    let cluster = Cluster::start(1, Bell::Redis, &[]);
    let token = cluster.token("ann");
    let mut random = Random(seed);
    let mut held = HashSet::new();
    while held.len() < slow {
        held.insert(random.below(clients));
    }
    let topics = settings::topics(1);
    let mut seats = Seat::in_turn(clients, 1, topics.len(), &token);
    held.iter().for_each(|client| seats[*client].receive_buffer = Some(SLOW_BUFFER));
    let crowd = Crowd::seat(cluster.addresses(), &topics, seats, 2, seed);
    let rate = bytes_a_second * topics.len() as f64 / bytes as f64;
    let plan = Plan { rate, publishers: 1, topics, bytes, token, seed };
    let says = Says::plain(&cluster.addresses(), &plan).await;
    flow(before_for / 2).await;

    let prober = Prober::start(&cluster).await;
    let (begun, used) = (now_us(), cluster.processor_time(0));
    flow(before_for).await;
    let cores = (cluster.processor_time(0) - used).as_secs_f64() / before_for.as_secs_f64();
    let resident = cluster.resident_kib(0);
    let watch = Watch::start(cluster.nodes[0].pid());
    crowd.hold(held.clone());
    let stopped = now_us();
    flow(stop_for).await;
    let grown_stopped = watch.most().saturating_sub(resident);
    let released = now_us();
    crowd.release();
    // What came while they catch up is new to them too.
    flow(before_for / 2).await;
    let bare = prober.end().await;
    let said = says.end().await;
    let heads = heads(&cluster.database.url()).await;
    let (since, mut came) = (Instant::now(), Vec::new());
    let is_whole = crowd.reach(&heads, figures::PATIENCE, &mut came);
    let caught_up = since.elapsed();
    let grown = watch.end().saturating_sub(resident);
    let told = crowd.tell();

    let others = |sent: std::ops::Range<u64>| -> Latencies {
        let these = came
            .iter()
            .filter(|came| !held.contains(&(came.client as usize)) && sent.contains(&came.sent_us));
        these.map(Came::late_us).collect()
    };
    let (before, during, after) =
        (others(begun..stopped), others(stopped..released), others(released..u64::MAX));
    let behind = |of: fn(&figures::crowd::Facts) -> u64| told.facts.iter().map(of).sum::<u64>();
    let (lost, cut) = (behind(|facts| facts.lost), behind(|facts| facts.cut));
    let missing = heads.values().max().copied().unwrap_or(0);
    let short = told.facts.iter().filter(|facts| facts.offset < missing).count();
    let each =
        before.count() as f64 / (clients - slow) as f64 * bytes as f64 / (stopped - begun) as f64 * 1e6;
    report.row(
        format!(
            "{slow} of {clients} clients stop reading for {} s under {:.0} KB/s each: growth of the server's memory, p99 of the others, lost",
            stop_for.as_secs(),
            each / 1000.0
        ),
        "<= 64 MiB, +10 %, 0",
        format!(
            "{:.1} MiB ({:.1} with catching up), {:+.0} % ({:.1} to {:.1} ms), {lost} lost{}",
            grown_stopped as f64 / 1024.0,
            grown as f64 / 1024.0,
            (during.p99() / before.p99() - 1.0) * 100.0,
            before.p99(),
            during.p99(),
            if is_whole { String::new() } else { format!(", {short} not at the head") },
        ),
        json!({"residentKib": resident, "grownKib": grown_stopped, "grownWithCatchUpKib": grown, "lost": lost, "cut": cut,
            "before": before.json(), "during": during.json(), "after": after.json(), "perClientBytesPerSecond": each,
            "wrong": said.wrong.iter().chain(&told.wrong).take(20).collect::<Vec<_>>(),
            "ended": cluster.figure_lines(0, "connections_ended_total")}),
        &bare,
    );
    report.row("- before", "", before.to_string(), before.json(), &bare);
    report.row("- while they are stopped", "", during.to_string(), during.json(), &bare);
    report.row(
        "- while they catch up",
        "",
        format!(
            "{after}; all at the head {:.1} s after the last publish, {cut} connections were cut",
            caught_up.as_secs_f64()
        ),
        after.json(),
        &bare,
    );
    report.row(
        "- the node's processor time before",
        "",
        format!("{cores:.2} cores"),
        json!({"cores": cores}),
        &bare,
    );
    eprintln!("ended: {}", cluster.figure_lines(0, "connections_ended_total"));
    report.end();
}

/// Looks at a process's memory again and again.
struct Watch {
    most: Arc<AtomicU64>,
    stop: Arc<AtomicBool>,
}

impl Watch {
    fn start(pid: u32) -> Self {
        let (most, stop) = (Arc::new(AtomicU64::new(0)), Arc::new(AtomicBool::new(false)));
        std::thread::spawn({
            let (most, stop) = (most.clone(), stop.clone());
            move || {
                while !stop.load(Ordering::Relaxed) {
                    most.fetch_max(figures::cluster::resident_kib(pid), Ordering::Relaxed);
                    std::thread::sleep(Duration::from_millis(100)); // poll: what another process has.
                }
            }
        });
        Self { most, stop }
    }

    /// The most since the start, in KiB.
    fn most(&self) -> u64 {
        self.most.load(Ordering::Relaxed)
    }

    fn end(self) -> u64 {
        self.stop.store(true, Ordering::Relaxed);
        self.most()
    }
}
