//! No `unsafe` in crates of our own, and each inherits the lint that forbids it.

use super::finding::Finding;
use super::packages::Packages;
use super::tree::Tree;

/// Finds the word itself, and crates that escape the lint.
pub fn check(tree: &Tree, packages: &Packages) -> Vec<Finding> {
    let mut findings = Vec::new();
    for source in tree.sources() {
        for at in source.find("unsafe") {
            findings.push(Finding::new(
                &source.path,
                source.line(at),
                "unsafe code",
                "use a safe crate that keeps it (rustix, socket2, mio)",
            ));
        }
    }
    let manifest = tree.text("Cargo.toml").unwrap_or_default();
    if !in_table(manifest, "[workspace.lints.rust]", "unsafe_code = \"forbid\"") {
        findings.push(Finding::new(
            "Cargo.toml",
            1,
            "the workspace does not forbid unsafe code",
            "write unsafe_code = \"forbid\" under [workspace.lints.rust]",
        ));
    }
    for package in packages.own() {
        if !in_table(&package.manifest_text, "[lints]", "workspace = true") {
            findings.push(Finding::new(
                &package.manifest,
                1,
                format!("{} does not inherit the workspace's lints", package.name),
                "write workspace = true under [lints]",
            ));
        }
    }
    findings
}

/// Whether `manifest` has `line` in the table that `heading` opens.
fn in_table(manifest: &str, heading: &str, line: &str) -> bool {
    manifest
        .lines()
        .map(str::trim)
        .skip_while(|text| *text != heading)
        .skip(1)
        .take_while(|text| !text.starts_with('['))
        .any(|text| text == line)
}

#[cfg(test)]
mod tests {
    use super::super::packages::planted;
    use super::*;

    const FORBIDS: &str = "[workspace.lints.rust]\nunsafe_code = \"forbid\"\n";

    #[test]
    fn an_unsafe_block_is_found_and_the_word_in_a_comment_is_not() {
        let text = "// unsafe is forbidden\n#![forbid(unsafe_code)]\nfn a() {\n    unsafe {}\n}\n";
        let findings = check(&Tree::planted(&[("Cargo.toml", FORBIDS), ("a.rs", text)]), &planted(&[]));
        assert_eq!(findings.len(), 1);
        assert_eq!((findings[0].file.as_str(), findings[0].line), ("a.rs", 4));
    }

    #[test]
    fn a_workspace_or_a_crate_without_the_lint_is_found() {
        let mut packages = planted(&[("antiphon-hub", &[], &[])]);
        let findings = check(&Tree::planted(&[("Cargo.toml", "[workspace]\n")]), &packages);
        assert_eq!(findings.len(), 2);
        packages.all[0].manifest_text = "[lints]\nworkspace = true\n".into();
        assert!(check(&Tree::planted(&[("Cargo.toml", FORBIDS)]), &packages).is_empty());
    }
}
