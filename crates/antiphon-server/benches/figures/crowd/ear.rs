//! One client: what it has, and what it makes of a frame.

use super::Came;
use crate::figures::frames::{Frame, field};

/// What a client can say of itself.
#[derive(Clone, Default)]
pub struct Facts {
    pub client: usize,
    pub topic: usize,
    /// Where it is, or was last.
    pub node: usize,
    /// The last that came.
    pub offset: u64,
    pub received: u64,
    /// Offsets that were passed over, and such as came again.
    pub lost: u64,
    pub doubled: u64,
    pub resets: u64,
    /// How often it went since it was asked to, and how often it was cut off.
    pub moved: u64,
    pub cut: u64,
    /// Upgrades and subscriptions that were refused for now.
    pub refused: u64,
    /// The longest time between two entries since the mark.
    pub gap_us: u64,
    pub last_us: u64,
}

/// What a frame asks of its client.
pub enum Asks {
    Nothing,
    Pong(Vec<u8>),
    /// It is subscribed.
    Subscribed,
    /// To say its SUBSCRIBE again after so many milliseconds.
    Again(u64),
    /// To leave after so many milliseconds.
    Leave(u64),
    /// Why the node goes.
    Closed(String),
    /// A frame that nobody should see.
    Wrong(String),
}

#[derive(Default)]
pub struct Ear {
    pub facts: Facts,
    pub position: Option<String>,
}

impl Ear {
    pub fn hear(&mut self, frame: &Frame<'_>, now_us: u64, came: &mut Vec<Came>) -> Asks {
        match frame.opcode {
            1 => {}
            8 => return Asks::Closed(close_code(frame.start)),
            9 => return Asks::Pong(frame.start.to_vec()),
            _ => return Asks::Nothing,
        }
        let text = |bytes| str::from_utf8(bytes).unwrap_or_default();
        let (start, end) = (text(frame.start), text(frame.end));
        match start.strip_prefix(r#"{"type":""#).and_then(|rest| rest.split('"').next()) {
            Some("MESSAGE") => self.entry(start, end, now_us, came),
            Some("SUBSCRIPTION_SUCCESSFUL") => {
                if !start.contains(r#""error":"#) {
                    self.move_to(start);
                    return Asks::Subscribed;
                }
                Asks::Again(retry_after(start))
            }
            Some("POSITION") => {
                self.move_to(start);
                Asks::Nothing
            }
            Some("RESET") => {
                self.facts.resets += 1;
                self.position = None;
                self.move_to(start);
                Asks::Wrong(start.to_owned())
            }
            Some("RECONNECT") => {
                let after = field(start, r#""afterMs":"#).and_then(|after| after.parse().ok());
                Asks::Leave(after.unwrap_or(0))
            }
            Some("ERROR") if start.contains("retryAfterMs") => Asks::Again(retry_after(start)),
            _ => Asks::Wrong(start.to_owned()),
        }
    }

    fn entry(&mut self, start: &str, end: &str, now_us: u64, came: &mut Vec<Came>) -> Asks {
        let mut said = start.split(r#""text":""#).nth(1).unwrap_or_default().split(' ');
        let mut number = || said.next().and_then(|number| number.parse::<u64>().ok()).unwrap_or(0);
        let (sent_us, from) = (number(), number() as u8);
        let offset = field(end, r#""offset":"#).and_then(|offset| offset.parse().ok());
        let (Some(offset), Some(position)) = (offset, field(end, r#""position":""#)) else {
            return Asks::Wrong(format!("{start} … {end}"));
        };
        let facts = &mut self.facts;
        facts.received += 1;
        if offset <= facts.offset {
            facts.doubled += 1;
            return Asks::Nothing;
        }
        facts.lost += offset - facts.offset - 1;
        facts.offset = offset;
        if facts.last_us > 0 {
            facts.gap_us = facts.gap_us.max(now_us - facts.last_us.min(now_us));
            facts.last_us = now_us;
        }
        let kept = self.position.get_or_insert_default();
        kept.clear();
        kept.push_str(position);
        let (client, topic, to) = (facts.client as u32, facts.topic as u16, facts.node as u8);
        came.push(Came { client, topic, from, to, offset, sent_us, at_us: now_us });
        Asks::Nothing
    }

    /// To a position of the answer, where there is none yet or it is further.
    fn move_to(&mut self, text: &str) {
        let Some(position) = field(text, r#""position":""#) else { return };
        let offset = position.split('-').nth(1).and_then(|offset| offset.parse().ok()).unwrap_or(0);
        if self.position.is_none() || offset > self.facts.offset {
            self.facts.offset = offset;
            self.position = Some(position.to_owned());
        }
    }
}

fn retry_after(text: &str) -> u64 {
    field(text, r#""retryAfterMs":"#).and_then(|after| after.parse().ok()).unwrap_or(1000)
}

fn close_code(payload: &[u8]) -> String {
    match payload {
        [high, low, ..] => u16::from_be_bytes([*high, *low]).to_string(),
        _ => "no code".into(),
    }
}
