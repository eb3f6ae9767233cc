//! One value of one option: from the texts of flags and variables, in the form of its kind, and tried by itself, so
//! that it can be blamed on its source.

use serde::Deserialize;
use toml::{Table, Value};

use super::{Config, ConfigError, Kind, OptionInfo, Origin, topics};

/// One text where several may stand is a list of one.
pub(super) fn in_form(option: &OptionInfo, value: Value) -> Value {
    match (option.kind, value) {
        (Kind::List, Value::String(text)) => Value::Array(vec![Value::String(text)]),
        (_, value) => value,
    }
}

/// A value from a flag or a variable, where everything is text.
pub(super) fn from_texts(
    option: &OptionInfo,
    texts: &[String],
    origin: &Origin,
) -> Result<Value, ConfigError> {
    let fail = || fault(option, origin, expected(option));
    let last = texts.last().map(|text| text.trim()).unwrap_or_default();
    match option.kind {
        Kind::Text | Kind::Sections => Ok(Value::String(last.to_owned())),
        Kind::Number => last.parse().map(Value::Integer).map_err(|_| fail()),
        Kind::Switch => match last.to_ascii_lowercase().as_str() {
            "true" | "1" | "yes" | "on" => Ok(Value::Boolean(true)),
            "false" | "0" | "no" | "off" => Ok(Value::Boolean(false)),
            _ => Err(fail()),
        },
        Kind::List => {
            let items = texts.iter().flat_map(|text| text.split(',')).map(str::trim);
            let items = items.filter(|item| !item.is_empty());
            Ok(Value::Array(items.map(|item| Value::String(item.to_owned())).collect()))
        }
    }
}

/// Every option has a default, so each value can be tried by itself, and blamed.
/// Its form first: an error about a wrong type would repeat the value, which may be a secret.
pub(super) fn check_alone(option: &OptionInfo, value: &Value, origin: &Origin) -> Result<(), ConfigError> {
    if !is_of_kind(option, value) {
        return Err(fault(option, origin, expected(option)));
    }
    if let (Kind::Sections, Value::Array(rules)) = (option.kind, value) {
        for (index, rule) in rules.iter().enumerate() {
            if let Some(why) = rule.as_table().and_then(topics::unreadable) {
                return Err(fault(option, origin, format!("rule {}: {why}", index + 1)));
            }
        }
    }
    let table = nested(std::iter::once((option.key.as_str(), value.clone())));
    Config::deserialize(table).map(drop).map_err(|error| fault(option, origin, plain(error.message())))
}

fn fault(option: &OptionInfo, origin: &Origin, why: impl Into<String>) -> ConfigError {
    ConfigError::Value { origin: origin.clone(), key: option.key.clone(), why: why.into() }
}

fn is_of_kind(option: &OptionInfo, value: &Value) -> bool {
    match (option.kind, value) {
        (Kind::Text, Value::String(_)) | (Kind::Switch, Value::Boolean(_)) => true,
        (Kind::Number, Value::Integer(number)) => {
            u64::try_from(*number).is_ok_and(|number| (option.least..=option.most).contains(&number))
        }
        (Kind::List, Value::Array(items)) => items.iter().all(Value::is_str),
        (Kind::Sections, Value::Array(items)) => items.iter().all(Value::is_table),
        _ => false,
    }
}

fn expected(option: &OptionInfo) -> String {
    match option.kind {
        Kind::Text if option.value_name == "DURATION" => {
            "expected a duration in quotes, such as `\"10s\"`".to_owned()
        }
        Kind::Text => "expected a text in quotes".to_owned(),
        Kind::Number => format!("expected a whole number from {} to {}", option.least, option.most),
        Kind::Switch => "expected `true` or `false`".to_owned(),
        Kind::List => "expected texts in quotes, such as `[\"a\", \"b\"]`".to_owned(),
        Kind::Sections => format!("expected sections: `[[{}]]`", option.key),
    }
}

