//! The fields of a request's JSON object, taken one by one: a wrong one is named in plain words, one that nobody takes is
//! refused.

use std::{collections::BTreeMap, fmt};

use antiphon_protocol::Refusal;
use serde::{
    Deserialize, Deserializer,
    de::{MapAccess, Visitor},
};
use serde_json::{error::Category, value::RawValue};

/// What is read from the fields of an object.
pub(crate) trait FromFields: Sized {
    fn from_fields(fields: &mut Fields) -> Result<Self, Refusal>;
}

/// An object's fields that nobody has taken yet.
pub(crate) struct Fields {
    left: BTreeMap<String, Box<RawValue>>,
    known: Vec<&'static str>,
}

/// Reads an object.
pub(crate) fn object<T: FromFields>(json: &str) -> Result<T, Refusal> {
    let Pairs(pairs) = serde_json::from_str(json).map_err(|error| not_read(&error, "an object"))?;
    let mut left = BTreeMap::new();
    for (name, value) in pairs {
        if left.contains_key(&name) {
            return Err(Refusal::invalid(format_args!("`{}` stands there twice", shown(&name))));
        }
        left.insert(name, value);
    }
    let mut fields = Fields { left, known: Vec::new() };
    let read = T::from_fields(&mut fields)?;
    match fields.left.into_keys().next() {
        None => Ok(read),
        Some(name) => Err(Refusal::invalid(not_known(&name, &fields.known))),
    }
}

/// Reads an array of objects.
pub(crate) fn array<T: FromFields>(json: &str) -> Result<Vec<T>, Refusal> {
    let items: Vec<&RawValue> = serde_json::from_str(json).map_err(|error| not_read(&error, "an array"))?;
    let read = |(index, item): (usize, &&RawValue)| object(item.get()).map_err(|refusal| at(index, refusal));
    items.iter().enumerate().map(read).collect()
}

/// A refusal of one item of an array.
pub(crate) fn at(index: usize, refusal: Refusal) -> Refusal {
    Refusal { text: format!("item {}: {}", index + 1, refusal.text), ..refusal }
}

/// Of a name that nobody takes, which there are.
pub(crate) fn not_known(name: &str, known: &[&str]) -> String {
    let (name, known) = (shown(name), known.iter().map(|name| format!("`{name}`")).collect::<Vec<_>>());
    match known.as_slice() {
        [] => format!("`{name}` is not known here; there is nothing to be said"),
        known => format!("`{name}` is not known here; there are {}", known.join(", ")),
    }
}

/// A sender's own word, as much of it as an answer should repeat.
pub(crate) fn shown(name: &str) -> String {
    name.chars().take(64).flat_map(char::escape_debug).collect()
}

fn not_read(error: &serde_json::Error, wanted: &str) -> Refusal {
    match error.classify() {
        Category::Data => Refusal::invalid(format_args!("this must be {wanted}")),
        Category::Io | Category::Syntax | Category::Eof => {
            let (line, column) = (error.line(), error.column());
            Refusal::invalid(format_args!("this is not JSON from line {line}, column {column} on"))
        }
    }
}

impl Fields {
    /// A field as it is written, `null` too.
    pub fn written(&mut self, name: &'static str) -> Option<Box<RawValue>> {
        self.known.push(name);
        self.left.remove(name)
    }

    /// A field's value; `null` is none.
    pub fn value(&mut self, name: &'static str) -> Option<Box<RawValue>> {
        self.written(name).filter(|raw| raw.get() != "null")
    }

    /// `true` or `false`.
    pub fn boolean(&mut self, name: &'static str) -> Result<Option<bool>, Refusal> {
        let read = |raw: Box<RawValue>| match raw.get() {
            "true" => Ok(true),
            "false" => Ok(false),
            _ => Err(Refusal::invalid(format_args!("`{name}` must be true or false"))),
        };
        self.value(name).map(read).transpose()
    }

    /// A string that is a name of some kind.
    pub fn name<T, E: fmt::Display>(
        &mut self,
        name: &'static str,
        parse: impl Fn(&str) -> Result<T, E>,
    ) -> Result<Option<T>, Refusal> {
        let Some(raw) = self.value(name) else { return Ok(None) };
        let text: String = serde_json::from_str(raw.get())
            .map_err(|_| Refusal::invalid(format_args!("`{name}` must be a string of valid Unicode")))?;
        parse(&text).map(Some).map_err(|error| Refusal::invalid(format_args!("`{name}`: {error}")))
    }
}

/// An object's fields in their order; nothing else is one.
struct Pairs(Vec<(String, Box<RawValue>)>);

struct PairsVisitor;

impl<'de> Visitor<'de> for PairsVisitor {
    type Value = Pairs;

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("an object")
    }

    fn visit_map<A: MapAccess<'de>>(self, mut map: A) -> Result<Pairs, A::Error> {
        let mut pairs = Vec::new();
        while let Some(pair) = map.next_entry()? {
            pairs.push(pair);
        }
        Ok(Pairs(pairs))
    }
}

impl<'de> Deserialize<'de> for Pairs {
    fn deserialize<D: Deserializer<'de>>(from: D) -> Result<Self, D::Error> {
        from.deserialize_map(PairsVisitor)
    }
}
