//! `cargo xtask tidy`: the walls of the house, checked on the text of the sources and on `cargo metadata`.
//!
//! Each rule is a function from what it looks at to its [`Finding`]s, and knows nothing of the others.

mod circles;
mod finding;
mod floors;
mod frames;
mod habits;
mod length;
mod licences;
mod packages;
mod paths;
mod source;
mod sql;
mod tree;
mod unsafe_code;
mod versions;

use anyhow::Result;
use finding::Finding;
use packages::Packages;
use std::path::Path;
use tree::Tree;

/// Checks everything; prints what it finds and tells how much that was.
pub fn run(root: &Path) -> Result<usize> {
    let tree = Tree::read(root)?;
    let packages = Packages::of(root)?;
    let rules: [(&str, Vec<Finding>); 11] = [
        ("floors", floors::check(&packages)),
        ("circles of modules", circles::check(&tree, &packages)),
        ("length of files", length::check(&tree)),
        ("frame types", frames::check(&tree)),
        ("unsafe code", unsafe_code::check(&tree, &packages)),
        ("SQL", sql::check(&tree)),
        ("licences and sources", licences::check(&packages)),
        ("double versions", versions::check(&packages, tree.text("Cargo.lock").unwrap_or_default())),
        ("sleeping tests", habits::sleeping_tests(&tree)),
        ("bare spawns", habits::bare_spawns(&tree)),
        ("machine paths", paths::check(&tree)),
    ];
    let mut total = 0;
    for (rule, findings) in rules {
        println!(
            "tidy: {rule}: {}",
            if findings.is_empty() { "ok".into() } else { findings.len().to_string() }
        );
        for finding in &findings {
            println!("  {finding}");
        }
        total += findings.len();
    }
    Ok(total)
}
