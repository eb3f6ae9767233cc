//! `cargo xtask setup`: what the tests need and isn't there is installed by apt-get and npm; what is there stays.

use anyhow::{Context, Result};
use std::path::{Path, PathBuf};
use std::process::Command;

/// A program that the tests need, and the Debian package that brings it.
struct Need {
    what: &'static str,
    package: &'static str,
    there: fn() -> bool,
}

const NEEDS: &[Need] = &[
    Need { what: "redis-server", package: "redis-server", there: || program("redis-server").is_some() },
    Need { what: "redis-cli", package: "redis-tools", there: || program("redis-cli").is_some() },
    Need { what: "postgres", package: "postgresql", there: postgres },
    Need { what: "haproxy", package: "haproxy", there: || program("haproxy").is_some() },
    Need { what: "chromium", package: "chromium", there: || browser().is_some() },
    Need { what: "javac", package: "default-jdk-headless", there: || program("javac").is_some() },
    Need { what: "mvn", package: "maven", there: || program("mvn").is_some() },
    Need { what: "python3", package: "python3", there: || program("python3").is_some() },
    Need { what: "python3-venv", package: "python3-venv", there: venv },
    Need { what: "openssl", package: "openssl", there: || program("openssl").is_some() },
    Need { what: "node", package: "nodejs", there: || program("node").is_some() },
    Need { what: "npm", package: "npm", there: || program("npm").is_some() },
];

/// Folders with npm packages for tests.
pub const NPM_FOLDERS: &[&str] = &["tests/browser", "clients/js"];

/// Installs what is missing; returns what is missing still.
pub fn run(root: &Path) -> Result<Vec<&'static str>> {
    let missing: Vec<&Need> = NEEDS.iter().filter(|need| !(need.there)()).collect();
    if missing.is_empty() {
        println!("setup: all programs are there");
    } else {
        apt_get(&missing.iter().map(|need| need.package).collect::<Vec<_>>());
    }
    for folder in NPM_FOLDERS.iter().map(|folder| root.join(folder)) {
        npm(&folder)?;
    }
    Ok(NEEDS.iter().filter(|need| !(need.there)()).map(|need| need.what).collect())
}

/// A program's path.
pub fn program(name: &str) -> Option<PathBuf> {
    let path = std::env::var_os("PATH").unwrap_or_default();
    std::env::split_paths(&path)
        .chain(["/usr/local/sbin", "/usr/sbin", "/sbin"].map(PathBuf::from))
        .map(|folder| folder.join(name))
        .find(|file| file.is_file())
}

/// The browser for the tests that need one.
pub fn browser() -> Option<PathBuf> {
    ["chromium", "chromium-browser", "google-chrome"].iter().find_map(|name| program(name))
}

/// Debian keeps what makes virtual environments apart from Python.
fn venv() -> bool {
    let asked = Command::new("python3").args(["-c", "import ensurepip, venv"]).output();
    asked.is_ok_and(|output| output.status.success())
}

fn postgres() -> bool {
    // Debian keeps the server's programs off the PATH, by version.
    let debian = std::fs::read_dir("/usr/lib/postgresql").into_iter().flatten().flatten();
    debian.map(|version| version.path().join("bin/postgres")).any(|file| file.is_file())
        || program("postgres").is_some()
}

/// Installs packages; what fails is seen by what is missing afterwards.
fn apt_get(packages: &[&str]) {
    if program("apt-get").is_none() {
        println!("setup: there is no apt-get; install by hand: {}", packages.join(" "));
        return;
    }
    println!("setup: installing {}", packages.join(" "));
    if install(packages) {
        return;
    }
    // The lists may be old, or absent.
    println!("setup: apt-get update");
    if !privileged("apt-get").args(["-q", "update"]).status().is_ok_and(|status| status.success()) {
        println!("setup: apt-get update failed");
    }
    if !install(packages) {
        // One package that can't be had must not keep the others away.
        for package in packages {
            if !install(&[package]) {
                println!("setup: {package} could not be installed");
            }
        }
    }
}

fn install(packages: &[&str]) -> bool {
    privileged("apt-get")
        .args(["-q", "-y", "--no-install-recommends", "-o", "DPkg::Lock::Timeout=600", "install"])
        .args(packages)
        .status()
        .is_ok_and(|status| status.success())
}

/// The command as root, without questions.
fn privileged(program_name: &str) -> Command {
    let own =
        std::fs::metadata("/proc/self").is_ok_and(|folder| std::os::unix::fs::MetadataExt::uid(&folder) == 0);
    let mut command = if own || program("sudo").is_none() {
        Command::new("env")
    } else {
        let mut command = Command::new("sudo");
        command.args(["-n", "env"]);
        command
    };
    command.args(["DEBIAN_FRONTEND=noninteractive", program_name]).stdin(std::process::Stdio::null());
    command
}

/// Installs the packages of `folder` unless that has happened since its lock file changed.
fn npm(folder: &Path) -> Result<()> {
    let lock = folder.join("package-lock.json");
    if !folder.join("package.json").is_file() || !lock.is_file() || program("npm").is_none() {
        return Ok(());
    }
    let changed = |file: &Path| std::fs::metadata(file).and_then(|data| data.modified()).ok();
    let installed = folder.join("node_modules/.package-lock.json");
    if changed(&installed).is_some_and(|installed| changed(&lock).is_some_and(|lock| lock <= installed)) {
        return Ok(());
    }
    println!("setup: npm ci in {}", folder.display());
    let status = Command::new("npm")
        .args(["ci", "--no-audit", "--no-fund"])
        .current_dir(folder)
        .stdin(std::process::Stdio::null())
        .status()
        .context("running npm ci")?;
    if !status.success() {
        println!("setup: npm ci failed in {}", folder.display());
    }
    Ok(())
}
