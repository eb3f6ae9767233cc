//! The project's own text files, read once.

use super::source::Source;
use anyhow::{Context, Result};
use std::collections::BTreeMap;
use std::path::Path;

const TEXT: &[&str] = &[
    "rs",
    "toml",
    "md",
    "lock",
    "sh",
    "js",
    "mjs",
    "ts",
    "html",
    "css",
    "json",
    "yml",
    "yaml",
    "sql",
    "java",
    "kt",
    "xml",
    "service",
    "cfg",
    "properties",
    "txt",
    "svg",
];
const FOREIGN: &[&str] = &["target", "node_modules", ".git"];

/// All files of the project that are text, by their path from the root.
#[derive(Debug, Default)]
pub struct Tree {
    files: BTreeMap<String, String>,
    sources: Vec<Source>,
}

impl Tree {
    /// Reads the files below `root` that are the project's own.
    pub fn read(root: &Path) -> Result<Self> {
        let mut files = BTreeMap::new();
        read_folder(root, "", &mut files)?;
        Ok(Self::of(files))
    }

    /// A tree of given files.
    pub fn of(files: BTreeMap<String, String>) -> Self {
        let mut sources: Vec<Source> = files
            .iter()
            .filter(|(path, _)| path.ends_with(".rs"))
            .map(|(path, text)| Source::new(path, text))
            .collect();
        // A module that is declared under `#[cfg(test)]` is a test as a whole.
        let tests: Vec<String> = sources.iter().flat_map(Source::files_of_test_modules).collect();
        for source in &mut sources {
            if tests.contains(&source.path) {
                source.mark_as_test();
            }
        }
        Self { files, sources }
    }

    /// A tree for a rule's own tests.
    #[cfg(test)]
    pub fn planted(files: &[(&str, &str)]) -> Self {
        Self::of(files.iter().map(|(path, text)| ((*path).to_owned(), (*text).to_owned())).collect())
    }

    /// The files in the order of their paths.
    pub fn files(&self) -> impl Iterator<Item = (&str, &str)> {
        self.files.iter().map(|(path, text)| (path.as_str(), text.as_str()))
    }

    /// The text of one file.
    pub fn text(&self, path: &str) -> Option<&str> {
        self.files.get(path).map(String::as_str)
    }

    /// The Rust sources.
    pub fn sources(&self) -> &[Source] {
        &self.sources
    }
}

fn read_folder(folder: &Path, prefix: &str, files: &mut BTreeMap<String, String>) -> Result<()> {
    for entry in
        std::fs::read_dir(folder).with_context(|| format!("reading the folder {}", folder.display()))?
    {
        let entry = entry?;
        let name = entry.file_name().to_string_lossy().into_owned();
        let path = format!("{prefix}{name}");
        let kind = entry.file_type()?;
        if kind.is_dir() && !FOREIGN.contains(&name.as_str()) {
            read_folder(&entry.path(), &format!("{path}/"), files)?;
        } else if kind.is_file() && is_text(&path, &name) {
            // A file that vanishes meanwhile, or isn't UTF-8, is no text of ours.
            if let Ok(text) = std::fs::read_to_string(entry.path()) {
                files.insert(path, text);
            }
        }
    }
    Ok(())
}

fn is_text(path: &str, name: &str) -> bool {
    match name.rsplit_once('.') {
        Some((stem, extension)) if !stem.is_empty() => TEXT.contains(&extension),
        _ => path.starts_with(".ci/") || name.chars().all(|letter| letter.is_ascii_uppercase()),
    }
}
