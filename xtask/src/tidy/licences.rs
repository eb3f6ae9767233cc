//! Every package has a licence that users of ours can live with, and comes from the registry or from this tree.

use super::finding::Finding;
use super::packages::{Package, Packages};

/// The same list as in deny.toml.
const ALLOWED: &[&str] = &[
    "MIT",
    "Apache-2.0",
    "Apache-2.0 WITH LLVM-exception",
    "BSD-2-Clause",
    "BSD-3-Clause",
    "ISC",
    "Zlib",
    "0BSD",
    "BSL-1.0",
    "Unicode-3.0",
    "CDLA-Permissive-2.0",
    "OpenSSL",
];

/// Finds licences and origins that are not allowed.
pub fn check(packages: &Packages) -> Vec<Finding> {
    packages.all.iter().flat_map(|package| [licence(package), origin(package)]).flatten().collect()
}

fn licence(package: &Package) -> Option<Finding> {
    let what = match &package.licence {
        Some(expression) if allowed(expression) => return None,
        Some(expression) => format!("the licence of {} {} is {expression}", package.name, package.version),
        None => format!("{} {} has no licence", package.name, package.version),
    };
    Some(Finding::new(
        &place(package),
        1,
        what,
        "use another package, or decide it in licences.rs and deny.toml",
    ))
}

fn origin(package: &Package) -> Option<Finding> {
    let what = match &package.origin {
        Some(origin) if origin.starts_with("registry+") || origin.starts_with("sparse+") => return None,
        None if package.own => return None,
        Some(origin) => format!("{} comes from {origin}", package.name),
        None => format!("{} comes from a folder that is no member of this workspace", package.name),
    };
    Some(Finding::new(&place(package), 1, what, "take a released version from the registry"))
}

fn place(package: &Package) -> String {
    if package.own { package.manifest.clone() } else { "Cargo.lock".into() }
}

/// Whether an SPDX expression can be met with allowed licences alone.
fn allowed(expression: &str) -> bool {
    // The old form of OR.
    let spaced = expression.replace('/', " OR ").replace('(', " ( ").replace(')', " ) ");
    let mut words: Vec<&str> = spaced.split_whitespace().collect();
    words.reverse();
    let verdict = any_of(&mut words);
    verdict && words.is_empty()
}

/// `a OR b`; the words are taken from the end of the list.
fn any_of(words: &mut Vec<&str>) -> bool {
    let mut verdict = all_of(words);
    while words.last() == Some(&"OR") {
        words.pop();
        verdict |= all_of(words);
    }
    verdict
}

fn all_of(words: &mut Vec<&str>) -> bool {
    let mut verdict = one(words);
    while words.last() == Some(&"AND") {
        words.pop();
        verdict &= one(words);
    }
    verdict
}

fn one(words: &mut Vec<&str>) -> bool {
    match words.pop() {
        Some("(") => {
            let verdict = any_of(words);
            words.pop() == Some(")") && verdict
        }
        Some(name) if words.last() == Some(&"WITH") => {
            words.pop();
            let exception = words.pop().unwrap_or_default();
            ALLOWED.contains(&format!("{name} WITH {exception}").as_str())
        }
        Some(name) => ALLOWED.contains(&name),
        None => false,
    }
}

#[cfg(test)]
mod tests {
    use super::super::packages::planted;
    use super::*;

    #[test]
    fn an_expression_is_met_as_spdx_means_it() {
        for good in [
            "MIT",
            "MIT/Apache-2.0",
            "GPL-3.0 OR MIT",
            "(MIT OR GPL-3.0) AND Unicode-3.0",
            "Apache-2.0 WITH LLVM-exception OR GPL-2.0",
            "ISC AND (Apache-2.0 OR ISC OR MIT-0) AND BSD-3-Clause",
        ] {
            assert!(allowed(good), "{good}");
        }
        for bad in
            ["MPL-2.0", "MIT AND GPL-3.0", "GPL-3.0 WITH LLVM-exception", "(MIT", "MIT)", "", "MIT MIT"]
        {
            assert!(!allowed(bad), "{bad}");
        }
    }

    #[test]
    fn a_package_from_a_repository_or_with_a_foreign_licence_is_found() {
        let mut packages = planted(&[("a", &[], &[]), ("b", &[], &[]), ("c", &[], &[])]);
        for package in &mut packages.all {
            package.own = false;
            package.licence = Some("MIT".into());
            package.origin = Some("registry+https://example.org/index".into());
        }
        packages.all[1].origin = Some("git+https://example.org/b".into());
        packages.all[2].licence = Some("MPL-2.0".into());
        let found: Vec<String> = check(&packages).into_iter().map(|finding| finding.what).collect();
        assert_eq!(found, ["b comes from git+https://example.org/b", "the licence of c  is MPL-2.0"]);
    }
}
