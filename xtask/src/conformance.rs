//! `cargo xtask conformance`: the Autobahn suite against the WebSocket codec, and its index in docs/conformance.md.

use crate::tally::Tally;
use crate::workspace::{cargo, target};
use antiphon_testkit::{AntiphonLaunch, free_port};
use anyhow::{Context, Result, bail};
use serde_json::{Value, json};
use std::collections::BTreeMap;
use std::fmt::Write;
use std::net::{Ipv4Addr, TcpStream};
use std::path::Path;
use std::process::{Child, Command, Stdio};
use std::time::{Duration, Instant};

/// The suite's cases without compression (12 and 13), which is off.
const CASES: &[&str] = &["1.*", "2.*", "3.*", "4.*", "5.*", "6.*", "7.*", "9.*", "10.*"];
const CASES_COUNT: usize = 301;
const AGENT: &str = "antiphon";
const INSTALL: &str = include_str!("autobahn.sh");
const START_TIMEOUT: Duration = Duration::from_secs(30);
const SUITE_TIMEOUT: Duration = Duration::from_secs(15 * 60);

/// What a section's cases came to.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
struct Section {
    ok: usize,
    non_strict: usize,
    informational: usize,
    failed: usize,
}

/// Runs the suite and writes its index; the tally has one count for each case.
pub fn run(root: &Path) -> Result<Tally> {
    println!("\nconformance: the Autobahn suite");
    let folder = target(root).join("autobahn");
    if !install(&folder)? {
        let reason = "conformance: the Autobahn suite could not be installed";
        println!("SKIPPED: {reason}");
        return Ok(Tally::skip(reason));
    }
    let index = {
        let (url, _echo) = echo(root)?;
        suite(&folder, &url)?
    };
    let (sections, faults) = judge(&index)?;
    let page = root.join("docs/conformance.md");
    let text = index_page(&sections);
    if std::fs::read_to_string(&page).ok().as_deref() != Some(&text) {
        std::fs::write(&page, text).context("writing docs/conformance.md")?;
    }
    for fault in &faults {
        println!("FAILED: Autobahn case {fault}");
    }
    let total: usize = sections.values().map(|section| section.total()).sum();
    let mut tally = Tally { passed: total - faults.len(), failed: faults.len(), ..Tally::default() };
    if total != CASES_COUNT {
        println!("FAILED: the suite ran {total} cases, not {CASES_COUNT}");
        tally.failed += 1;
    }
    println!("conformance: {total} cases: {tally}");
    Ok(tally)
}

/// Installs the suite once; false where it can't be had.
fn install(folder: &Path) -> Result<bool> {
    if folder.join("ready").is_file() {
        return Ok(true);
    }
    println!("conformance: installing the suite into {}", folder.display());
    std::fs::create_dir_all(folder)?;
    let script = folder.join("install.sh");
    std::fs::write(&script, INSTALL)?;
    let status = Command::new("sh").arg(&script).arg(folder).stdin(Stdio::null()).status()?;
    Ok(status.success())
}

/// Something that echoes, for its life.
enum Echo {
    Server(antiphon_testkit::Antiphon, tempfile::TempDir),
    Example(Child),
}

impl Drop for Echo {
    fn drop(&mut self) {
        match self {
            // These end and are removed with their own drop.
            Self::Server(server, folder) => {
                server.kill9();
                let _ = folder.path();
            }
            Self::Example(child) => {
                let _ = child.kill();
                let _ = child.wait();
            }
        }
    }
}

/// The server with its test-only echo; the codec's own example until that exists.
fn echo(root: &Path) -> Result<(String, Echo)> {
    let manifest =
        std::fs::read_to_string(root.join("crates/antiphon-server/Cargo.toml")).unwrap_or_default();
    if manifest.lines().any(|line| line.trim_start().starts_with("conformance")) {
        return server(root);
    }
    if root.join("crates/antiphon-ws/examples/echo.rs").is_file() {
        return example(root);
    }
    bail!(
        "nothing echoes: neither antiphon-server has a feature `conformance` nor antiphon-ws an example `echo`"
    );
}

