//! A monolith.
fn main() {}
