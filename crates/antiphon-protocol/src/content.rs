//! What an entry or a signal says: a text or any JSON, kept as the JSON text it came as.

use std::sync::Arc;

use serde_json::value::RawValue;

use crate::check_nesting;

/// Which of the two fields holds the content.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum ContentKind {
    /// `text`: a string.
    Text,
    /// `body`: any JSON.
    Body,
}

impl ContentKind {
    /// The field's name.
    pub fn field(self) -> &'static str {
        match self {
            ContentKind::Text => "text",
            ContentKind::Body => "body",
        }
    }
}

/// A content that passed its checks. Two are equal if their JSON is the same but for white space.
#[derive(Debug, Clone)]
pub struct Content {
    kind: ContentKind,
    json: Arc<str>,
}

/// Why a content was refused.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum ContentError {
    /// There has to be one of both.
    #[error("one of `text` and `body` is needed, and only one")]
    NeitherOrBoth,
    /// `text` is something else than a string.
    #[error("`text` must be a string of valid Unicode")]
    NotAString,
    /// Not JSON.
    #[error("`body` must be JSON")]
    NotJson,
    /// Nested too deeply.
    #[error("`body` may be nested at most 32 deep")]
    TooDeep,
    /// Too many bytes.
    #[error("`{field}` may have at most {max} bytes, this one has {len}")]
    TooLarge {
        /// The field.
        field: &'static str,
        /// The bound in bytes.
        max: usize,
        /// Its size in bytes.
        len: usize,
    },
}

impl Content {
    /// The most bytes of an entry's content: of a text itself, of a body as JSON.
    pub const MAX_ENTRY_BYTES: usize = 64 * 1024;
    /// The most bytes of a signal's content, counted alike.
    pub const MAX_SIGNAL_BYTES: usize = 4 * 1024;

    /// From the two fields of a frame or request; `text` null counts as absent, and so does `body` null beside a text.
    pub fn from_fields(
        text: Option<&RawValue>,
        body: Option<&RawValue>,
        max: usize,
    ) -> Result<Self, ContentError> {
        let text = text.filter(|raw| raw.get() != "null");
        let body = body.filter(|raw| text.is_none() || raw.get() != "null");
        match (text, body) {
            (Some(text), None) => Self::from_json(ContentKind::Text, text.get(), max),
            (None, Some(body)) => Self::from_json(ContentKind::Body, body.get(), max),
            _ => Err(ContentError::NeitherOrBoth),
        }
    }

    /// From JSON text, which must be valid JSON already for a body (a `RawValue` is). What counts of a text is what it
    /// says in UTF-8, however its JSON is escaped.
    pub fn from_json(kind: ContentKind, json: &str, max: usize) -> Result<Self, ContentError> {
        let fits = |len| {
            if len > max { Err(ContentError::TooLarge { field: kind.field(), max, len }) } else { Ok(()) }
        };
        match kind {
            ContentKind::Text => {
                let text: String = serde_json::from_str(json).map_err(|_| ContentError::NotAString)?;
                fits(text.len())?;
                // One text is one JSON, however its sender escapes.
                if json.contains('\\') || !json.starts_with('"') || !json.ends_with('"') {
                    let json = serde_json::to_string(&text).expect("a string is always JSON");
                    return Ok(Self { kind, json: json.into() });
                }
            }
            ContentKind::Body => {
                fits(json.len())?;
                if !check_nesting(json, 0) {
                    return Err(ContentError::TooDeep);
                }
                serde_json::from_str::<serde::de::IgnoredAny>(json).map_err(|_| ContentError::NotJson)?;
            }
        }
        Ok(Self { kind, json: json.into() })
    }

    /// A text.
    pub fn text(text: &str) -> Result<Self, ContentError> {
        let json = serde_json::to_string(text).expect("a string is always JSON");
        Self::from_json(ContentKind::Text, &json, Self::MAX_ENTRY_BYTES)
    }

    /// Any value, as a body.
    pub fn body<T: serde::Serialize>(value: &T) -> Result<Self, ContentError> {
        let json = serde_json::to_string(value).map_err(|_| ContentError::NotJson)?;
        Self::from_json(ContentKind::Body, &json, Self::MAX_ENTRY_BYTES)
    }

