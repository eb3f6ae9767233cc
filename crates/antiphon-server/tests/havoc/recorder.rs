//! What happened, for the checker.

use std::{fs::File, io::BufWriter, path::Path};

use antiphon_checker::History;
pub use antiphon_checker::Recorder;

/// Writes a history where it can be read again.
pub fn keep(history: &History, file: &Path) {
    history.write(BufWriter::new(File::create(file).unwrap())).unwrap();
}