fn server(root: &Path) -> Result<(String, Echo)> {
    // A test target among those that are built gives dependencies the same features as `cargo test` has.
    let build = ["build", "--workspace", "--bin", "antiphon", "--test", "fault_proxy"];
    built(cargo(root).args(build).args(["--features", "antiphon-server/conformance"]))?;
    let folder = target(root).join("conformance");
    std::fs::create_dir_all(&folder)?;
    let program = folder.join("antiphon");
    std::fs::copy(target(root).join("debug/antiphon"), &program)?;
    // What lies there for everybody must not echo.
    built(cargo(root).args(build))?;
    let scratch = tempfile::tempdir()?;
    let database = format!("sqlite:{}", scratch.path().join("antiphon.db").display());
    let server = AntiphonLaunch::new().program(program).args(["--database", &database]).start()?;
    let url = format!("ws://{}/conformance/echo", server.address());
    Ok((url, Echo::Server(server, scratch)))
}

fn example(root: &Path) -> Result<(String, Echo)> {
    built(cargo(root).args(["build", "--workspace", "--example", "echo"]))?;
    let port = free_port();
    let program = target(root).join("debug/examples/echo");
    let child = Command::new(&program)
        .arg(port.to_string())
        .stdin(Stdio::null())
        .spawn()
        .with_context(|| format!("running {}", program.display()))?;
    let mut echo = Echo::Example(child);
    let end = Instant::now() + START_TIMEOUT;
    while TcpStream::connect((Ipv4Addr::LOCALHOST, port)).is_err() {
        let ended = match &mut echo {
            Echo::Example(child) => child.try_wait()?,
            Echo::Server(..) => None,
        };
        if ended.is_some() || Instant::now() > end {
            bail!("the echo example does not listen on port {port}");
        }
        std::thread::sleep(Duration::from_millis(10)); // poll: until it listens.
    }
    Ok((format!("ws://127.0.0.1:{port}"), echo))
}

fn built(command: &mut Command) -> Result<()> {
    if !command.stdin(Stdio::null()).status()?.success() {
        bail!("{command:?} has failed");
    }
    Ok(())
}

/// Runs the cases against `url` and returns the suite's index.
fn suite(folder: &Path, url: &str) -> Result<Value> {
    let report = folder.join("report");
    let _ = std::fs::remove_dir_all(&report);
    let specification = json!({
        "outdir": report,
        "servers": [{ "agent": AGENT, "url": url }],
        "cases": CASES,
        "exclude-cases": [],
        "exclude-agent-cases": {},
    });
    let file = folder.join("fuzzingclient.json");
    std::fs::write(&file, specification.to_string())?;
    let log = std::fs::File::create(folder.join("wstest.log"))?;
    let mut child = Command::new(folder.join("wstest"))
        .args(["-m", "fuzzingclient", "-s"])
        .arg(&file)
        .current_dir(folder)
        .stdin(Stdio::null())
        .stdout(log.try_clone()?)
        .stderr(log)
        .spawn()?;
    let end = Instant::now() + SUITE_TIMEOUT;
    let status = loop {
        if let Some(status) = child.try_wait()? {
            break status;
        }
        if Instant::now() > end {
            child.kill()?;
            child.wait()?;
            bail!(
                "the suite did not finish within {SUITE_TIMEOUT:?}; see {}",
                folder.join("wstest.log").display()
            );
        }
        std::thread::sleep(Duration::from_millis(100)); // poll: until the suite ends.
    };
    if !status.success() {
        bail!("the suite ended with {status}; see {}", folder.join("wstest.log").display());
    }
    let index = std::fs::read_to_string(report.join("index.json")).context("the suite wrote no index")?;
    Ok(serde_json::from_str(&index)?)
}

impl Section {
    fn total(&self) -> usize {
        self.ok + self.non_strict + self.informational + self.failed
    }
}

