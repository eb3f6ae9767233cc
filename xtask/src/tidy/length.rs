//! A file is read in one sitting.

use super::finding::Finding;
use super::tree::Tree;

const LINES_MAX: usize = 600;

/// Finds sources of more than 600 lines.
pub fn check(tree: &Tree) -> Vec<Finding> {
    tree.sources()
        .iter()
        .map(|source| (source, source.text.lines().count()))
        .filter(|(_, lines)| *lines > LINES_MAX)
        .map(|(source, lines)| {
            Finding::new(
                &source.path,
                LINES_MAX + 1,
                format!("the file has {lines} lines, more than {LINES_MAX}"),
                "split it by idea, never by \"part 2\"",
            )
        })
        .collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_file_of_601_lines_is_found_and_one_of_600_is_not() {
        let (fits, long) = ("//\n".repeat(600), "//\n".repeat(601));
        let findings = check(&Tree::planted(&[("a.rs", &fits), ("b.rs", &long)]));
        assert_eq!(findings.len(), 1);
        assert_eq!(findings[0].file, "b.rs");
    }
}
