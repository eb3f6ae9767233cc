//! Saying what happens, and counting what holds.

/// The counts.
#[derive(Debug, Default)]
pub struct Report {
    passed: usize,
    failed: usize,
}

impl Report {
    /// What happens now.
    pub fn step(&self, what: &str) {
        println!("\n{what}");
    }

    /// One thing that has to hold; `seen` is what was found if it does not.
    pub fn check(&mut self, what: &str, holds: bool, seen: impl std::fmt::Debug) {
        if holds {
            self.passed += 1;
            println!("ok      {what}");
        } else {
            self.failed += 1;
            println!("FAILED  {what}: {seen:?}");
        }
    }

    /// The last line; tells whether nothing has failed.
    pub fn close(&self) -> bool {
        println!("\n{} passed, {} failed", self.passed, self.failed);
        self.failed == 0
    }
}