    /// What a store kept: it was checked when it came.
    pub fn stored(kind: ContentKind, json: &str) -> Self {
        Self { kind, json: json.into() }
    }

    /// Text or body.
    pub fn kind(&self) -> ContentKind {
        self.kind
    }

    /// The JSON text of it (a text with its quotes).
    pub fn json(&self) -> &str {
        &self.json
    }
}

impl PartialEq for Content {
    fn eq(&self, other: &Self) -> bool {
        self.kind == other.kind
            && (self.json == other.json || without_space(&self.json).eq(without_space(&other.json)))
    }
}

impl Eq for Content {}

/// The bytes of a JSON text without the white space that says nothing.
fn without_space(json: &str) -> impl Iterator<Item = u8> {
    let (mut in_string, mut is_escaped) = (false, false);
    json.bytes().filter(move |byte| {
        if in_string {
            (in_string, is_escaped) = (is_escaped || *byte != b'"', !is_escaped && *byte == b'\\');
            return true;
        }
        in_string = *byte == b'"';
        !matches!(byte, b' ' | b'\t' | b'\r' | b'\n')
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    fn content(text: Option<&str>, body: Option<&str>) -> Result<Content, ContentError> {
        let raw = |json: &str| RawValue::from_string(json.to_owned()).unwrap();
        let (text, body) = (text.map(raw), body.map(raw));
        Content::from_fields(text.as_deref(), body.as_deref(), 64)
    }

    #[test]
    fn a_null_is_absent_except_as_the_only_body() {
        assert_eq!(content(Some("\"x\""), Some("null")).unwrap().kind(), ContentKind::Text);
        assert_eq!(content(Some("null"), Some("1")).unwrap().json(), "1");
        assert_eq!(content(None, Some("null")).unwrap().json(), "null");
        assert_eq!(content(None, None), Err(ContentError::NeitherOrBoth));
        assert_eq!(content(Some("null"), None), Err(ContentError::NeitherOrBoth));
        assert_eq!(content(Some("\"x\""), Some("1")), Err(ContentError::NeitherOrBoth));
    }

    #[test]
    fn the_bound_counts_what_a_text_says_and_a_body_as_it_is_written() {
        let of = |unit: &str, count: usize| format!("\"{}\"", unit.repeat(count));
        for (unit, most) in [("x", 64), ("é", 32), ("\\u00e9", 32), ("\\n", 64), ("\\u0001", 64)] {
            assert!(content(Some(&of(unit, most)), None).is_ok(), "{unit}");
            let over = content(Some(&of(unit, most + 1)), None);
            let bytes = if most == 32 { 66 } else { 65 };
            assert_eq!(over, Err(ContentError::TooLarge { field: "text", max: 64, len: bytes }), "{unit}");
        }
        assert!(content(None, Some(&of("x", 62))).is_ok());
        assert!(matches!(content(None, Some(&of("x", 63))), Err(ContentError::TooLarge { len: 65, .. })));
    }

    #[test]
    fn what_says_the_same_is_the_same_however_it_is_written() {
        let text = |json: &str| content(Some(json), None).unwrap();
        for (one, other) in
            [("\"é/\"", "\"\\u00e9\\/\""), ("\"\\u0041\"", " \"A\" "), ("\"\\u000a\"", "\"\\n\"")]
        {
            assert_eq!(text(one), text(other));
            assert_eq!(text(one).json(), text(other).json());
        }
        let body = |json: &str| content(None, Some(json)).unwrap();
        assert_eq!(
            body("{\"n\" : [1, 2],\n\"s\": \"a  \\\" b\"}"),
            body("{\"n\":[1,2],\"s\":\"a  \\\" b\"}")
        );
        for (one, other) in
            [("\"a b\"", "\"ab\""), ("[1,2]", "[12]"), ("\"\\\\ \"", "\"\\\\\""), ("1", "1.0")]
        {
            assert_ne!(body(one), body(other), "{one}");
        }
    }

    #[test]
    fn a_text_is_a_string_of_whole_characters() {
        assert_eq!(content(Some("5"), None), Err(ContentError::NotAString));
        assert_eq!(content(Some("\"\\ud800\""), None), Err(ContentError::NotAString));
    }
}
