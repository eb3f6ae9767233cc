//! Each option as data: its names, its kind and its words, read from the JSON Schema of [`Config`].

use std::sync::LazyLock;

use schemars::{Schema, generate::SchemaSettings};
use serde_json::Value;

use super::Config;

/// How the environment's names begin.
pub const ENV_PREFIX: &str = "ANTIPHON_";

/// What an option's value is.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Kind {
    /// Any text.
    Text,
    /// A whole number.
    Number,
    /// True or false.
    Switch,
    /// Several texts.
    List,
    /// Sections of the file, which have no other form.
    Sections,
}

/// An option.
#[derive(Debug, Clone)]
pub struct OptionInfo {
    /// The key in the file; with a dot where it is of a section.
    pub key: String,
    /// Its environment variable; none for sections.
    pub env: Option<String>,
    /// Its flag, without the dashes; none for what is in a section, and for secrets.
    pub flag: Option<String>,
    /// Its kind.
    pub kind: Kind,
    /// What it does.
    pub doc: String,
    /// The value it has by itself.
    pub default: Option<String>,
    /// What stands for its value in help.
    pub value_name: String,
    /// The least that it may be, if it is a number.
    pub least: u64,
    /// The most that it may be, if it is a number.
    pub most: u64,
    /// The subcommands that it is for; empty: `serve`.
    pub of: Vec<String>,
}

impl OptionInfo {
    /// Is it for this subcommand?
    pub fn is_of(&self, subcommand: &str) -> bool {
        self.of.iter().any(|of| of == subcommand)
    }
}

/// The JSON Schema of the configuration file.
pub fn schema() -> Schema {
    let mut settings = SchemaSettings::draft2020_12();
    settings.inline_subschemas = true;
    let mut schema = settings.into_generator().into_root_schema_for::<Config>();
    schema.insert("title".into(), "The configuration of antiphon".into());
    schema
}

/// Every option, in the order of their keys.
pub fn options() -> &'static [OptionInfo] {
    static OPTIONS: LazyLock<Vec<OptionInfo>> = LazyLock::new(|| {
        let mut options = Vec::new();
        collect("", &schema().to_value(), &mut options);
        options
    });
    &OPTIONS
}

fn collect(prefix: &str, object: &Value, into: &mut Vec<OptionInfo>) {
    let Some(properties) = object["properties"].as_object() else { return };
    for (name, property) in properties {
        let key = format!("{prefix}{name}");
        if property["properties"].is_object() {
            collect(&format!("{key}."), property, into);
            continue;
        }
        let kind = match type_of(property) {
            "integer" => Kind::Number,
            "boolean" => Kind::Switch,
            "array" if type_of(&property["items"]) == "object" => Kind::Sections,
            "array" => Kind::List,
            _ => Kind::Text,
        };
        let is_value = kind != Kind::Sections;
        let has_no_flag = *extension(property, "x-no-flag") == Value::Bool(true);
        into.push(OptionInfo {
            env: is_value.then(|| format!("{ENV_PREFIX}{}", key.replace('.', "_").to_ascii_uppercase())),
            flag: (is_value && prefix.is_empty() && !has_no_flag).then(|| key.replace('_', "-")),
            key,
            kind,
            doc: property["description"].as_str().unwrap_or_default().replace('\n', " "),
            default: shown(&property["default"]),
            value_name: extension(property, "x-value").as_str().unwrap_or("VALUE").to_owned(),
            least: property["minimum"].as_u64().unwrap_or(0),
            most: match property["format"].as_str() {
                Some("uint16") => u16::MAX.into(),
                Some("uint32") => u32::MAX.into(),
                // More can't stand in the file.
                _ => i64::MAX.cast_unsigned(),
            },
            of: texts(extension(property, "x-of")),
        });
    }
}

/// An option that may be missing has its own schema among alternatives.
fn extension<'a>(property: &'a Value, name: &str) -> &'a Value {
    let among = property["anyOf"].as_array().and_then(|all| all.iter().find(|one| one.get(name).is_some()));
    property.get(name).or_else(|| among.map(|one| &one[name])).unwrap_or(&Value::Null)
}

fn texts(list: &Value) -> Vec<String> {
    list.as_array().into_iter().flatten().filter_map(Value::as_str).map(str::to_owned).collect()
}

fn type_of(property: &Value) -> &str {
    match &property["type"] {
        Value::String(one) => one,
        Value::Array(several) => {
            several.iter().filter_map(Value::as_str).find(|t| *t != "null").unwrap_or("")
        }
        _ => "",
    }
}

fn shown(default: &Value) -> Option<String> {
    match default {
        Value::Null => None,
        Value::String(text) => Some(text.clone()),
        Value::Array(items) if items.is_empty() => None,
        other => Some(other.to_string()),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn named(key: &str) -> &'static OptionInfo {
        options().iter().find(|option| option.key == key).expect("it is an option")
    }

    #[test]
    fn every_option_says_what_it_is() {
        for option in options() {
            assert!(option.doc.ends_with('.'), "{option:?}");
            assert!(option.kind != Kind::Text || option.value_name != "VALUE", "{option:?}");
        }
        assert_eq!(named("listen").default.as_deref(), Some("127.0.0.1:8080"));
        assert_eq!(named("drain_delay").flag.as_deref(), Some("drain-delay"));
        assert_eq!(named("jwt.tenant_claim").env.as_deref(), Some("ANTIPHON_JWT_TENANT_CLAIM"));
        assert_eq!(named("jwt.secret").flag, None);
        assert_eq!(
            (named("rate_limit").kind, named("redis_plain_topics").kind),
            (Kind::Number, Kind::Switch)
        );
        assert_eq!((named("allowed_origin").kind, named("topics").kind), (Kind::List, Kind::Sections));
    }
}
