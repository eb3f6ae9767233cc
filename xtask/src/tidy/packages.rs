//! What `cargo metadata` knows of all packages.

use anyhow::{Context, Result, bail};
use serde_json::Value;
use std::path::Path;
use std::process::Command;

/// One package, ours or foreign.
#[derive(Debug, Clone, Default)]
pub struct Package {
    pub name: String,
    pub version: String,
    /// The SPDX expression.
    pub licence: Option<String>,
    /// Where it comes from; none for a folder.
    pub origin: Option<String>,
    /// Its manifest, from the project's root; absolute where it lies elsewhere.
    pub manifest: String,
    /// The manifest's text, for our own.
    pub manifest_text: String,
    pub dependencies: Vec<Dependency>,
    /// Whether it is a member of this workspace.
    pub own: bool,
}

/// One package's wish for another.
#[derive(Debug, Clone)]
pub struct Dependency {
    pub name: String,
    /// For tests alone.
    pub dev: bool,
}

impl Package {
    /// The line of its manifest that names `dependency`.
    pub fn line_of(&self, dependency: &str) -> usize {
        let named = |line: &str| {
            let name = line.trim().trim_start_matches('"');
            name.strip_prefix(dependency).is_some_and(|rest| rest.starts_with([' ', '=', '.', '"']))
        };
        self.manifest_text.lines().position(named).map_or(1, |index| index + 1)
    }
}

/// All packages of the lock file.
#[derive(Debug, Default)]
pub struct Packages {
    pub all: Vec<Package>,
}

impl Packages {
    /// Asks cargo.
    pub fn of(root: &Path) -> Result<Self> {
        let output = Command::new(std::env::var_os("CARGO").unwrap_or_else(|| "cargo".into()))
            .args(["metadata", "--format-version", "1", "--quiet"])
            .current_dir(root)
            .output()
            .context("running cargo metadata")?;
        if !output.status.success() {
            bail!("cargo metadata: {}", String::from_utf8_lossy(&output.stderr));
        }
        let metadata: Value = serde_json::from_slice(&output.stdout)?;
        let members: Vec<&str> = strings(&metadata["workspace_members"]);
        let all = metadata["packages"].as_array().context("cargo metadata without packages")?;
        Ok(Self { all: all.iter().map(|value| package(value, &members, root)).collect() })
    }

    /// The members of this workspace.
    pub fn own(&self) -> impl Iterator<Item = &Package> {
        self.all.iter().filter(|package| package.own)
    }
}

fn package(value: &Value, members: &[&str], root: &Path) -> Package {
    let text = |name: &str| value[name].as_str().map(str::to_owned);
    let path = text("manifest_path").unwrap_or_default();
    let own = members.contains(&value["id"].as_str().unwrap_or_default());
    let manifest =
        Path::new(&path).strip_prefix(root).map_or(path.clone(), |path| path.display().to_string());
    Package {
        name: text("name").unwrap_or_default(),
        version: text("version").unwrap_or_default(),
        licence: text("license"),
        origin: text("source"),
        manifest,
        manifest_text: if own { std::fs::read_to_string(&path).unwrap_or_default() } else { String::new() },
        dependencies: value["dependencies"].as_array().into_iter().flatten().map(dependency).collect(),
        own,
    }
}

fn dependency(value: &Value) -> Dependency {
    Dependency {
        name: value["name"].as_str().unwrap_or_default().to_owned(),
        dev: value["kind"].as_str() == Some("dev"),
    }
}

fn strings(value: &Value) -> Vec<&str> {
    value.as_array().into_iter().flatten().filter_map(Value::as_str).collect()
}

/// Packages of our own for a rule's tests: the name, then its dependencies and its dev-dependencies.
#[cfg(test)]
pub fn planted(packages: &[(&str, &[&str], &[&str])]) -> Packages {
    let wishes = |names: &[&str], dev| {
        names.iter().map(|name| Dependency { name: (*name).to_owned(), dev }).collect::<Vec<_>>()
    };
    let all = packages.iter().map(|(name, normal, dev)| Package {
        name: (*name).to_owned(),
        manifest: format!("crates/{name}/Cargo.toml"),
        manifest_text: normal
            .iter()
            .fold("[dependencies]\n".into(), |text, name| text + name + ".workspace = true\n"),
        dependencies: [wishes(normal, false), wishes(dev, true)].concat(),
        own: true,
        ..Package::default()
    });
    Packages { all: all.collect() }
}
