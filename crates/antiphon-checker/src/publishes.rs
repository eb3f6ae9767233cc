//! What publishers were told, held against the log.

use std::collections::HashMap;

use crate::event::{Event, Outcome, Place};
use crate::ground::Ground;
use crate::history::{History, Record};
use crate::log::Log;
use crate::report::{Kind, Report, Violation};

type Topic<'a> = (&'a str, &'a str);
/// Author and key.
type Name<'a> = (Option<&'a str>, &'a str);

/// All attempts to publish one entry.
#[derive(Debug)]
struct Publish<'a> {
    project: Option<&'a str>,
    hash: u64,
    sent: u64,
    /// When the first acknowledgement came; the end of time if none did.
    answered: u64,
    accepted: Option<Place>,
    /// Another place that an answer named, too.
    contradicted: Option<Place>,
    /// Answers that said that it was new.
    fresh: u32,
    unknown: bool,
    refused: bool,
    /// Where its rows are.
    rows: Vec<u64>,
}

type Publishes<'a> = HashMap<Topic<'a>, HashMap<Name<'a>, Publish<'a>>>;

/// Checks the log against the publishes, and tells the rows when theirs were sent and answered.
pub(crate) fn check<'a>(history: &'a History, ground: &mut Ground<'a>, report: &mut Report) {
    let mut publishes = read(history, ground, report);
    for topic in publishes.keys() {
        ground.logs.entry(*topic).or_default();
    }
    for (topic, log) in &mut ground.logs {
        let of_topic = publishes.entry(*topic).or_default();
        report.entries += log.rows.len() as u64;
        report.publishes += of_topic.len() as u64;
        let mut found = Found { topic: *topic, report };
        match_rows(log, of_topic, &mut found);
        let mut names: Vec<_> = of_topic.iter().collect();
        names.sort_by_key(|((_, key), publish)| (publish.sent, *key));
        for ((_, key), publish) in names {
            check_one(key, publish, log, &mut found);
        }
        check_holes(log, &mut found);
        check_order(log, of_topic, &mut found);
        log.seal();
    }
}

/// Where violations of one topic go.
struct Found<'a, 'r> {
    topic: Topic<'a>,
    report: &'r mut Report,
}

impl Found<'_, '_> {
    fn add(&mut self, kind: Kind, offset: u64, at: Option<u64>, what: String) {
        let (tenant, topic) = (self.topic.0.to_owned(), self.topic.1.to_owned());
        self.report.add(Violation { kind, client: None, tenant, topic, offset, at, what });
    }
}

fn read<'a>(history: &'a History, ground: &Ground<'a>, report: &mut Report) -> Publishes<'a> {
    let mut publishes = Publishes::new();
    for record in &history.records {
        let Record::Other(event) = record else { continue };
        let Event::Published { client, topic, project, key, hash, sent, answered, outcome, .. } = &**event
        else {
            continue;
        };
        let Some(who) = ground.clients.get(client.as_str()) else { continue };
        let of_topic = publishes.entry((who.tenant, topic)).or_default();
        let publish = of_topic.entry((who.user, key)).or_insert_with(|| Publish {
            project: project.as_deref(),
            hash: *hash,
            sent: *sent,
            answered: u64::MAX,
            accepted: None,
            contradicted: None,
            fresh: 0,
            unknown: false,
            refused: false,
            rows: Vec::new(),
        });
        publish.sent = publish.sent.min(*sent);
        report.attempts += 1;
        match outcome {
            Outcome::Unknown => {
                publish.unknown = true;
                report.unknown += 1;
            }
            Outcome::Refused => publish.refused = true,
            Outcome::Accepted { place, duplicate } => {
                publish.answered = publish.answered.min(answered.unwrap_or(u64::MAX));
                publish.fresh += u32::from(!duplicate);
                match publish.accepted {
                    Some(accepted) if accepted != *place => publish.contradicted = Some(*place),
                    _ => publish.accepted = Some(*place),
                }
            }
        }
    }
    publishes
}

/// Finds each row's publish.
fn match_rows<'a>(
    log: &mut Log<'a>,
    publishes: &mut HashMap<Name<'a>, Publish<'a>>,
    found: &mut Found<'_, '_>,
) {
    for row in &mut log.rows {
        // Without a key it was written past the recorder.
        let Some(key) = row.key else { continue };
        let offset = row.place.offset;
        let Some(publish) = publishes.get_mut(&(row.author, key)) else {
            found.add(Kind::Invention, offset, None, format!("nobody published the row with the key {key}"));
            continue;
        };
        publish.rows.push(offset);
        (row.sent, row.answered) = (publish.sent, publish.answered);
        if publish.hash != row.hash || publish.project != row.project {
            found.add(
                Kind::Invention,
                offset,
                None,
                format!("the row of the key {key} is not what was published"),
            );
        }
    }
}