/// Counts the cases by section, and names those that failed or closed wrongly.
fn judge(index: &Value) -> Result<(BTreeMap<u32, Section>, Vec<String>)> {
    let cases = index[AGENT].as_object().context("the suite's index has no cases")?;
    let mut sections: BTreeMap<u32, Section> = BTreeMap::new();
    let mut faults = Vec::new();
    for (case, outcome) in cases {
        let number = case.split('.').next().and_then(|number| number.parse().ok()).unwrap_or(0);
        let section = sections.entry(number).or_default();
        let text = |name: &str| outcome[name].as_str().unwrap_or("MISSING").to_owned();
        let (behaviour, close) = (text("behavior"), text("behaviorClose"));
        if !matches!(close.as_str(), "OK" | "INFORMATIONAL") {
            section.failed += 1;
            faults.push(format!("{case}: {behaviour}, but it closed: {close}"));
            continue;
        }
        match behaviour.as_str() {
            "OK" => section.ok += 1,
            "NON-STRICT" => section.non_strict += 1,
            "INFORMATIONAL" => section.informational += 1,
            _ => {
                section.failed += 1;
                faults.push(format!("{case}: {behaviour}"));
            }
        }
    }
    Ok((sections, faults))
}

fn index_page(sections: &BTreeMap<u32, Section>) -> String {
    let names: BTreeMap<u32, &str> = [
        (1, "Framing"),
        (2, "Pings and pongs"),
        (3, "Reserved bits"),
        (4, "Opcodes"),
        (5, "Fragmentation"),
        (6, "UTF-8"),
        (7, "Close"),
        (9, "Limits and speed"),
        (10, "Auto-fragmentation"),
    ]
    .into();
    let mut page = String::from(
        "# WebSocket conformance\n\n\
         The Autobahn test suite against the server's own codec, as `cargo xtask conformance` runs it.\n\
         Compression is off, so its sections 12 and 13 don't apply.\n\
         Non-strict: right, though the suite would like it earlier; informational: there is no right or wrong.\n\n\
         | section | cases | ok | non-strict | informational | failed |\n|---|---|---|---|---|---|\n",
    );
    let mut all = Section::default();
    for (number, section) in sections {
        all = Section {
            ok: all.ok + section.ok,
            non_strict: all.non_strict + section.non_strict,
            informational: all.informational + section.informational,
            failed: all.failed + section.failed,
        };
        let name = names.get(number).copied().unwrap_or_default();
        page.push_str(&row(&format!("{number} {name}"), section));
    }
    page.push_str(&row("all", &all));
    page
}

fn row(name: &str, section: &Section) -> String {
    let Section { ok, non_strict, informational, failed } = section;
    let mut row = String::new();
    // Writing to a String can't fail.
    let _ = writeln!(
        row,
        "| {} | {} | {ok} | {non_strict} | {informational} | {failed} |",
        name.trim_end(),
        section.total()
    );
    row
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_failed_case_and_a_wrong_close_are_faults() {
        let case = |behaviour: &str, close: &str| json!({ "behavior": behaviour, "behaviorClose": close });
        let index = json!({ AGENT: {
            "1.1.1": case("OK", "OK"),
            "6.4.1": case("NON-STRICT", "OK"),
            "6.4.2": case("FAILED", "OK"),
            "7.1.6": case("INFORMATIONAL", "INFORMATIONAL"),
            "7.9.1": case("OK", "UNCLEAN"),
            "7.9.2": case("UNIMPLEMENTED", "OK"),
        }});
        let (sections, faults) = judge(&index).unwrap();
        assert_eq!(sections[&6], Section { non_strict: 1, failed: 1, ..Section::default() });
        assert_eq!(sections[&7], Section { informational: 1, failed: 2, ..Section::default() });
        assert_eq!(faults, ["6.4.2: FAILED", "7.9.1: OK, but it closed: UNCLEAN", "7.9.2: UNIMPLEMENTED"]);
        let page = index_page(&sections);
        assert!(page.contains("| 6 UTF-8 | 2 | 0 | 1 | 0 | 1 |\n"));
        assert!(page.ends_with("| all | 6 | 1 | 1 | 1 | 3 |\n"));
    }
}
