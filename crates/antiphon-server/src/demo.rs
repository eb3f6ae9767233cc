//! `demo`: two nodes and four users on a page, on the loopback alone.

use crate::{cli::DemoArgs, failure::Failure};

/// Runs the demo until it is told to end.
pub fn run(args: &DemoArgs) -> Result<(), Failure> {
    Err(Failure::Running(format!("there is no demo for port {} yet", args.port)))
}
