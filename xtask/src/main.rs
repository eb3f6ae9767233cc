//! The project's own tasks: `cargo xtask setup | test | tidy | conformance`.

mod conformance;
mod setup;
mod stream;
mod tally;
mod test;
mod tidy;
mod workspace;

use anyhow::Result;
use clap::{Parser, Subcommand};
use std::process::ExitCode;

/// The project's own tasks.
#[derive(Debug, Parser)]
#[command(name = "cargo xtask", version, about)]
struct Arguments {
    #[command(subcommand)]
    task: Task,
}

#[derive(Debug, Subcommand)]
enum Task {
    /// Install what the tests need: servers, a browser, a JDK, npm packages.
    Setup,
    /// Run all tests on real servers, and count what passed, failed and was skipped.
    Test(test::Options),
    /// Check the walls of the house.
    Tidy,
    /// Run the Autobahn suite against the WebSocket codec, and write docs/conformance.md.
    Conformance,
}

fn main() -> ExitCode {
    match run(Arguments::parse().task) {
        Ok(true) => ExitCode::SUCCESS,
        Ok(false) => ExitCode::FAILURE,
        Err(error) => {
            eprintln!("xtask: {error:#}");
            ExitCode::FAILURE
        }
    }
}

/// Does one task; tells whether all is well.
fn run(task: Task) -> Result<bool> {
    let root = workspace::root();
    Ok(match task {
        Task::Setup => {
            let missing = setup::run(&root)?;
            for what in &missing {
                println!("setup: {what} is still missing");
            }
            missing.is_empty()
        }
        // The closing line is the last word.
        Task::Test(options) => test::run(&root, &options)?,
        Task::Tidy => {
            let found = tidy::run(&root)?;
            println!(
                "tidy: {}",
                if found == 0 { "all walls stand".into() } else { format!("{found} found") }
            );
            found == 0
        }
        Task::Conformance => {
            let tally = conformance::run(&root)?;
            println!("{tally}");
            tally.failed == 0
        }
    })
}
