//! Durations as people write them: `250ms`, `10s`, `5m`, `1h30m`, `30d`.

use std::{fmt, str::FromStr, time::Duration};

use schemars::{JsonSchema, Schema, SchemaGenerator, json_schema};
use serde::{Deserialize, Deserializer, Serialize, Serializer};

use super::address::text_like;

/// A duration.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Default)]
pub struct Span(pub Duration);

const UNITS: [(&str, u64); 5] = [("d", 86_400_000), ("h", 3_600_000), ("m", 60_000), ("s", 1000), ("ms", 1)];
const EXPECTED: &str = "expected a duration such as `250ms`, `10s`, `5m`, `1h` or `30d`";
/// So that sums with today's time can't overflow.
const MAX_MS: u64 = 1000 * 366 * 86_400_000;
const TOO_LONG: &str = "a duration may be at most `366000d`";

impl FromStr for Span {
    type Err = &'static str;

    fn from_str(text: &str) -> Result<Self, Self::Err> {
        if text == "0" {
            return Ok(Self::default());
        }
        let (mut rest, mut ms, mut last) = (text, 0_u64, u64::MAX);
        while !rest.is_empty() {
            let digits = rest.bytes().take_while(u8::is_ascii_digit).count();
            // Of digits alone, a number is only refused for being too large.
            let number: u64 =
                rest[..digits].parse().map_err(|_| if digits == 0 { EXPECTED } else { TOO_LONG })?;
            rest = &rest[digits..];
            let letters = rest.bytes().take_while(u8::is_ascii_alphabetic).count();
            let unit = UNITS.iter().find(|(name, _)| *name == &rest[..letters]).ok_or(EXPECTED)?.1;
            rest = &rest[letters..];
            // Descending units, each once: `1h30m`, never `30m1h`.
            if unit >= last {
                return Err(EXPECTED);
            }
            last = unit;
            ms = number.checked_mul(unit).and_then(|more| ms.checked_add(more)).ok_or(TOO_LONG)?;
        }
        if text.is_empty() {
            return Err(EXPECTED);
        }
        if ms > MAX_MS {
            return Err(TOO_LONG);
        }
        Ok(Self(Duration::from_millis(ms)))
    }
}

impl fmt::Display for Span {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let mut ms = u64::try_from(self.0.as_millis()).unwrap_or(MAX_MS);
        if ms == 0 {
            return f.write_str("0s");
        }
        for (name, unit) in UNITS {
            if ms >= unit {
                write!(f, "{}{name}", ms / unit)?;
                ms %= unit;
            }
        }
        Ok(())
    }
}

/// For how long something that is made now is good: not no time at all.
#[derive(Clone, Copy, Deserialize)]
#[serde(try_from = "String")]
pub struct Lifetime(pub Duration);

impl FromStr for Lifetime {
    type Err = &'static str;

    fn from_str(text: &str) -> Result<Self, Self::Err> {
        match text.parse()? {
            Span(Duration::ZERO) => Err("it would have ended when it is printed; expected more than `0s`"),
            Span(span) => Ok(Self(span)),
        }
    }
}

impl fmt::Display for Lifetime {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        Span(self.0).fmt(f)
    }
}

text_like!(Lifetime, "DURATION");

impl Serialize for Span {
    fn serialize<S: Serializer>(&self, to: S) -> Result<S::Ok, S::Error> {
        to.collect_str(self)
    }
}

impl<'de> Deserialize<'de> for Span {
    fn deserialize<D: Deserializer<'de>>(from: D) -> Result<Self, D::Error> {
        struct Text;
        impl serde::de::Visitor<'_> for Text {
            type Value = Span;
            fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                f.write_str("a duration such as \"10s\"")
            }
            fn visit_str<E: serde::de::Error>(self, text: &str) -> Result<Span, E> {
                text.parse().map_err(E::custom)
            }
        }
        from.deserialize_str(Text)
    }
}

impl JsonSchema for Span {
    fn schema_name() -> std::borrow::Cow<'static, str> {
        "Span".into()
    }

    fn inline_schema() -> bool {
        true
    }

    fn json_schema(_: &mut SchemaGenerator) -> Schema {
        json_schema!({
            "type": "string",
            "pattern": "^(0|([0-9]+d)?([0-9]+h)?([0-9]+m)?([0-9]+s)?([0-9]+ms)?)$",
            "x-value": "DURATION",
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_duration_is_read_as_it_is_written() {
        for (text, ms) in
            [("250ms", 250), ("10s", 10_000), ("5m", 300_000), ("30d", 2_592_000_000), ("1h30m", 5_400_000)]
        {
            let span: Span = text.parse().unwrap();
            assert_eq!((span.0.as_millis(), span.to_string().as_str()), (ms, text));
        }
        assert_eq!("0".parse::<Span>().unwrap().to_string(), "0s");
        assert_eq!("90s".parse::<Span>().unwrap().to_string(), "1m30s");
    }

    #[test]
    fn what_is_no_duration_is_refused_with_examples_of_some() {
        for text in ["", "10", "s", "10 s", "-1s", "1.5s", "10S", "30m1h", "1s1s", "é"] {
            assert_eq!(text.parse::<Span>(), Err(EXPECTED), "{text}");
        }
    }

    #[test]
    fn a_duration_that_is_too_long_is_refused_with_the_longest() {
        assert_eq!(TOO_LONG, format!("a duration may be at most `{}`", Span(Duration::from_millis(MAX_MS))));
        assert!("366000d".parse::<Span>().is_ok());
        for text in ["366001d", "366000d1ms", "999999999d", "99999999999999d", "99999999999999999999999d"] {
            assert_eq!(text.parse::<Span>(), Err(TOO_LONG), "{text}");
        }
    }
}
