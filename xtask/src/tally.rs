//! Counting what passed, failed and was skipped, from the words of each test runner.

use std::collections::BTreeSet;
use std::fmt;

/// The counts of one part, or of all.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Tally {
    pub passed: usize,
    pub failed: usize,
    pub skipped: usize,
    /// What was skipped, and why.
    pub reasons: Vec<String>,
    /// Tests that said so themselves and returned early: their harness counts them as passed.
    pub returned: BTreeSet<String>,
}

impl fmt::Display for Tally {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{} passed, {} failed, {} skipped", self.passed, self.failed, self.skipped)
    }
}

impl Tally {
    /// One thing that was skipped.
    pub fn skip(reason: impl Into<String>) -> Self {
        Self { skipped: 1, reasons: vec![reason.into()], ..Self::default() }
    }

    pub fn add(&mut self, other: &Self) {
        self.passed += other.passed;
        self.failed += other.failed;
        self.skipped += other.skipped;
        self.reasons.extend(other.reasons.iter().cloned());
    }

    /// Counts one line of `cargo test`: its results, and what our own tests say of themselves.
    pub fn cargo_line(&mut self, line: &str) {
        if let Some(counts) = line.trim_start().strip_prefix("test result:") {
            self.passed += number_before(counts, " passed");
            self.failed += number_before(counts, " failed");
            self.skipped += number_before(counts, " ignored");
        } else if line.starts_with("test ") && line.contains(" ... ignored") {
            self.reasons.push(line["test ".len()..].replace(" ... ignored", ": ignored"));
        } else if let Some(at) = line.find("SKIPPED: ") {
            let reason = &line[at + "SKIPPED: ".len()..];
            self.reasons.push(reason.to_owned());
            self.returned.insert(reason.split(": ").next().unwrap_or_default().to_owned());
        }
    }

    /// Counts one line of a TAP report, as `node --test` ends it.
    pub fn tap_line(&mut self, line: &str) {
        let count = |name: &str| line.strip_prefix(name).and_then(|count| count.trim().parse::<usize>().ok());
        self.passed += count("# pass ").unwrap_or(0);
        self.failed += count("# fail ").unwrap_or(0) + count("# cancelled ").unwrap_or(0);
        self.skipped += count("# skipped ").unwrap_or(0) + count("# todo ").unwrap_or(0);
    }

    /// Counts one line of a script: `N passed, N failed`, with or without `, N skipped`, or Maven's sum.
    pub fn script_line(&mut self, line: &str) {
        if let Some(closing) = closing_line(line) {
            self.add(&closing);
        } else if let Some(reason) = line.strip_prefix("SKIPPED: ") {
            self.reasons.push(reason.to_owned());
        } else if let Some(at) = line.find("Tests run: ").filter(|_| !line.contains("Time elapsed")) {
            let after = |name: &str| {
                let rest = line[at..].split_once(name).map_or("", |(_, rest)| rest);
                let digits = rest.find(|letter: char| !letter.is_ascii_digit()).unwrap_or(rest.len());
                rest[..digits].parse::<usize>().unwrap_or(0)
            };
            let (failed, skipped) = (after("Failures: ") + after("Errors: "), after("Skipped: "));
            self.passed += after("Tests run: ").saturating_sub(failed + skipped);
            self.failed += failed;
            self.skipped += skipped;
        }
    }

    /// Ends the counting of a runner: one that failed without a failed test has failed itself.
    pub fn close(&mut self, succeeded: bool, what: &str) {
        let returned = std::mem::take(&mut self.returned).len();
        self.passed = self.passed.saturating_sub(returned);
        self.skipped += returned;
        if !succeeded && self.failed == 0 {
            println!("FAILED: {what} itself");
            self.failed = 1;
        }
    }
}

