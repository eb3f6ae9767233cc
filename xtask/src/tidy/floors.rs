//! A crate imports only from floors below its own, and the engines, the contract and the codecs know even less.
//!
//! The table of ARCHITECTURE.md, as a const: a new arrow between crates is a decision, and is made here.

use super::finding::Finding;
use super::packages::{Package, Packages};

/// What a crate may import of ours.
#[derive(Debug, Clone, Copy)]
enum May {
    /// Whatever stands on a lower floor.
    Below,
    /// These alone.
    Only(&'static [&'static str]),
}

const ENGINE: May = May::Only(&["antiphon-core", "antiphon-protocol"]);
const FOREIGN_PROTOCOL: May =
    May::Only(&["antiphon-session", "antiphon-node", "antiphon-hub", "antiphon-core", "antiphon-protocol"]);

/// The crates, their floors, and what they may import.
const FLOORS: &[(&str, u8, May)] = &[
    ("antiphon-protocol", 1, May::Only(&[])),
    ("antiphon-hub", 2, May::Only(&["antiphon-protocol", "antiphon-ws"])),
    ("antiphon-core", 2, May::Only(&["antiphon-protocol"])),
    ("antiphon-client", 2, May::Only(&["antiphon-protocol"])),
    ("antiphon-checker", 2, May::Only(&["antiphon-protocol"])),
    ("antiphon-node", 3, May::Only(&["antiphon-hub", "antiphon-core", "antiphon-protocol"])),
    ("antiphon-memory", 3, ENGINE),
    ("antiphon-redis", 3, ENGINE),
    ("antiphon-sql", 3, ENGINE),
    ("antiphon-auth", 3, ENGINE),
    ("antiphon-push", 3, ENGINE),
    ("antiphon-webhook", 3, ENGINE),
    ("antiphon-contract", 3, ENGINE),
    (
        "antiphon-session",
        4,
        May::Only(&["antiphon-node", "antiphon-hub", "antiphon-core", "antiphon-protocol"]),
    ),
    ("antiphon-centrifugo", 4, FOREIGN_PROTOCOL),
    ("antiphon-pusher", 4, FOREIGN_PROTOCOL),
    ("antiphon-ws", 1, May::Only(&[])),
    (
        "antiphon-reactor",
        5,
        May::Only(&[
            "antiphon-ws",
            "antiphon-session",
            "antiphon-hub",
            "antiphon-node",
            "antiphon-core",
            "antiphon-protocol",
        ]),
    ),
    (
        "antiphon-axum",
        6,
        May::Only(&[
            "antiphon-reactor",
            "antiphon-session",
            "antiphon-centrifugo",
            "antiphon-pusher",
            "antiphon-ws",
            "antiphon-hub",
            "antiphon-node",
            "antiphon-core",
            "antiphon-protocol",
        ]),
    ),
    ("antiphon", 7, May::Below),
    ("antiphon-server", 8, May::Below),
    // Beside the floors.
    ("antiphon-testkit", 0, May::Only(&[])),
    ("xtask", 9, May::Only(&["antiphon-testkit"])),
];

/// What a test of any crate may bring in beside what its crate may import: the engines run their contracts on real
/// servers, and a node or a session is tested on an engine.
const FOR_TESTS: &[&str] = &[
    "antiphon-testkit",
    "antiphon-checker",
    "antiphon-contract",
    "antiphon-memory",
    "antiphon-redis",
    "antiphon-sql",
    "antiphon-auth",
    "antiphon-client",
];

/// Checks each arrow between two crates of ours.
pub fn check(packages: &Packages) -> Vec<Finding> {
    packages.own().flat_map(arrows_of).collect()
}

fn arrows_of(package: &Package) -> Vec<Finding> {
    let name = package.name.as_str();
    let example = package.manifest.starts_with("examples/");
    let place = FLOORS.iter().find(|(known, ..)| *known == name);
    let mut findings = Vec::new();
    if place.is_none() && !example {
        findings.push(Finding::new(
            &package.manifest,
            package.line_of("name"),
            format!("the crate {name} has no floor"),
            "give it a line in FLOORS of xtask/src/tidy/floors.rs and a row in ARCHITECTURE.md",
        ));
    }
    for dependency in &package.dependencies {
        let other = dependency.name.as_str();
        let Some((_, floor, _)) = FLOORS.iter().find(|(known, ..)| *known == other) else { continue };
        let allowed = match place {
            // An application: it uses the one name that users depend on, or the client.
            None => ["antiphon", "antiphon-client", "antiphon-testkit"].contains(&other),
            Some((_, own, May::Below)) => floor < own && *floor > 0,
            Some((_, _, May::Only(names))) => names.contains(&other),
        };
        if allowed || (dependency.dev && FOR_TESTS.contains(&other)) {
            continue;
        }
        findings.push(Finding::new(
            &package.manifest,
            package.line_of(other),
            format!("{name} may not depend on {other}"),
            "see the floors in ARCHITECTURE.md: move the code down, or turn the arrow with a trait of antiphon-core",
        ));
    }
    findings
}

#[cfg(test)]
mod tests {
    use super::super::packages::planted;
    use super::*;

    fn found(name: &str, normal: &[&str], dev: &[&str]) -> Vec<String> {
        check(&planted(&[(name, normal, dev)])).into_iter().map(|finding| finding.what).collect()
    }

    #[test]
    fn an_arrow_up_the_floors_is_found_with_its_line() {
        let findings = check(&planted(&[("antiphon-hub", &["antiphon-protocol", "antiphon-node"], &[])]));
        assert_eq!(findings.len(), 1);
        assert_eq!(findings[0].what, "antiphon-hub may not depend on antiphon-node");
        assert_eq!((findings[0].file.as_str(), findings[0].line), ("crates/antiphon-hub/Cargo.toml", 3));
    }

    #[test]
    fn an_engine_may_not_know_another_engine_the_node_or_the_hub() {
        for other in ["antiphon-redis", "antiphon-node", "antiphon-hub"] {
            assert_eq!(found("antiphon-sql", &["antiphon-core", other], &[]).len(), 1, "{other}");
        }
    }

    #[test]
    fn tests_may_use_the_testkit_the_contract_and_engines_but_no_upper_floor() {
        assert!(
            found("antiphon-sql", &["antiphon-core"], &["antiphon-testkit", "antiphon-contract"]).is_empty()
        );
        assert!(found("antiphon-node", &["antiphon-core"], &["antiphon-memory"]).is_empty());
        assert_eq!(found("antiphon-node", &["antiphon-core"], &["antiphon-session"]).len(), 1);
    }

    #[test]
    fn the_testkit_is_for_tests_alone() {
        assert_eq!(found("antiphon", &["antiphon-testkit"], &[]).len(), 1);
        assert!(found("antiphon", &["antiphon-axum", "antiphon-sql"], &[]).is_empty());
    }

    #[test]
    fn a_crate_without_a_floor_is_found() {
        assert_eq!(found("antiphon-attic", &[], &[]), ["the crate antiphon-attic has no floor"]);
    }
}
