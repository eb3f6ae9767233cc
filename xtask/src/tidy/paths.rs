//! The project's text names no folder of the machine on which it was written.

use super::finding::Finding;
use super::tree::Tree;

/// Folders that exist on one machine alone; written in halves, so that this file does not find itself.
const FOLDERS: &[&str] = &[concat!("/", "work/"), concat!("/", "root/")];

/// Finds absolute paths into such folders.
pub fn check(tree: &Tree) -> Vec<Finding> {
    let mut findings = Vec::new();
    for (path, text) in tree.files() {
        for (index, line) in text.lines().enumerate() {
            for folder in FOLDERS.iter().filter(|folder| names(line, folder)) {
                findings.push(Finding::new(
                    path,
                    index + 1,
                    format!("a path of one machine, {folder}"),
                    "name the file from the project's root",
                ));
            }
        }
    }
    findings
}

/// Whether `line` has `folder` at the beginning of a path.
fn names(line: &str, folder: &str) -> bool {
    line.match_indices(folder).any(|(at, _)| {
        !line[..at].ends_with(|before: char| {
            before.is_alphanumeric() || ['_', '-', '.', '*', '}', '~'].contains(&before)
        })
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_machine_path_is_found_and_a_relative_one_is_not() {
        let planted = format!("see {}main/README\na link: https://example.org/work/here\n", FOLDERS[0]);
        let findings = check(&Tree::planted(&[("README.md", &planted)]));
        assert_eq!(findings.len(), 1);
        assert_eq!((findings[0].file.as_str(), findings[0].line), ("README.md", 1));
    }
}
