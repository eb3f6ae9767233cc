//! The table: what was aimed at and what came of it, beside the bare round trips of the same run.

use std::path::Path;

use serde_json::{Value, json};

use super::round_trips::RoundTrips;

/// All rows of one run.
pub struct Report {
    name: &'static str,
    seed: u64,
    rows: Vec<Value>,
    load_before: String,
}

impl Report {
    /// Begins a run.
    pub fn new(name: &'static str, seed: u64) -> Self {
        eprintln!("{name}: TESTKIT_SEED={seed}");
        Self { name, seed, rows: Vec::new(), load_before: load() }
    }

    pub fn seed(&self) -> u64 {
        self.seed
    }

    /// A figure, what is aimed at, what it was, and the same in numbers.
    pub fn row(
        &mut self,
        figure: impl Into<String>,
        aim: &str,
        measured: impl Into<String>,
        numbers: Value,
        bare: &RoundTrips,
    ) {
        self.rows.push(json!({
            "figure": figure.into(), "aim": aim, "measured": measured.into(), "numbers": numbers,
            "barePostgres": bare.postgres.json(), "bareRedis": bare.redis.json(),
        }));
    }

    /// Prints it, and writes `NAME.json` into the folder that `FIGURES_JSON` names.
    pub fn end(self) {
        let bare = |row: &Value, of: &str| match row[of]["count"].as_u64() {
            Some(0) | None => "-".to_owned(),
            Some(_) => format!(
                "{:.2} / {:.2} ms",
                row[of]["p50Ms"].as_f64().unwrap(),
                row[of]["p99Ms"].as_f64().unwrap()
            ),
        };
        println!(
            "\n| figure | aimed at | measured | a bare insert, p50 / p99 | a bare PUBLISH, p50 / p99 |\n|---|---|---|---|---|"
        );
        for row in &self.rows {
            let text = |of: &str| row[of].as_str().unwrap_or_default().to_owned();
            let (postgres, redis) = (bare(row, "barePostgres"), bare(row, "bareRedis"));
            println!(
                "| {} | {} | {} | {postgres} | {redis} |",
                text("figure"),
                text("aim"),
                text("measured")
            );
        }
        let (build, load_after) = (build(), load());
        println!(
            "\n`{}`: seed {}, {build}, load of the machine {} before and {load_after} after.",
            self.name, self.seed, self.load_before
        );
        let Some(folder) = std::env::var_os("FIGURES_JSON") else { return };
        std::fs::create_dir_all(&folder).unwrap();
        let told = json!({
            "name": self.name, "seed": self.seed, "build": build, "rows": self.rows,
            "load": {"before": self.load_before, "after": load_after},
        });
        let file = Path::new(&folder).join(format!("{}.json", self.name));
        std::fs::write(file, serde_json::to_vec_pretty(&told).unwrap()).unwrap();
    }
}

/// What was built: its version, commit and kind.
fn build() -> String {
    let git = |args: &[&str]| {
        let output = std::process::Command::new("git")
            .args(args)
            .output()
            .ok()
            .filter(|output| output.status.success());
        output.map_or_else(String::new, |output| String::from_utf8_lossy(&output.stdout).trim().to_owned())
    };
    let is_changed = !git(&["status", "--porcelain", "--untracked-files=no"]).is_empty();
    let kind = if cfg!(debug_assertions) { "debug" } else { "release" };
    let commit = git(&["rev-parse", "--short", "HEAD"]);
    format!("{} {commit}{}, {kind}", env!("CARGO_PKG_VERSION"), if is_changed { " and changes" } else { "" })
}

/// Of the last minute.
fn load() -> String {
    let text = std::fs::read_to_string("/proc/loadavg").unwrap_or_default();
    text.split(' ').next().unwrap_or_default().to_owned()
}
