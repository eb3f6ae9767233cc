//! What a run has shown, for people and as JSON.

use std::{collections::BTreeMap, fmt, time::Duration};

use antiphon_checker::Report;
use serde::Serialize;

use super::{
    company::Company,
    draft::{self, PROJECTS},
    journal::{Figures, NodeFigures},
    latency::Histogram,
    rounds::Outcome,
};

/// All of it. What is not told otherwise is a number of the whole run.
#[derive(Debug, Serialize)]
pub struct Told {
    /// Of the program that has run it.
    pub version: &'static str,
    /// `clean`, `violations` or `unproved`.
    pub verdict: Verdict,
    /// Why it is unproved.
    pub unproved: Vec<String>,
    /// What else should be known.
    pub notes: Vec<String>,
    /// By what it was ended: `duration`, `signal` or `unproved`.
    pub ended_by: &'static str,
    /// Of all that was chosen.
    pub seed: u64,
    /// Both tenants.
    pub tenants: [String; 2],
    /// They are deleted.
    pub deleted: bool,
    /// From the first publish to the last verdict.
    pub seconds: f64,
    /// How many rounds were judged.
    pub rounds: u64,
    /// How long the slowest of them took to come to rest.
    pub slowest_rest_seconds: f64,
    /// Connected clients.
    pub clients: usize,
    /// What the checker has counted and found.
    pub checked: Report,
    /// What publishers were told but success, by code.
    pub publisher_errors: BTreeMap<String, u64>,
    /// Connections.
    pub connections: Connections,
    /// RESETs by reason.
    pub resets: BTreeMap<String, u64>,
    /// Members that were removed and added again.
    pub removals: u64,
    /// Signals, which may be lost.
    pub signals: SignalsTold,
    /// By node.
    pub nodes: Vec<NodeTold>,
    /// From each node to each.
    pub latency: Vec<LatencyTold>,
}

/// What is to be thought of it.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize)]
#[serde(rename_all = "snake_case")]
pub enum Verdict {
    /// Every promise was kept.
    Clean,
    /// One was broken.
    Violations,
    /// It could not be judged to its end.
    Unproved,
}

/// How clients came and went.
#[derive(Debug, Serialize)]
pub struct Connections {
    /// Made.
    pub made: u64,
    /// Those that could not be made.
    pub failed: u64,
    /// Left by a client to go elsewhere.
    pub moves: u64,
    /// Ended by the other side, by reason.
    pub ended: BTreeMap<String, u64>,
}

/// Signals.
#[derive(Debug, Serialize)]
pub struct SignalsTold {
    /// By clients.
    pub sent: u64,
    /// Had each reached all; about, since clients come and go.
    pub expected: u64,
    /// How many came.
    pub received: u64,
    /// Those that came again over another connection, right after a client had moved.
    pub after_moves: u64,
}

/// A node.
#[derive(Debug, Serialize)]
pub struct NodeTold {
    /// Its base URL.
    pub url: String,
    /// Connections that it has accepted.
    pub connections: u64,
    /// Those that could not be made.
    pub failed_connections: u64,
    /// Attempts to publish through it.
    pub attempts: u64,
    /// Entries that came through it.
    pub receptions: u64,
    /// Rounds whose log was read through it.
    pub logs_read: u64,
    /// Why it could not be read the last time.
    pub log_unread: Option<String>,
}

/// From the first try of a publish to its reception, the commit included, in milliseconds.
#[derive(Debug, Serialize)]
pub struct LatencyTold {
    /// Through which node it was published.
    pub from: String,
    /// Through which it came.
    pub to: String,
    /// How many.
    pub count: u64,
    /// Half of them took at most this.
    pub p50_ms: f64,
    /// 99 of a hundred.
    pub p99_ms: f64,
    /// The longest.
    pub max_ms: f64,
}

impl Told {
    /// Of a run that is over.
    pub fn new(company: &Company, outcome: Outcome, took: Duration) -> Self {
        let Outcome { report, rounds, slowest_rest, mut unproved } = outcome;
        let plan = &company.plan;
        let ended_by = match (company.is_interrupted(), unproved.is_empty()) {
            (true, _) => "signal",
            (false, true) => "duration",
            (false, false) => "unproved",
        };
        if unproved.is_empty() && (report.entries == 0 || report.receptions == 0) {
            let what = if report.entries == 0 { "published" } else { "received" };
            unproved.push(format!(
                "nothing was {what}: the errors of publishers may say why; do the topic rules, or a publish hook, stand \
                 in the way?"
            ));
        }
        let verdict = match (report.is_clean(), unproved.is_empty()) {
            (false, _) => Verdict::Violations,
            (true, true) => Verdict::Clean,
            (true, false) => Verdict::Unproved,
        };
        company.journal.count(|figures| Self {
            version: env!("CARGO_PKG_VERSION"),
            verdict,
            unproved,
            notes: notes(company, figures, &report, rounds),
            ended_by,
            seed: plan.seed,
            tenants: plan.tenants.clone(),
            deleted: false,
            seconds: took.as_secs_f64(),
            rounds,
            slowest_rest_seconds: slowest_rest.as_secs_f64(),
            clients: plan.clients,
            checked: report,
            publisher_errors: figures.errors.clone(),
            connections: Connections {
                made: figures.nodes.iter().map(|node| node.connections).sum(),
                failed: figures.nodes.iter().map(|node| node.failures).sum(),
                moves: figures.moves,
                ended: figures.ended.clone(),
            },
            resets: figures.resets.clone(),
            removals: figures.removals,
            signals: SignalsTold {
                sent: figures.signals.sent,
                expected: figures.signals.expected,
                received: figures.signals.received,
                after_moves: figures.signals.after_moves,
            },
            nodes: figures
                .nodes
                .iter()
                .enumerate()
                .map(|(node, told)| NodeTold::new(company, node, told))
                .collect(),
            latency: latency(company, &figures.latency),
        })
    }
}

