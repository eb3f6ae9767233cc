//! The modules of a crate import each other without a circle: whoever reads one knows which to read before.
//!
//! An import is any path in the code that leads to another module of the same crate: `crate::a::B`, `super::B`,
//! `self::b::C`, or `b::C` where this file declares `mod b`. A name that the crate's root re-exports leads to the
//! module that defines it. A re-export itself is no import, and tests don't count.

use super::finding::Finding;
use super::packages::Packages;
use super::source::{Source, closing, find_words, is_word};
use super::tree::Tree;
use std::collections::BTreeMap;

/// The modules of one crate; the root has the empty name.
#[derive(Debug, Default)]
struct Crate<'a> {
    modules: BTreeMap<String, Module<'a>>,
    /// Names that the root re-exports, and the modules that they come from.
    reexports: BTreeMap<String, String>,
}

#[derive(Debug)]
struct Module<'a> {
    source: &'a Source,
    code: String,
}

/// Where a module was first seen to import another.
type Arrows = BTreeMap<String, BTreeMap<String, usize>>;

/// Finds each circle once, with the lines that close it.
pub fn check(tree: &Tree, packages: &Packages) -> Vec<Finding> {
    let mut findings = Vec::new();
    for package in packages.own() {
        let folder = package.manifest.trim_end_matches("Cargo.toml");
        let own = Crate::read(tree, &format!("{folder}src/"));
        let arrows = own.arrows();
        for circle in circles(&arrows) {
            findings.push(own.finding(&circle, &arrows));
        }
    }
    findings
}

impl<'a> Crate<'a> {
    fn read(tree: &'a Tree, folder: &str) -> Self {
        let mut own = Self::default();
        for source in tree.sources().iter().filter(|source| !source.is_test()) {
            let Some(name) = source.path.strip_prefix(folder).and_then(module_name) else { continue };
            own.modules.insert(name, Module { source, code: source.code_without_tests() });
        }
        let Some(root) = own.modules.get("") else { return own };
        let uses = uses(&root.code);
        let names = uses.iter().flat_map(|tree| tree.paths.iter()).filter_map(|path| {
            let path: Vec<&str> = path.iter().map(String::as_str).filter(|part| !is_prefix(part)).collect();
            let module = own.longest(&path);
            let (name, renamed) = (path.last()?, path.len() > 1);
            (renamed && !module.is_empty()).then(|| ((*name).to_owned(), module))
        });
        own.reexports = names.collect();
        own
    }

    /// The module to which a path from the root leads: its longest beginning that is one.
    fn longest(&self, path: &[&str]) -> String {
        (0..=path.len())
            .rev()
            .map(|length| path[..length].join("::"))
            .find(|name| self.modules.contains_key(name))
            .unwrap_or_default()
    }

    fn arrows(&self) -> Arrows {
        let mut arrows = Arrows::new();
        for (name, module) in &self.modules {
            let from = arrows.entry(name.clone()).or_default();
            for (at, path) in paths(&module.code) {
                let Some(target) = self.target(name, module, at, &path) else { continue };
                if target != *name {
                    from.entry(target).or_insert_with(|| module.source.line(at));
                }
            }
        }
        arrows
    }

    /// The module to which a path in `module` leads; none for another crate's.
    fn target(&self, name: &str, module: &Module<'_>, at: usize, path: &[String]) -> Option<String> {
        let path: Vec<&str> = path.iter().map(String::as_str).collect();
        let mut base: Vec<&str> = name.split("::").filter(|part| !part.is_empty()).collect();
        // A `super` of a module that is written inline leads to its own file.
        let mut inline = inline_depth(&module.code, at);
        let rest = match path[0] {
            "crate" => {
                base.clear();
                &path[1..]
            }
            "self" => &path[1..],
            "super" => {
                let ups = path.iter().take_while(|part| **part == "super").count();
                for _ in 0..ups {
                    if inline > 0 {
                        inline -= 1;
                    } else {
                        base.pop();
                    }
                }
                &path[ups..]
            }
            first => {
                let child = base.iter().copied().chain([first]).collect::<Vec<_>>().join("::");
                if !self.modules.contains_key(&child) {
                    return None;
                }
                &path[..]
            }
        };
        let full: Vec<&str> = base.into_iter().chain(rest.iter().copied()).collect();
        let target = self.longest(&full);
        let reexported =
            full.first().filter(|_| target.is_empty()).and_then(|name| self.reexports.get(*name));
        Some(reexported.cloned().unwrap_or(target))
    }