fn check_one(key: &str, publish: &Publish<'_>, log: &mut Log<'_>, found: &mut Found<'_, '_>) {
    let at = Some(publish.sent);
    let offset = publish.accepted.map_or(0, |place| place.offset);
    if let Some(other) = publish.contradicted {
        let what = format!("the key {key} was answered with this place and with {}", other.offset);
        found.add(Kind::Durable, offset, at, what);
    }
    if publish.fresh > 1 {
        let what = format!("the key {key} was answered as new {} times", publish.fresh);
        found.add(Kind::Durable, offset, at, what);
    }
    if let [first, second, ..] = publish.rows[..] {
        let what = format!("the key {key} has {} rows, {first} and {second}", publish.rows.len());
        found.add(Kind::Durable, first, at, what);
    }
    let Some(accepted) = publish.accepted else {
        if let (true, false, Some(row)) = (publish.refused, publish.unknown, publish.rows.first()) {
            found.add(Kind::Durable, *row, at, format!("the key {key} was refused, but it is in the log"));
        }
        return;
    };
    if accepted.offset <= log.trimmed || log.was_restored_after(publish.answered) {
        return;
    }
    match log.row(accepted.offset) {
        Some(row) if row.place == accepted && row.key == Some(key) => {}
        // Told already.
        _ if publish.contradicted.is_some() && !publish.rows.is_empty() => {}
        Some(row) if row.key == Some(key) => {
            let what = format!("the key {key} was answered with another link than the row's");
            found.add(Kind::Durable, offset, at, what);
        }
        _ => {
            let elsewhere = publish.rows.first().map_or("nowhere".into(), |row| format!("at {row}"));
            let what = format!("the key {key} was acknowledged here, but in the log it is {elsewhere}");
            found.add(Kind::Durable, offset, at, what);
            log.missing.push((accepted.offset, publish.hash));
        }
    }
}

/// The kept offsets are consecutive.
fn check_holes(log: &Log<'_>, found: &mut Found<'_, '_>) {
    let missing = |offset| log.missing.iter().any(|(missing, _)| *missing == offset);
    let mut next = log.trimmed + 1;
    let ends = log.rows.iter().map(|row| row.place.offset).chain([log.head + 1]);
    for offset in ends {
        if offset < next {
            let what =
                if offset <= log.trimmed { "a trimmed row is there" } else { "two rows are at this place" };
            found.add(Kind::Durable, offset, None, what.to_owned());
        }
        // Of a long hole its beginning says enough.
        for hole in (next..offset).filter(|hole| !missing(*hole)).take(3) {
            found.add(Kind::Durable, hole, None, "the log has a hole here".to_owned());
        }
        next = next.max(offset + 1);
    }
    if log.rows.last().is_some_and(|row| row.place.offset > log.head) {
        found.add(Kind::Durable, log.head, None, "there are rows behind the head".to_owned());
    }
}

/// What was sent after another's answer stands behind it, whoever sent it.
fn check_order(log: &Log<'_>, publishes: &HashMap<Name<'_>, Publish<'_>>, found: &mut Found<'_, '_>) {
    let placed: Vec<(u64, u64, u64)> = publishes
        .values()
        .filter(|publish| !log.was_restored_after(publish.sent))
        .filter_map(|publish| {
            let offset = publish.rows.first().copied().or(publish.accepted.map(|place| place.offset))?;
            Some((publish.sent, publish.answered, offset))
        })
        .collect();
    let mut by_sent = placed.clone();
    by_sent.sort_unstable();
    let mut by_answered = placed;
    by_answered.sort_unstable_by_key(|(_, answered, _)| *answered);
    let (mut done, mut last) = (0, (0, 0));
    for (sent, _, offset) in by_sent {
        while let Some((_, answered, before)) =
            by_answered.get(done).filter(|(_, answered, _)| *answered < sent)
        {
            last = last.max((*before, *answered));
            done += 1;
        }
        if last.0 > offset {
            let what =
                format!("it was sent at {sent}, after entry {} had been answered at {}", last.0, last.1);
            found.add(Kind::PublisherOrder, offset, Some(sent), what);
        }
    }
}