impl NodeTold {
    fn new(company: &Company, node: usize, figures: &NodeFigures) -> Self {
        Self {
            url: company.api.name(node).to_owned(),
            connections: figures.connections,
            failed_connections: figures.failures,
            attempts: figures.attempts,
            receptions: figures.receptions,
            logs_read: figures.logs,
            log_unread: figures.unread.clone(),
        }
    }
}

fn notes(company: &Company, figures: &Figures, report: &Report, rounds: u64) -> Vec<String> {
    let mut notes = Vec::new();
    let open = draft::topics("").len() - PROJECTS.len();
    let streams: usize = (0..company.plan.clients).map(|index| open + draft::projects(index / 2).len()).sum();
    if rounds > 0 && report.streams < streams as u64 {
        notes.push(format!(
            "only {} of {streams} streams were there: topic rules that allow no subscription leave the others unproved",
            report.streams
        ));
    }
    for (node, told) in figures.nodes.iter().enumerate() {
        let name = company.api.name(node);
        if told.failures > 0 {
            notes
                .push(format!("{name} was away for a time: {} connections could not be made", told.failures));
        }
        if let (Some(why), true) = (&told.unread, told.logs < rounds) {
            notes.push(format!("the log was read through {name} in {} of {rounds} rounds: {why}", told.logs));
        }
    }
    notes
}

fn latency(company: &Company, all: &[Histogram]) -> Vec<LatencyTold> {
    let nodes = company.api.len();
    let ms = |micros: u64| micros as f64 / 1e3;
    let told = all.iter().enumerate().filter(|(_, pair)| pair.count() > 0);
    told.map(|(index, pair)| LatencyTold {
        from: company.api.name(index / nodes).to_owned(),
        to: company.api.name(index % nodes).to_owned(),
        count: pair.count(),
        p50_ms: ms(pair.per_mille(500)),
        p99_ms: ms(pair.per_mille(990)),
        max_ms: ms(pair.max()),
    })
    .collect()
}

/// `A 1, B 2`.
struct Counts<'a>(&'a BTreeMap<String, u64>);

impl fmt::Display for Counts<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        if self.0.is_empty() {
            return f.write_str("none");
        }
        let mut comma = "";
        self.0.iter().try_for_each(|(what, count)| {
            let begin = std::mem::replace(&mut comma, ", ");
            write!(f, "{begin}{what} {count}")
        })
    }
}

impl fmt::Display for Verdict {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Clean => "clean: every promise was kept",
            Self::Violations => "VIOLATIONS: promises were broken",
            Self::Unproved => "unproved: it could not be judged to its end",
        })
    }
}

impl Told {
    fn write_checked(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        if self.rounds == 0 {
            return writeln!(f, "no round was judged: nothing is said of what was published");
        }
        let Report { entries, publishes, attempts, unknown, receptions, streams, recoveries, .. } =
            &self.checked;
        writeln!(
            f,
            "{entries} entries of {publishes} publishes ({attempts} attempts, {unknown} of them without an answer), \
             {receptions} receptions in {streams} streams, {recoveries} times one went on over another connection"
        )?;
        // The checker's own first line says the same, and how long the faults of a run of its own have taken.
        let checked = self.checked.to_string();
        checked.lines().skip(1).try_for_each(|line| writeln!(f, "{line}"))
    }
}

impl fmt::Display for Told {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        writeln!(f, "{}", self.verdict)?;
        self.unproved.iter().try_for_each(|why| writeln!(f, "  not proved: {why}"))?;
        self.notes.iter().try_for_each(|note| writeln!(f, "  note: {note}"))?;
        writeln!(
            f,
            "{:.0} s in {} rounds, ended by {}; the slowest came to rest in {:.1} s; seed {}",
            self.seconds, self.rounds, self.ended_by, self.slowest_rest_seconds, self.seed
        )?;
        let state = if self.deleted { "deleted" } else { "still there" };
        writeln!(f, "tenants {} and {}: {state}", self.tenants[0], self.tenants[1])?;
        self.write_checked(f)?;
        writeln!(f, "errors to publishers: {}", Counts(&self.publisher_errors))?;
        let Connections { made, failed, moves, ended } = &self.connections;
        writeln!(
            f,
            "{} clients, {made} connections made, {failed} not made, {moves} left to go elsewhere; ended by the other \
             side: {}",
            self.clients,
            Counts(ended)
        )?;
        writeln!(f, "RESETs: {}; members removed and added again: {}", Counts(&self.resets), self.removals)?;
        let SignalsTold { sent, expected, received, after_moves } = &self.signals;
        writeln!(
            f,
            "signals: {sent} sent, {received} of about {expected} received, {after_moves} again after a move"
        )?;
        for node in &self.nodes {
            writeln!(
                f,
                "node {}: {} connections, {} attempts to publish, {} entries received, log read in {} rounds",
                node.url, node.connections, node.attempts, node.receptions, node.logs_read
            )?;
        }
        write!(f, "latency in ms, commit included:       p50       p99       max     count")?;
        self.latency.iter().try_for_each(|pair| {
            let LatencyTold { from, to, count, p50_ms, p99_ms, max_ms } = pair;
            write!(f, "\n  {p50_ms:>39.1} {p99_ms:>9.1} {max_ms:>9.1} {count:>9}  {from} -> {to}")
        })
    }
}
