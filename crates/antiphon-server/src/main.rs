//! The antiphon program: from a command line to what does it.
//!
//! `cli` says what can be asked for, `config` what can be set; `assemble` is the only place that names every
//! engine; `serve` runs a node behind the door of `listen`.

mod assemble;
mod cli;
mod config;
mod conversation;
mod credentials;
mod database;
mod demo;
mod failure;
mod files;
mod gate;
mod idle;
mod inspect;
mod listen;
mod output;
mod serve;
mod signals;
mod slots;
mod soak;
mod systemd;
mod telemetry;
mod tls;
mod words;

use std::{io::Write, process::ExitCode};

use clap::Parser;

use cli::{Cli, Command, TokenCommand};
use failure::Failure;

fn main() -> ExitCode {
    match run(Cli::parse()) {
        Ok(()) => ExitCode::SUCCESS,
        Err(failure) => {
            let _ = writeln!(std::io::stderr(), "error: {failure}");
            failure.code()
        }
    }
}

fn run(cli: Cli) -> Result<(), Failure> {
    match cli.command {
        Command::Config(command) => inspect::run(command),
        Command::Migrate(flags) => once(credentials::migrate(&flags)),
        Command::Token(TokenCommand::Issue(args)) => once(credentials::issue_token(&args)),
        Command::Key(command) => once(credentials::key(&command)),
        Command::Serve(flags) => serve::run(&flags),
        Command::Demo(args) => demo::run(&args),
        Command::Soak(args) => soak::run(&args),
    }
}

/// Runs what ends by itself.
fn once(task: impl Future<Output = Result<(), Failure>>) -> Result<(), Failure> {
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build();
    runtime.map_err(Failure::running)?.block_on(task)
}
