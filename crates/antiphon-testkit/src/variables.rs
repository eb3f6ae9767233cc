//! The variables by which a run of many tests tells each of them what is there. None begins with `ANTIPHON_`: those are
//! options of the program, which warns of one that it does not know.

/// Names the server binary, if it is not the one that was built beside the test.
pub const ANTIPHON: &str = "TESTKIT_ANTIPHON";
/// A Redis that all tests share.
pub const REDIS_URL: &str = "TESTKIT_REDIS_URL";
/// A PostgreSQL that all tests share.
pub const POSTGRES_URL: &str = "TESTKIT_POSTGRES_URL";
/// `1`: nothing may be skipped.
pub const REQUIRE: &str = "TESTKIT_REQUIRE";

#[cfg(test)]
mod tests {
    #[test]
    fn no_variable_of_the_testkit_is_taken_for_an_option_of_the_program() {
        for name in [super::ANTIPHON, super::REDIS_URL, super::POSTGRES_URL, super::REQUIRE] {
            assert!(!name.starts_with("ANTIPHON_"), "{name}");
        }
    }
}
