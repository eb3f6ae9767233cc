//! The promises of the seams as suites that every engine runs.
