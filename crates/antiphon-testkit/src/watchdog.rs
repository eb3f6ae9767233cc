//! Cleans up after servers in statics, which are never dropped: a shell that waits for the end of a pipe which only
//! we hold open, whatever way we end.

use std::os::unix::process::CommandExt;
use std::path::Path;
use std::process::{Command, Stdio};

const SCRIPT: &str = r#"read -r _; kill -9 "$1" 2>/dev/null
for _ in 1 2 3 4 5 6 7 8 9 10; do rm -rf "$2" 2>/dev/null && exit; sleep 0.2; done"#;

/// When this process has ended, kills `pid` and removes `folder`.
pub(crate) fn after_our_end(pid: u32, folder: &Path) {
    let spawned = Command::new("sh")
        .args(["-c", SCRIPT, "watchdog", &pid.to_string()])
        .arg(folder)
        .stdin(Stdio::piped())
        .stdout(Stdio::null())
        .stderr(Stdio::null())
        .process_group(0)
        .spawn();
    // Forgotten with its end of the pipe: the kernel closes that when we end.
    if let Ok(shell) = spawned {
        std::mem::forget(shell);
    }
}
