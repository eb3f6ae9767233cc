//! A statement is a constant and its values are bound: no SQL is built from text.

use super::finding::Finding;
use super::source::Literal;
use super::tree::Tree;

/// Macros that build text.
const MACROS: &[&str] = &["format!", "format_args!", "write!", "writeln!", "concat!"];

/// How a statement begins; in small letters a word of English only counts with what follows it in SQL.
const STARTS: &[(&str, &[&str])] = &[
    ("SELECT", &[]),
    ("INSERT", &["INTO"]),
    ("UPDATE", &[]),
    ("DELETE", &["FROM"]),
    ("CREATE", OBJECTS),
    ("DROP", OBJECTS),
    ("ALTER", OBJECTS),
    ("TRUNCATE", &[]),
    ("WITH", &[]),
    ("LISTEN", &[]),
    ("NOTIFY", &[]),
    ("GRANT", &[]),
    ("PRAGMA", &[]),
];

const OBJECTS: &[&str] = &[
    "TABLE", "INDEX", "UNIQUE", "SCHEMA", "DATABASE", "ROLE", "FUNCTION", "TRIGGER", "TYPE", "VIEW", "OR",
    "USER",
];

/// Finds SQL in macros that build text, and SQL with something added to it.
pub fn check(tree: &Tree) -> Vec<Finding> {
    let mut findings = Vec::new();
    for source in tree.sources() {
        for literal in source.literals.iter().filter(|literal| is_sql(&literal.text)) {
            if source.in_test(literal.start) {
                continue;
            }
            let built = in_macro(&source.code, literal) && literal.text.contains('{');
            if built || is_added_to(&source.code, literal) {
                findings.push(Finding::new(
                    &source.path,
                    source.line(literal.start),
                    "SQL that is built from text",
                    "make the statement a constant and bind the values",
                ));
            }
        }
    }
    findings
}

fn is_sql(text: &str) -> bool {
    let text =
        text.trim_start_matches(|letter: char| letter.is_whitespace() || letter == '\\' || letter == 'n');
    let mut words = text.split_whitespace();
    let (first, second) = (words.next().unwrap_or_default(), words.next());
    let Some((word, followers)) = STARTS.iter().find(|(word, _)| word.eq_ignore_ascii_case(first)) else {
        return false;
    };
    let Some(second) = second else { return text.ends_with(' ') && first == *word };
    if first == *word {
        return true;
    }
    let upper = text.to_ascii_uppercase();
    match *word {
        "SELECT" => upper.contains(" FROM ") || second.contains(['(', '*', '$', '{']),
        "UPDATE" => upper.contains(" SET "),
        "WITH" => upper.contains(" AS ("),
        "PRAGMA" | "TRUNCATE" => true,
        "GRANT" => upper.contains(" TO "),
        "LISTEN" | "NOTIFY" => false,
        _ => followers.iter().any(|follower| follower.eq_ignore_ascii_case(second)),
    }
}

/// Whether the literal is the text of a macro that builds text.
fn in_macro(code: &str, literal: &Literal) -> bool {
    let before = code[..literal.start].trim_end();
    let Some(open) = before.rfind(['(', '[', '{', ';']) else { return false };
    // `write!(target, "…")` has an argument before the text.
    MACROS.iter().any(|name| before[..open].trim_end().ends_with(name))
}

/// Whether something is added to the literal with `+`.
fn is_added_to(code: &str, literal: &Literal) -> bool {
    let mut after = code[literal.end..].trim_start();
    for call in [".to_owned()", ".to_string()", ".into()"] {
        after = after.strip_prefix(call).unwrap_or(after).trim_start();
    }
    after.starts_with('+')
}

#[cfg(test)]
mod tests {
    use super::*;

    fn lines(text: &str) -> Vec<usize> {
        check(&Tree::planted(&[("a.rs", text)])).into_iter().map(|finding| finding.line).collect()
    }

    #[test]
    fn sql_that_is_built_is_found() {
        let text = r#"
let a = format!("SELECT * FROM {table}");
let b = format!(
    "insert into {table} values (1)");
write!(sql, "update {table} set a = 1");
let d = "DELETE FROM topic WHERE id = ".to_owned() + id;
"#;
        assert_eq!(lines(text), [2, 4, 5, 6]);
    }

    #[test]
    fn constants_english_and_tests_are_no_built_sql() {
        let text = r#"
let a = query("SELECT id FROM topic WHERE id = $1");
let b = format!("create the folder {folder}");
let c = format!("update {name} first");
let d = format!("select {name} from the list");
#[cfg(test)]
mod tests { fn a() { format!("SELECT {x}"); } }
"#;
        // Of English that reads like SQL one line is accepted as the price.
        assert_eq!(lines(text), [5]);
    }
}
