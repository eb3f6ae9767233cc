//! Where the project lies, and cargo in it.

use std::path::{Path, PathBuf};
use std::process::Command;

/// The project's root: this package lies right below it.
pub fn root() -> PathBuf {
    let own =
        PathBuf::from(std::env::var_os("CARGO_MANIFEST_DIR").unwrap_or(env!("CARGO_MANIFEST_DIR").into()));
    own.parent().map_or_else(|| PathBuf::from("."), PathBuf::from)
}

/// cargo, in the project's root.
pub fn cargo(root: &Path) -> Command {
    let mut command = Command::new(std::env::var_os("CARGO").unwrap_or_else(|| "cargo".into()));
    command.current_dir(root);
    command
}

/// The folder of what is built.
pub fn target(root: &Path) -> PathBuf {
    std::env::var_os("CARGO_TARGET_DIR").map_or_else(|| root.join("target"), |folder| root.join(folder))
}
