//! How the log looks, and what goes into it.

use std::{fmt, str::FromStr};

use schemars::{JsonSchema, Schema, SchemaGenerator, json_schema};
use serde::{Deserialize, Serialize, Serializer};

use super::address::text_like;

/// How lines of the log look.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "lowercase")]
pub enum LogFormat {
    /// One JSON object a line.
    Json,
    /// For people.
    Pretty,
}

/// What is logged: a level for all, levels for parts, or both.
#[derive(Clone, Deserialize)]
#[serde(try_from = "String")]
pub struct LogLevel(String);

const LEVELS: [&str; 6] = ["error", "warn", "info", "debug", "trace", "off"];
const EXPECTED: &str = "expected `error`, `warn`, `info`, `debug`, `trace` or `off`, or one of these for parts, such as `info,antiphon_redis=debug`";

impl LogLevel {
    /// As it was written.
    pub fn as_str(&self) -> &str {
        &self.0
    }
}

impl FromStr for LogLevel {
    type Err = &'static str;

    /// A word that is no level would be the name of a part in the filter's own language, and silence everything else.
    fn from_str(text: &str) -> Result<Self, Self::Err> {
        let is_level = |word: &str| LEVELS.iter().any(|level| level.eq_ignore_ascii_case(word));
        let is_part = |name: &str| {
            !name.is_empty() && name.chars().all(|c| c.is_ascii_alphanumeric() || matches!(c, '_' | ':'))
        };
        let is_good = |directive: &str| match directive.split_once('=') {
            None => is_level(directive),
            Some((part, level)) => is_part(part) && is_level(level),
        };
        if text.split(',').all(|directive| is_good(directive.trim())) {
            Ok(Self(text.to_owned()))
        } else {
            Err(EXPECTED)
        }
    }
}

impl fmt::Display for LogLevel {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

text_like!(LogLevel, "LEVEL");

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_word_that_is_no_level_is_refused_with_those_that_are() {
        for text in ["info", "WARN", "off", "info,antiphon_redis=debug", "hyper::proto=trace, error"] {
            assert!(text.parse::<LogLevel>().is_ok(), "{text}");
        }
        for text in [
            "",
            "bogus",
            "info,",
            "antiphon_redis",
            "antiphon_redis=loud",
            "=debug",
            "[span]=info",
            "info;warn",
        ] {
            assert!(text.parse::<LogLevel>().is_err_and(|why| why.contains("`trace` or `off`")), "{text}");
        }
    }
}
