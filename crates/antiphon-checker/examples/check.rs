//! Checks a history that was kept: `cargo run -p antiphon-checker --example check -- FILE`.

use std::{fs::File, io::BufReader, process::ExitCode};

use antiphon_checker::{Bounds, History, check};

fn main() -> Result<ExitCode, Box<dyn std::error::Error>> {
    let file = std::env::args().nth(1).ok_or("the file of a history is missing")?;
    let report = check(&History::read(BufReader::new(File::open(file)?))?, &Bounds::default());
    println!("{report}");
    Ok(if report.is_clean() { ExitCode::SUCCESS } else { ExitCode::FAILURE })
}