/// A line that is nothing but `N passed, N failed, N skipped`, of which the last part may be missing.
fn closing_line(line: &str) -> Option<Tally> {
    let count = |part: &str, name: &str| part.strip_suffix(name)?.parse().ok();
    let parts: Vec<&str> = line.trim().split(", ").collect();
    let (passed, failed, skipped) = match parts[..] {
        [passed, failed] => (passed, failed, 0),
        [passed, failed, skipped] => (passed, failed, count(skipped, " skipped")?),
        _ => return None,
    };
    let (passed, failed) = (count(passed, " passed")?, count(failed, " failed")?);
    Some(Tally { passed, failed, skipped, ..Tally::default() })
}

fn number_before(text: &str, name: &str) -> usize {
    let Some(end) = text.find(name) else { return 0 };
    text[..end].rsplit(' ').next().and_then(|count| count.parse().ok()).unwrap_or(0)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn counts(tally: &Tally) -> (usize, usize, usize) {
        (tally.passed, tally.failed, tally.skipped)
    }

    #[test]
    fn the_results_of_cargo_test_are_summed() {
        let mut tally = Tally::default();
        for line in [
            "test a ... ok",
            "test b ... ignored, it is slow",
            "test result: ok. 12 passed; 0 failed; 1 ignored; 0 measured; 0 filtered out; finished in 0.00s",
            "test result: FAILED. 3 passed; 2 failed; 0 ignored; 0 measured; 0 filtered out; finished in 0.00s",
        ] {
            tally.cargo_line(line);
        }
        assert_eq!(counts(&tally), (15, 2, 1));
        assert_eq!(tally.reasons, ["b: ignored, it is slow"]);
    }

    #[test]
    fn a_test_that_says_skipped_did_not_pass() {
        let mut tally = Tally::default();
        // A test that wanted two servers says it twice, and before its binary's result.
        tally.cargo_line("SKIPPED: a: redis-server is not installed");
        tally.cargo_line("test x ... SKIPPED: a: postgres is not installed");
        tally.cargo_line("test result: ok. 2 passed; 0 failed; 0 ignored");
        tally.close(true, "cargo test");
        assert_eq!(counts(&tally), (1, 0, 1));
        assert_eq!(tally.reasons, ["a: redis-server is not installed", "a: postgres is not installed"]);
    }

    #[test]
    fn tap_maven_and_scripts_are_counted() {
        let mut tally = Tally::default();
        for line in ["# tests 4", "# pass 3", "# fail 1", "# cancelled 0", "# skipped 2"] {
            tally.tap_line(line);
        }
        assert_eq!(counts(&tally), (3, 1, 2));

        let mut tally = Tally::default();
        tally.script_line(
            "[INFO] Tests run: 5, Failures: 0, Errors: 0, Skipped: 0, Time elapsed: 2.1 s -- in a.B",
        );
        tally.script_line("[ERROR] Tests run: 9, Failures: 1, Errors: 1, Skipped: 2");
        assert_eq!(counts(&tally), (5, 2, 2));

        let mut tally = Tally::default();
        tally.script_line("7 passed, 0 failed, 1 skipped");
        tally.script_line("we have 7 passed, 0 failed, 1 skipped");
        assert_eq!(counts(&tally), (7, 0, 1));
        assert_eq!(tally.to_string(), "7 passed, 0 failed, 1 skipped");
    }

    #[test]
    fn a_script_that_says_nothing_of_skipped_tests_is_counted_by_its_numbers() {
        let mut tally = Tally::default();
        tally.script_line("15 passed, 2 failed");
        for line in [
            "15 passed",
            "15 passed, 2 failed, 1 skipped, 3 more",
            "15 passed, some failed",
            "passed, failed",
        ] {
            tally.script_line(line);
        }
        assert_eq!(counts(&tally), (15, 2, 0));
    }

    #[test]
    fn a_runner_that_fails_without_a_failed_test_is_a_failure() {
        let mut tally = Tally { passed: 3, ..Tally::default() };
        tally.close(false, "cargo test");
        assert_eq!(counts(&tally), (3, 1, 0));
    }
}
