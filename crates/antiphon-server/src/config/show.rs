//! `config show`: every value with its source, without secrets.

use std::fmt::Write;

use toml::Value;

use super::{Kind, Settings, options};

/// The configuration as a file that says of each value where it comes from.
pub fn show(settings: &Settings) -> String {
    let values = toml::Table::try_from(&settings.config).unwrap_or_default();
    let (mut out, mut section) = (String::new(), "");
    let (top, deep): (Vec<_>, Vec<_>) = options()
        .iter()
        .filter(|option| option.kind != Kind::Sections)
        .partition(|option| !option.key.contains('.'));
    for option in top.into_iter().chain(deep) {
        let (within, name) = option.key.split_once('.').unwrap_or(("", &option.key));
        if within != section {
            section = within;
            let _ = writeln!(out, "\n[{section}]");
        }
        let value =
            if within.is_empty() { values.get(name) } else { values.get(within).and_then(|s| s.get(name)) };
        let origin = settings.origin(&option.key);
        let _ = match value {
            Some(value) => writeln!(out, "{name} = {value}  # {origin}"),
            None => writeln!(out, "# {name}: not set"),
        };
    }
    if let Some(Value::Array(rules)) = values.get("topics") {
        for rule in rules {
            let _ = writeln!(out, "\n[[topics]]  # {}", settings.origin("topics"));
            for (name, value) in rule.as_table().into_iter().flatten() {
                let _ = writeln!(out, "{name} = {value}");
            }
        }
    }
    out
}
