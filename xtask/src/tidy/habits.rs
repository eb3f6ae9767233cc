//! Two habits that make a program unreliable: tests that sleep to wait for something, and tasks that nobody drains.

use super::finding::Finding;
use super::source::Source;
use super::tree::Tree;

/// What says that a sleep is the pause of a poll.
const POLL: &str = "// poll:";

/// Folders in which a task may be spawned bare: it is their own business when it ends.
const MAY_SPAWN: &[&str] = &[
    "crates/antiphon-core/src/tasks",
    "crates/antiphon-testkit/",
    "crates/antiphon-client/",
    "examples/",
    "xtask/",
];

/// Finds sleeps in tests that are not the pause between two looks.
pub fn sleeping_tests(tree: &Tree) -> Vec<Finding> {
    let mut findings = Vec::new();
    for source in tree.sources() {
        for at in source.find("sleep(").into_iter().filter(|at| source.in_test(*at)) {
            // A function of that name, or a method of something else.
            let before = source.code[..at].trim_end();
            let line = source.line(at);
            if before.ends_with("fn") || before.ends_with('.') || is_poll(source, line) {
                continue;
            }
            findings.push(Finding::new(
                &source.path,
                line,
                "a test that sleeps",
                "await the thing itself, or poll with wait_until of antiphon-testkit; the pause of a poll says `// poll: why`",
            ));
        }
    }
    findings
}

/// Whether the line, or one of the two above it, says that this is a poll.
fn is_poll(source: &Source, line: usize) -> bool {
    (line.saturating_sub(2)..=line).any(|line| source.line_text(line).contains(POLL))
}

/// Finds tasks that are spawned past Tasks, which drains them.
pub fn bare_spawns(tree: &Tree) -> Vec<Finding> {
    let mut findings = Vec::new();
    for source in tree.sources() {
        let example = source.path.contains("/examples/");
        if example || MAY_SPAWN.iter().any(|folder| source.path.starts_with(folder)) {
            continue;
        }
        for needle in ["tokio::spawn(", "tokio::task::spawn(", "tokio::task::spawn_blocking("] {
            for at in source.find(needle).into_iter().filter(|at| !source.in_test(*at)) {
                findings.push(Finding::new(
                    &source.path,
                    source.line(at),
                    "a bare spawn",
                    "spawn it through Tasks of antiphon-core, so that a drain waits for it",
                ));
            }
        }
    }
    findings
}

#[cfg(test)]
mod tests {
    use super::*;

    fn lines(findings: Vec<Finding>) -> Vec<(String, usize)> {
        findings.into_iter().map(|finding| (finding.file, finding.line)).collect()
    }

    #[test]
    fn a_sleep_in_a_test_is_found_unless_it_is_a_poll() {
        let text = "fn a() {\n tokio::time::sleep(x).await;\n std::thread::sleep(x); // poll: a pause.\n}\n\n\nfn b() {\n thread::sleep(x);\n}\n";
        let tree = Tree::planted(&[("crates/a/tests/x.rs", text), ("crates/a/src/y.rs", text)]);
        assert_eq!(
            lines(sleeping_tests(&tree)),
            [("crates/a/tests/x.rs".to_owned(), 2), ("crates/a/tests/x.rs".to_owned(), 8)]
        );
    }

    #[test]
    fn a_bare_spawn_is_found_outside_of_tests_and_of_tasks() {
        let text =
            "fn a() {\n tokio::spawn(x);\n}\n#[cfg(test)]\nmod tests { fn b() { tokio::spawn(x); } }\n";
        let tree = Tree::planted(&[
            ("crates/antiphon-core/src/tasks.rs", text),
            ("crates/antiphon-node/src/publish.rs", text),
            ("crates/antiphon-node/tests/publish.rs", text),
            ("examples/monolith/src/main.rs", text),
        ]);
        assert_eq!(lines(bare_spawns(&tree)), [("crates/antiphon-node/src/publish.rs".to_owned(), 2)]);
    }
}
