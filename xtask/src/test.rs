//! `cargo xtask test`: everything that can be tested here, on real servers, with a count at the end.

use crate::tally::Tally;
use crate::workspace::{cargo, target};
use crate::{conformance, setup, stream};
use antiphon_testkit::{Postgres, Redis, StartError, variables};
use anyhow::{Result, bail};
use clap::Args;
use std::path::{Path, PathBuf};
use std::process::Command;

/// What a run may leave out.
#[derive(Debug, Args)]
pub struct Options {
    /// Leave the Autobahn suite out.
    #[arg(long)]
    skip_conformance: bool,
    /// Install nothing.
    #[arg(long)]
    skip_setup: bool,
    /// Test these packages alone; then nothing but `cargo test` runs.
    #[arg(long, short)]
    package: Vec<String>,
    /// Further arguments of `cargo test`, as a filter for names; then nothing but `cargo test` runs.
    #[arg(last = true)]
    cargo: Vec<String>,
}

/// The servers that all tests of this run share, and what is told to the tests.
struct Ground {
    /// Held for their lives: they end with them.
    _redis: Option<Redis>,
    _postgres: Option<Postgres>,
    env: Vec<(&'static str, String)>,
}

/// Runs all parts; tells whether none has failed. The last line that it prints is the count.
pub fn run(root: &Path, options: &Options) -> Result<bool> {
    let missing = if options.skip_setup { Vec::new() } else { setup::run(root)? };
    for what in &missing {
        println!("setup: {what} is missing; tests that need it are skipped");
    }
    let packages: Vec<&str> = match options.package.is_empty() {
        true => vec!["--workspace"],
        false => options.package.iter().flat_map(|package| ["--package", package]).collect(),
    };
    build(root, &packages)?;
    let ground = Ground::prepare(root, missing.is_empty())?;

    let mut parts = vec![("cargo test".to_owned(), cargo_test(root, &ground, &packages, &options.cargo)?)];
    if options.cargo.is_empty() && options.package.is_empty() {
        for folder in setup::NPM_FOLDERS {
            parts.extend(node_test(root, &ground, folder)?.map(|tally| ((*folder).to_owned(), tally)));
        }
        for script in scripts(root) {
            let name = script.strip_prefix(root).unwrap_or(&script).display().to_string();
            let tally = script_test(&ground, &script, &name)?;
            parts.push((name, tally));
        }
        let conformance = if options.skip_conformance {
            Tally::skip("conformance: --skip-conformance")
        } else {
            conformance::run(root)?
        };
        parts.push(("conformance".to_owned(), conformance));
    }
    drop(ground);
    Ok(report(&parts))
}

fn report(parts: &[(String, Tally)]) -> bool {
    let mut all = Tally::default();
    println!();
    for (_, tally) in parts {
        all.add(tally);
    }
    for reason in &all.reasons {
        println!("skipped: {reason}");
    }
    for (name, tally) in parts {
        println!("{name}: {tally}");
    }
    println!("{all}");
    all.failed == 0
}

/// Builds the server and all tests in one go: with the same features, so that nothing is built twice.
fn build(root: &Path, packages: &[&str]) -> Result<()> {
    let status = cargo(root).arg("build").args(packages).args(["--bins", "--tests"]).status()?;
    if !status.success() {
        bail!("it does not build");
    }
    Ok(())
}

impl Ground {
    fn prepare(root: &Path, complete: bool) -> Result<Self> {
        let redis = there(Redis::start())?;
        let postgres = there(Postgres::start())?;
        let mut env = vec![(variables::ANTIPHON, target(root).join("debug/antiphon").display().to_string())];
        env.extend(redis.as_ref().map(|redis| (variables::REDIS_URL, redis.url())));
        env.extend(postgres.as_ref().map(|postgres| (variables::POSTGRES_URL, postgres.url())));
        env.extend(setup::browser().map(|file| ("CHROMIUM", file.display().to_string())));
        if complete {
            env.push((variables::REQUIRE, "1".into()));
        }
        Ok(Self { _redis: redis, _postgres: postgres, env })
    }

    fn tell(&self, command: &mut Command) {
        command.envs(self.env.iter().map(|(name, value)| (name, value)));
    }
}

/// The server, or none where it isn't installed.
fn there<T>(started: Result<T, StartError>) -> Result<Option<T>> {
    match started {
        Ok(server) => Ok(Some(server)),
        Err(StartError::Missing { .. }) => Ok(None),
        Err(error) => Err(error.into()),
    }
}

fn cargo_test(root: &Path, ground: &Ground, packages: &[&str], further: &[String]) -> Result<Tally> {
    let mut tally = Tally::default();
    let mut command = cargo(root);
    command.arg("test").args(packages).arg("--no-fail-fast").args(further);
    ground.tell(&mut command);
    let succeeded = stream::run(&mut command, |line| tally.cargo_line(line))?;
    tally.close(succeeded, "cargo test");
    Ok(tally)
}

fn node_test(root: &Path, ground: &Ground, folder: &str) -> Result<Option<Tally>> {
    let path = root.join(folder);
    if !path.join("package.json").is_file() {
        return Ok(None);
    }
    if setup::program("node").is_none() {
        return Ok(Some(Tally::skip(format!("{folder}: node is not installed"))));
    }
    println!("\n{folder}: node --test");
    let mut tally = Tally::default();
    let mut command = Command::new("node");
    command.args(["--test", "--test-reporter=tap"]).current_dir(path);
    ground.tell(&mut command);
    let succeeded = stream::run(&mut command, |line| tally.tap_line(line))?;
    tally.close(succeeded, folder);
    Ok(Some(tally))
}

/// The examples' own tests.
fn scripts(root: &Path) -> Vec<PathBuf> {
    let examples = std::fs::read_dir(root.join("examples")).into_iter().flatten().flatten();
    let mut scripts: Vec<PathBuf> =
        examples.map(|example| example.path().join("test.sh")).filter(|script| script.is_file()).collect();
    scripts.sort();
    scripts
}

/// A script that counts its tests says so in lines that [`Tally::script_line`] knows; else it is one test. It is told
/// to run its unit tests too, if it has some that it leaves out by itself.
fn script_test(ground: &Ground, script: &Path, name: &str) -> Result<Tally> {
    println!("\n{name}");
    let mut tally = Tally::default();
    let mut command = Command::new("bash");
    command.arg(script).arg("--with-unit");
    if let Some(folder) = script.parent() {
        command.current_dir(folder);
    }
    ground.tell(&mut command);
    let succeeded = stream::run(&mut command, |line| tally.script_line(line))?;
    if succeeded && (tally.passed, tally.skipped) == (0, 0) {
        match tally.reasons.is_empty() {
            true => tally.passed = 1,
            false => tally.skipped = 1,
        }
    }
    tally.close(succeeded, name);
    Ok(tally)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_part_that_fails_makes_the_run_fail() {
        let good = ("a".to_owned(), Tally { passed: 2, ..Tally::default() });
        let bad = ("b".to_owned(), Tally { failed: 1, ..Tally::default() });
        assert!(report(std::slice::from_ref(&good)));
        assert!(!report(&[good, bad]));
    }
}