    fn finding(&self, circle: &[String], arrows: &Arrows) -> Finding {
        let shown = |name: &str| if name.is_empty() { "the root".to_owned() } else { name.to_owned() };
        let steps: Vec<String> = circle
            .iter()
            .zip(circle.iter().cycle().skip(1))
            .map(|(from, to)| {
                let line = arrows.get(from).and_then(|to_lines| to_lines.get(to)).copied().unwrap_or(1);
                format!("{} imports {} (line {line})", shown(from), shown(to))
            })
            .collect();
        let first = &circle[0];
        let line = arrows.get(first).and_then(|to| to.get(&circle[1])).copied().unwrap_or(1);
        let file = self.modules.get(first).map_or("", |module| module.source.path.as_str());
        Finding::new(
            file,
            line,
            format!("a circle of modules: {}", steps.join(", ")),
            "move what both need into a module of its own below them",
        )
    }
}

fn is_prefix(part: &str) -> bool {
    matches!(part, "crate" | "self" | "super")
}

/// The module that the file `path` below `src/` holds; none for binaries beside the crate.
fn module_name(path: &str) -> Option<String> {
    let path = path.strip_suffix(".rs")?;
    if path.starts_with("bin/") {
        return None;
    }
    let path = path.strip_suffix("/mod").unwrap_or(path);
    Some(if path == "lib" || path == "main" { String::new() } else { path.replace('/', "::") })
}

/// A `use` with its braces opened.
struct Use {
    start: usize,
    end: usize,
    public: bool,
    paths: Vec<Vec<String>>,
}

fn uses(code: &str) -> Vec<Use> {
    find_words(code, "use")
        .into_iter()
        .filter_map(|start| {
            let end = start + code[start..].find(';')?;
            let mut paths = Vec::new();
            open_braces(&code[start + 3..end], &mut Vec::new(), &mut paths);
            let before = code[..start].trim_end();
            let public = before.ends_with("pub") || (before.ends_with(')') && before.contains("pub("));
            Some(Use { start, end, public: public && is_visibility(before), paths })
        })
        .collect()
}

/// Whether `before` ends with `pub` or `pub(…)`.
fn is_visibility(before: &str) -> bool {
    let open = if before.ends_with(')') { before.rfind('(').unwrap_or(0) } else { before.len() };
    before[..open].trim_end().ends_with("pub")
}

/// `a::{b, c::{d}}` -> `a::b`, `a::c::d`.
fn open_braces(text: &str, prefix: &mut Vec<String>, paths: &mut Vec<Vec<String>>) {
    for part in split_at_commas(text) {
        let (path, group) = match part.find('{') {
            Some(open) => (&part[..open], Some(&part[open + 1..part.rfind('}').unwrap_or(part.len())])),
            None => (part, None),
        };
        // `a::b as c` is `a::b`.
        let path = path.split(" as ").next().unwrap_or_default();
        let before = prefix.len();
        prefix.extend(
            path.split("::")
                .map(str::trim)
                .filter(|part| !part.is_empty() && *part != "*")
                .map(str::to_owned),
        );
        match group {
            Some(group) => open_braces(group, prefix, paths),
            None => paths.push(prefix.clone()),
        }
        prefix.truncate(before);
    }
}

fn split_at_commas(text: &str) -> Vec<&str> {
    let (mut parts, mut depth, mut start) = (Vec::new(), 0, 0);
    for (at, byte) in text.bytes().enumerate() {
        match byte {
            b'{' => depth += 1,
            b'}' => depth -= 1,
            b',' if depth == 0 => {
                parts.push(&text[start..at]);
                start = at + 1;
            }
            _ => {}
        }
    }
    parts.push(&text[start..]);
    parts.into_iter().filter(|part| !part.trim().is_empty()).collect()
}

/// All paths of the code with where they stand, those of re-exports left out.
fn paths(code: &str) -> Vec<(usize, Vec<String>)> {
    let uses = uses(code);
    let mut found = Vec::new();
    for single in uses.iter().filter(|single| !single.public) {
        found.extend(single.paths.iter().map(|path| (single.start, path.clone())));
    }
    for (at, _) in code.match_indices("::") {
        let bytes = code.as_bytes();
        let start = bytes[..at].iter().rposition(|byte| !is_word(*byte)).map_or(0, |before| before + 1);
        // Only the beginning of a path, outside of a `use`; `$crate` is for those who call a macro.
        let continued = code[..start].ends_with("::") || code[..start].ends_with('$');
        if start == at || continued || uses.iter().any(|single| (single.start..single.end).contains(&at)) {
            continue;
        }
        let end = at
            + bytes[at..]
                .iter()
                .position(|byte| !is_word(*byte) && *byte != b':')
                .unwrap_or(bytes.len() - at);
        let path = code[start..end].split("::").filter(|part| !part.is_empty()).map(str::to_owned).collect();
        found.push((start, path));
    }
    found
}

