//! One line every few seconds, on standard error.

use std::{sync::Arc, time::Duration};

use tokio::time::Instant;

use super::{
    company::{Company, Phase, pause},
    rounds::Shown,
};
use crate::output;

/// How often.
const EVERY: Duration = Duration::from_secs(5);

/// Tells how it goes, until it is ended.
pub async fn run(company: Arc<Company>, shown: Arc<Shown>) {
    let begun = Instant::now();
    loop {
        pause(EVERY).await;
        output::say(&line(&company, &shown, begun.elapsed()));
    }
}

fn line(company: &Company, shown: &Shown, elapsed: Duration) -> String {
    let recorder = &company.journal.recorder;
    let (worst, live) = company
        .journal
        .count(|figures| (std::mem::take(&mut figures.worst), figures.found.counts.values().sum::<u64>()));
    let doing = match company.phase() {
        Phase::Work => "publishing",
        Phase::Rest => "coming to rest",
        Phase::Over => "ending",
    };
    format!(
        "{:>5} s  {doing}: {} published, {} received, worst latency {:.1} ms, violations so far {}",
        elapsed.as_secs(),
        recorder.published(),
        recorder.received(),
        worst as f64 / 1e3,
        shown.violations() + live
    )
}
