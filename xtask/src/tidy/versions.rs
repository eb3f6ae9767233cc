//! No package is built in two versions, unless it is known why.

use super::finding::Finding;
use super::packages::Packages;
use std::collections::BTreeMap;

/// The packages of which the lock file may hold two versions, and why; the same list as in deny.toml.
const DOUBLE: &[(&str, &str)] = &[
    (
        "base64",
        "reqwest and hyper-util are on 0.23 already, jsonwebtoken, sqlx and tokio-websockets still on 0.22",
    ),
    ("bit-vec", "for tests alone: yasna (of rcgen) is on 0.9, proptest on 0.10"),
    ("block-buffer", "with digest"),
    ("cpufeatures", "with sha2"),
    ("crypto-common", "with digest"),
    ("digest", "with sha2"),
    ("getrandom", "ring and the signature traits of jsonwebtoken are on the old line"),
    ("hashbrown", "hashlink of sqlx is on 0.16"),
    ("pem", "for tests alone in its second version: jsonwebtoken is on 3, rcgen on 4"),
    ("r-efi", "not built on Linux: with getrandom"),
    ("rand", "for tests alone: stateright is on 0.9"),
    ("rand_core", "the signature traits of jsonwebtoken are on the old line"),
    ("sha2", "sqlx-core is on 0.10, while its own driver for PostgreSQL and we are on 0.11"),
    ("syn", "when building alone: half of all derive macros have moved to 3"),
    ("synstructure", "when building alone: with syn"),
    ("tower-http", "reqwest is on 0.6"),
    ("untrusted", "aws-lc-rs is on 0.7, rustls-webpki on 0.9"),
    ("windows-sys", "not built on Linux: ring is on 0.52"),
];

/// Finds double versions without a reason, and reasons without double versions.
pub fn check(packages: &Packages, lock: &str) -> Vec<Finding> {
    against(packages, lock, DOUBLE)
}

fn against(packages: &Packages, lock: &str, known: &[(&str, &str)]) -> Vec<Finding> {
    let mut versions: BTreeMap<&str, Vec<&str>> = BTreeMap::new();
    for package in &packages.all {
        versions.entry(&package.name).or_default().push(&package.version);
    }
    versions.retain(|_, versions| versions.len() > 1);
    let mut findings = Vec::new();
    for (name, versions) in &versions {
        if !known.iter().any(|(known, _)| known == name) {
            findings.push(Finding::new(
                "Cargo.lock",
                line_of(lock, name),
                format!("{name} is there in the versions {}", versions.join(" and ")),
                "bring its users to one version, or give the reason in xtask/src/tidy/versions.rs and deny.toml",
            ));
        }
    }
    for (name, _) in known.iter().filter(|(name, _)| !versions.contains_key(name)) {
        findings.push(Finding::new(
            "xtask/src/tidy/versions.rs",
            1,
            format!("{name} is no longer there in two versions"),
            "remove its line here and in deny.toml",
        ));
    }
    findings
}

fn line_of(lock: &str, name: &str) -> usize {
    let wanted = format!("name = \"{name}\"");
    lock.lines().position(|line| line == wanted).map_or(1, |index| index + 1)
}

#[cfg(test)]
mod tests {
    use super::super::packages::planted;
    use super::*;

    #[test]
    fn an_unexpected_double_version_and_an_idle_reason_are_found() {
        let mut packages =
            planted(&[("rand", &[], &[]), ("rand", &[], &[]), ("syn", &[], &[]), ("syn", &[], &[])]);
        for (package, version) in packages.all.iter_mut().zip(["0.9.1", "0.10.0", "2.0.0", "3.0.0"]) {
            package.version = version.into();
        }
        let lock = "[[package]]\nname = \"rand\"\n";
        let found = against(&packages, lock, &[("syn", "a reason"), ("gone", "a reason")]);
        assert_eq!(found.len(), 2);
        assert_eq!(
            found[0].to_string().split(';').next(),
            Some("Cargo.lock:2: rand is there in the versions 0.9.1 and 0.10.0")
        );
        assert_eq!(found[1].what, "gone is no longer there in two versions");
    }
}
