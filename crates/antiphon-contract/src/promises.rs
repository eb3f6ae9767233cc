//! Counts what was checked.

/// The promises that an engine has kept.
#[derive(Debug, Default)]
pub struct Promises {
    kept: usize,
}

impl Promises {
    /// Checks one.
    ///
    /// # Panics
    /// If it is broken.
    #[track_caller]
    pub fn keep(&mut self, promise: &str, holds: bool) {
        assert!(holds, "broken: {promise}");
        self.kept += 1;
        println!("kept: {promise}");
    }

    /// How many there were.
    pub fn count(&self) -> usize {
        self.kept
    }
}