/// In how many modules that are written inline the byte at `at` stands.
fn inline_depth(code: &str, at: usize) -> usize {
    find_words(code, "mod ")
        .into_iter()
        .filter_map(|start| {
            let open = start + code[start..].find(['{', ';'])?;
            code[open..].starts_with('{').then(|| (open, closing(code, open)))
        })
        .filter(|(open, end)| (*open..*end).contains(&at))
        .count()
}

/// A shortest circle through each module that is in one, unless another circle has shown it already.
fn circles(arrows: &Arrows) -> Vec<Vec<String>> {
    let mut seen: Vec<&String> = Vec::new();
    let mut found = Vec::new();
    for start in arrows.keys() {
        if seen.contains(&start) {
            continue;
        }
        if let Some(circle) = way_back(arrows, start) {
            seen.extend(arrows.keys().filter(|name| circle.contains(name)));
            found.push(circle);
        }
    }
    found
}

/// The shortest way from `start` back to it.
fn way_back(arrows: &Arrows, start: &str) -> Option<Vec<String>> {
    let mut ways: Vec<Vec<String>> = vec![vec![start.to_owned()]];
    let mut visited: Vec<String> = Vec::new();
    let mut next = 0;
    while let Some(way) = ways.get(next).cloned() {
        next += 1;
        for target in arrows.get(way.last()?).into_iter().flat_map(BTreeMap::keys) {
            if target == start {
                return Some(way);
            }
            if !visited.contains(target) {
                visited.push(target.clone());
                ways.push(way.iter().cloned().chain([target.clone()]).collect());
            }
        }
    }
    None
}

#[cfg(test)]
mod tests {
    use super::super::packages::planted;
    use super::*;

    fn found(files: &[(&str, &str)]) -> Vec<String> {
        let files: Vec<(String, &str)> =
            files.iter().map(|(path, text)| (format!("crates/a/src/{path}"), *text)).collect();
        let files: Vec<(&str, &str)> = files.iter().map(|(path, text)| (path.as_str(), *text)).collect();
        let findings = check(&Tree::planted(&files), &planted(&[("a", &[], &[])]));
        findings.into_iter().map(|finding| finding.what).collect()
    }

    #[test]
    fn two_modules_that_import_each_other_are_found_with_their_lines() {
        let files = [
            ("lib.rs", "mod feed;\nmod ring;\n"),
            ("feed.rs", "//! Feed.\nuse crate::{ring::Ring};\n"),
            ("ring.rs", "fn a() { super::feed::b() }\n"),
        ];
        assert_eq!(
            found(&files),
            ["a circle of modules: feed imports ring (line 2), ring imports feed (line 1)"]
        );
    }

    #[test]
    fn a_circle_through_the_roots_re_exports_is_found() {
        let files = [
            ("lib.rs", "mod feed;\nmod ring;\npub use feed::{Feed, Verdict};\npub use ring::Ring;\n"),
            ("feed.rs", "use crate::Ring;\n"),
            ("ring.rs", "use crate::Verdict;\n"),
        ];
        assert_eq!(found(&files).len(), 1);
        let files = [files[0], files[1], ("ring.rs", "struct Ring;\n")];
        assert!(found(&files).is_empty());
    }

    #[test]
    fn a_parent_that_uses_its_child_and_is_used_by_it_is_found() {
        let files = [
            ("lib.rs", "pub mod feed;\n"),
            ("feed/mod.rs", "mod gap;\npub struct Feed;\nfn a() { gap::b() }\n"),
            ("feed/gap.rs", "use super::Feed;\npub fn b() {}\n"),
        ];
        assert_eq!(
            found(&files),
            ["a circle of modules: feed imports feed::gap (line 3), feed::gap imports feed (line 1)"]
        );
        // A re-export is no import.
        let files = [files[0], ("feed/mod.rs", "mod gap;\npub use gap::b;\npub struct Feed;\n"), files[2]];
        assert!(found(&files).is_empty());
    }

    #[test]
    fn tests_comments_and_inline_modules_make_no_circle() {
        let files = [
            ("lib.rs", "mod feed;\nmod ring;\n"),
            ("feed.rs", "use crate::ring::Ring;\nmod inner {\n use super::Feed;\n}\n"),
            (
                "ring.rs",
                "// crate::feed::Feed\n#[cfg(test)]\nmod tests {\n use crate::feed::Feed;\n}\nlet a = \"crate::feed::b\";\n",
            ),
        ];
        assert!(found(&files).is_empty());
    }

    #[test]
    fn a_circle_of_three_is_found_once() {
        let files = [
            ("lib.rs", ""),
            ("a.rs", "use crate::b::B;"),
            ("b.rs", "use crate::c::C;"),
            ("c.rs", "use super::{a::A, d};"),
            ("d.rs", ""),
        ];
        assert_eq!(found(&files).len(), 1);
    }
}
