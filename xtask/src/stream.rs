//! Running a program with its lines passed through and read on the way.

use anyhow::{Context, Result};
use std::io::{BufRead, BufReader, Read, Write};
use std::process::{Command, Stdio};
use std::sync::{Mutex, PoisonError};

/// Runs `command`, passes both of its streams through line by line, and shows each line to `seen`; tells whether it
/// succeeded.
pub fn run(command: &mut Command, seen: impl FnMut(&str) + Send) -> Result<bool> {
    let what = format!("{command:?}");
    let mut child = command
        .stdin(Stdio::null())
        .stdout(Stdio::piped())
        .stderr(Stdio::piped())
        .spawn()
        .with_context(|| format!("running {what}"))?;
    let (stdout, stderr) = (child.stdout.take(), child.stderr.take());
    let seen = Mutex::new(seen);
    std::thread::scope(|scope| {
        scope.spawn(|| pass(stdout, std::io::stdout(), &seen));
        pass(stderr, std::io::stderr(), &seen);
    });
    Ok(child.wait().with_context(|| format!("waiting for {what}"))?.success())
}

fn pass(from: Option<impl Read>, mut to: impl Write, seen: &Mutex<impl FnMut(&str)>) {
    let Some(from) = from else { return };
    let mut reader = BufReader::new(from);
    let mut bytes = Vec::new();
    while reader.read_until(b'\n', &mut bytes).is_ok_and(|count| count > 0) {
        // Nobody may be reading us any more; the counting goes on.
        let _ = to.write_all(&bytes);
        let _ = to.flush();
        let line = String::from_utf8_lossy(&bytes);
        (seen.lock().unwrap_or_else(PoisonError::into_inner))(line.trim_end());
        bytes.clear();
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_lines_of_both_streams_are_seen_and_the_status_is_told() {
        let mut lines = Vec::new();
        let script = "echo out; echo err >&2; exit 3";
        let succeeded =
            run(Command::new("sh").args(["-c", script]), |line| lines.push(line.to_owned())).unwrap();
        lines.sort();
        assert!(!succeeded);
        assert_eq!(lines, ["err", "out"]);
    }
}
