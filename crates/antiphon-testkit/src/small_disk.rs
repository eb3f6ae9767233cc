//! A file system of a test's own that is small enough to be filled: a tmpfs, which only root may mount.

use crate::process::{find_program, is_root};
use crate::skip::skipped;
use std::fs::{File, OpenOptions};
use std::io::{self, Write};
use std::path::{Path, PathBuf};
use std::process::Command;
use tempfile::TempDir;

/// What [`SmallDisk::fill`] writes in one step.
const STEP: usize = 4096;

/// A mounted file system of a bounded size; it is gone with what is on it when it is dropped.
#[derive(Debug)]
pub struct SmallDisk {
    folder: TempDir,
}

/// A file system of so many MiB, or none (and a `SKIPPED` line) where this process may not mount one.
///
/// # Panics
/// With `TESTKIT_REQUIRE=1` where it can't be mounted.
#[track_caller]
#[must_use]
pub fn small_disk_or_skip(test: &str, mib: u32) -> Option<SmallDisk> {
    if !is_root() || find_program("mount").is_none() {
        skipped(test, "a small file system is mounted by root alone");
        return None;
    }
    match SmallDisk::mount(mib) {
        Ok(disk) => Some(disk),
        Err(why) => {
            skipped(test, &format!("a small file system can't be mounted here: {why}"));
            None
        }
    }
}

impl SmallDisk {
    fn mount(mib: u32) -> io::Result<Self> {
        let folder = tempfile::Builder::new().prefix("antiphon-disk-").tempdir()?;
        let options = format!("size={mib}m,mode=0777");
        let mut mount = Command::new("mount");
        let output = mount.args(["-t", "tmpfs", "-o", &options, "tmpfs"]).arg(folder.path()).output()?;
        if !output.status.success() {
            return Err(io::Error::other(String::from_utf8_lossy(&output.stderr).trim().to_owned()));
        }
        Ok(Self { folder })
    }

    /// Where it is mounted.
    #[must_use]
    pub fn path(&self) -> &Path {
        self.folder.path()
    }

    /// Writes a file until no byte more fits on it.
    ///
    /// # Panics
    /// When something else is wrong than that it is full.
    pub fn fill(&self) {
        let mut file =
            OpenOptions::new().append(true).create(true).open(self.ballast()).expect("a file on it");
        let full = loop {
            // In pages: a byte where there is no page more.
            if let Err(error) = file.write_all(&[0; STEP]) {
                break error;
            }
        };
        assert_eq!(full.kind(), io::ErrorKind::StorageFull, "{full}");
    }

    /// Takes that file away again.
    ///
    /// # Panics
    /// When it can't be.
    pub fn free(&self) {
        // Emptied first: nobody has to close it.
        File::create(self.ballast())
            .and_then(|_| std::fs::remove_file(self.ballast()))
            .expect("it is emptied");
    }

    fn ballast(&self) -> PathBuf {
        self.folder.path().join("ballast")
    }
}

impl Drop for SmallDisk {
    fn drop(&mut self) {
        // Lazily: a server that still has files open on it ends a moment later.
        let _ = Command::new("umount").arg("--lazy").arg(self.folder.path()).output();
    }
}
