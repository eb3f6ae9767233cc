//! Positions: where a stream is in a topic's log, as text that applications hand back as it is.

use std::fmt;

/// 64 bits of the chain hash.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub struct Link(pub u64);

/// One incarnation of a topic's log.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub struct Epoch(pub u64);

/// A place in a topic's log: after the entry with this offset, in the history that this link proves.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub struct Position {
    /// The incarnation of the log.
    pub epoch: Epoch,
    /// The entry's number, from 1 without gaps; 0 is before the first.
    pub offset: u64,
    /// The chain hash over all entries up to this one.
    pub link: Link,
}

/// A text that is not a position.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[error("a position must be handed back as it was given")]
pub struct PositionError;

/// What the store knows of a topic's log: its end and its beginning.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Head {
    /// The position of the last entry.
    pub position: Position,
    /// The last entry that is no longer kept; 0 if all are.
    pub trimmed: u64,
}

fn hex(text: &str) -> Result<u64, PositionError> {
    let canonical = text.len() == 16 && text.bytes().all(|b| matches!(b, b'0'..=b'9' | b'a'..=b'f'));
    if !canonical {
        return Err(PositionError);
    }
    u64::from_str_radix(text, 16).map_err(|_| PositionError)
}

impl Position {
    /// Reads the text form.
    pub fn parse(text: &str) -> Result<Self, PositionError> {
        let mut parts = text.split('-');
        let (Some(epoch), Some(offset), Some(link), None) =
            (parts.next(), parts.next(), parts.next(), parts.next())
        else {
            return Err(PositionError);
        };
        let canonical =
            offset.bytes().all(|b| b.is_ascii_digit()) && (offset == "0" || !offset.starts_with('0'));
        let number: u64 = offset.parse().map_err(|_| PositionError)?;
        if !canonical || number > i64::MAX as u64 {
            return Err(PositionError);
        }
        Ok(Self { epoch: Epoch(hex(epoch)?), offset: number, link: Link(hex(link)?) })
    }
}

impl fmt::Display for Position {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{:016x}-{}-{:016x}", self.epoch.0, self.offset, self.link.0)
    }
}

impl serde::Serialize for Position {
    fn serialize<S: serde::Serializer>(&self, to: S) -> Result<S::Ok, S::Error> {
        to.collect_str(self)
    }
}

impl<'de> serde::Deserialize<'de> for Position {
    fn deserialize<D: serde::Deserializer<'de>>(from: D) -> Result<Self, D::Error> {
        let text = std::borrow::Cow::<str>::deserialize(from)?;
        Self::parse(&text).map_err(serde::de::Error::custom)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_position_has_one_text_only() {
        let position = Position { epoch: Epoch(7), offset: 42, link: Link(u64::MAX) };
        let text = position.to_string();
        assert_eq!(Position::parse(&text), Ok(position));
        for bad in [
            "",
            "-",
            "7-42-1",
            &text.to_uppercase(),
            &text.replace("-42-", "-042-"),
            &format!("{text}-"),
            &text.replace("42", "+42"),
        ] {
            assert_eq!(Position::parse(bad), Err(PositionError), "{bad}");
        }
    }
}
