//! Every frame type has a row in docs/protocol.md, which is normative, and a golden fixture.

use super::finding::Finding;
use super::source::{Source, closing};
use super::tree::Tree;

const CONST: &str = "FRAME_TYPES";
const CRATE: &str = "crates/antiphon-protocol/";
const DOCS: &str = "docs/protocol.md";

/// Finds frame types that are not described or not pinned.
pub fn check(tree: &Tree) -> Vec<Finding> {
    let types = tree
        .sources()
        .iter()
        .filter(|source| source.path.starts_with(CRATE) && !source.is_test())
        .find_map(|source| Some((source, frame_types(source)?)));
    let Some((source, types)) = types else {
        return vec![Finding::new(
            "crates/antiphon-protocol/src/frame.rs",
            1,
            "there is no const FRAME_TYPES",
            "list every frame type in `pub const FRAME_TYPES: &[&str]`",
        )];
    };
    let rows: Vec<&str> = tree
        .text(DOCS)
        .unwrap_or_default()
        .lines()
        .filter(|line| line.trim_start().starts_with('|'))
        .filter_map(|line| line.split('|').nth(1))
        .collect();
    let mut findings = Vec::new();
    for (line, name) in types {
        if !rows.iter().any(|cell| cell.contains(&format!("`{name}`"))) {
            findings.push(Finding::new(
                &source.path,
                line,
                format!("the frame type {name} has no row in {DOCS}"),
                format!("begin a row of a table there with `{name}`"),
            ));
        }
        let stem = name.to_lowercase().replace('_', "-");
        if !tree.files().any(|(path, _)| is_fixture(path, &stem)) {
            findings.push(Finding::new(
                &source.path,
                line,
                format!("the frame type {name} has no golden fixture"),
                format!("add {CRATE}fixtures/{stem}.json (or {stem}-<case>.json)"),
            ));
        }
    }
    findings
}

/// The names in the const, with their lines.
fn frame_types(source: &Source) -> Option<Vec<(usize, String)>> {
    let start = source.find(CONST).into_iter().find(|at| source.code[*at..].starts_with("FRAME_TYPES:"))?;
    let open = start + source.code[start..].find('=')?;
    let open = open + source.code[open..].find('[')?;
    let end = closing(&source.code, open);
    let names = source.literals.iter().filter(|literal| (open..end).contains(&literal.start));
    Some(names.map(|literal| (source.line(literal.start), literal.text.clone())).collect())
}

fn is_fixture(path: &str, stem: &str) -> bool {
    path.strip_prefix(CRATE)
        .and_then(|path| path.strip_prefix("fixtures/"))
        .and_then(|path| path.rsplit('/').next()?.strip_suffix(".json")?.strip_prefix(stem))
        .is_some_and(|rest| rest.is_empty() || rest.starts_with(['-', '.']))
}

#[cfg(test)]
mod tests {
    use super::*;

    const FRAME: &str = "//! x\npub const FRAME_TYPES: &[&str] = &[\n    \"PING\",\n    \"ALL_WELL\",\n];\n";

    fn found(files: &[(&str, &str)]) -> Vec<String> {
        check(&Tree::planted(files)).into_iter().map(|finding| finding.what).collect()
    }

    #[test]
    fn a_frame_type_without_row_or_fixture_is_found() {
        let frame = ("crates/antiphon-protocol/src/frame.rs", FRAME);
        let docs = (DOCS, "`ALL_WELL` in a sentence\n| type | |\n|---|---|\n| `PING` | none |\n");
        let fixture = ("crates/antiphon-protocol/fixtures/ping-with-ref.json", "{}");
        assert_eq!(
            found(&[frame, docs, fixture]),
            [
                "the frame type ALL_WELL has no row in docs/protocol.md",
                "the frame type ALL_WELL has no golden fixture"
            ]
        );
        let docs = (DOCS, "| `PING` | |\n| `ALL_WELL` | |\n");
        let other = ("crates/antiphon-protocol/fixtures/all-well.json", "{}");
        assert!(found(&[frame, docs, fixture, other]).is_empty());
        // The fixture of a longer name is not its own.
        let longer = ("crates/antiphon-protocol/fixtures/all-wellington.json", "{}");
        assert_eq!(found(&[frame, docs, fixture, longer]).len(), 1);
    }

    #[test]
    fn a_protocol_without_the_list_is_found() {
        assert_eq!(found(&[]), ["there is no const FRAME_TYPES"]);
    }
}