/// Of a word that is none of those that may stand there, those.
fn plain(message: &str) -> &str {
    match (message.starts_with("unknown variant"), message.split_once(", expected ")) {
        (true, Some((before, _))) => &message[before.len() + ", ".len()..],
        _ => message,
    }
}

/// A table with these values at their keys, of which one dot parts section and name.
pub(super) fn nested<'a>(values: impl Iterator<Item = (&'a str, Value)>) -> Table {
    let mut table = Table::new();
    for (key, value) in values {
        match key.split_once('.') {
            None => {
                table.insert(key.to_owned(), value);
            }
            Some((section, name)) => {
                let section = table.entry(section).or_insert_with(|| Value::Table(Table::new()));
                if let Value::Table(section) = section {
                    section.insert(name.to_owned(), value);
                }
            }
        }
    }
    table
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::config::options;

    fn refused(key: &str, value: impl Into<Value>) -> String {
        let option = options().iter().find(|option| option.key == key).unwrap();
        let error = check_alone(option, &value.into(), &Origin::File("a.toml".into())).unwrap_err();
        error.to_string().replace(&format!("a.toml: `{key}`: "), "")
    }

    #[test]
    fn a_value_that_can_not_be_is_refused_with_what_could() {
        assert_eq!(refused("rate_limit", "5"), "expected a whole number from 0 to 4294967295");
        assert_eq!(refused("rate_limit", 99_999_999_999_i64), "expected a whole number from 0 to 4294967295");
        assert_eq!(refused("max_connections", 1.5), "expected a whole number from 1 to 9223372036854775807");
        assert_eq!(refused("limits.ring_bytes", -5), "expected a whole number from 1 to 9223372036854775807");
        assert_eq!(refused("port", 70_000), "expected a whole number from 0 to 65535");
        assert_eq!(refused("drain", 5), "expected a duration in quotes, such as `\"10s\"`");
        assert_eq!(refused("listen", 8080), "expected a text in quotes");
        assert_eq!(refused("log", "xml"), "expected `json` or `pretty`");
        assert_eq!(refused("redis_plain_topics", "yes"), "expected `true` or `false`");
        assert_eq!(refused("allowed_origin", vec![1]), "expected texts in quotes, such as `[\"a\", \"b\"]`");
        assert_eq!(
            refused("trusted_proxy", vec!["10.0.0.0/33"]),
            "`10.0.0.0/33` is no network; expected an address, or a network such as `10.0.0.0/8`"
        );
        assert_eq!(
            refused("allowed_origin", vec!["https://a.example", "https://b.example/path"]),
            "`https://b.example/path` is no origin; expected scheme, host and port alone, such as `https://app.example.com`"
        );
        assert_eq!(refused("topics", 5), "expected sections: `[[topics]]`");
    }

    #[test]
    fn a_topic_rule_that_can_not_be_read_is_refused_with_its_place_and_what_could_stand_there() {
        let rules = |text: &str| refused("topics", text.parse::<Table>().unwrap()["topics"].clone());
        let good = "[[topics]]\nmatch = 'a'\nsubscribe = 'users'\npublish = 'users'\n";
        assert_eq!(
            rules(&format!("{good}[[topics]]\nmatch = 'b'\nsubscribe = 'users'")),
            "rule 2: `publish` is missing"
        );
        assert_eq!(
            rules(&format!("{good}subscibe = 'key'")),
            "rule 1: unknown key `subscibe`, did you mean `subscribe`?"
        );
        assert_eq!(
            rules(&good.replacen("'users'", "5", 1)),
            "rule 1: `subscribe`: expected a text in quotes"
        );
        assert_eq!(
            rules(&good.replacen("'users'", "'everyone'", 1)),
            "rule 1: `subscribe`: there is no `everyone`; expected `users`, `members`, `self`, `key` or `none`"
        );
    }
}
