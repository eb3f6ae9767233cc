//! The log, read through each node: all of them must tell the same.

use std::{collections::BTreeMap, time::Duration};

use antiphon_checker::{Event, Kind, Place, Violation, fingerprint};
use serde_json::Value;

use super::{
    api::Answer,
    company::{Company, pause},
    draft::{self, Payload},
};

/// Entries of a page: as many as the API gives.
const PAGE: &str = "200";
/// How often one page is asked for.
const TRIES: usize = 4;
/// Between two tries.
const AGAIN: Duration = Duration::from_millis(500);

/// How far each log has been judged: by side and topic.
pub type Judged = BTreeMap<(usize, String), u64>;

/// An entry as a node tells it.
#[derive(Debug, Clone, PartialEq, Eq)]
struct Row {
    place: Place,
    author: Option<String>,
    project: Option<String>,
    /// The API does not tell it, but the content does.
    key: Option<String>,
    hash: u64,
    /// Of all that the node tells of it.
    whole: u64,
}

type Logs = BTreeMap<(usize, String), Vec<Row>>;

/// What was read.
pub struct Reading {
    /// The log, for the history.
    pub events: Vec<Event>,
    /// How far it goes.
    pub heads: Judged,
    /// Where nodes contradict each other.
    pub found: Vec<Violation>,
}

/// Reads what stands behind `judged`.
///
/// # Errors
/// When no node tells all of it: why.
pub async fn read(company: &Company, judged: &Judged) -> Result<Reading, String> {
    let mut first: Option<(usize, Logs)> = None;
    let mut found = Vec::new();
    let mut unread = Vec::new();
    for node in 0..company.api.len() {
        let logs = match logs(company, node, judged).await {
            Ok(logs) => logs,
            Err(why) => {
                unread.push(format!("{}: {why}", company.api.name(node)));
                company.journal.count(|figures| figures.nodes[node].unread = Some(why));
                continue;
            }
        };
        company.journal.count(|figures| figures.nodes[node].logs += 1);
        match &first {
            None => first = Some((node, logs)),
            Some((other, reference)) => {
                let names = (company.api.name(*other), company.api.name(node));
                found.extend(differences(&company.plan.tenants, reference, &logs, names));
            }
        }
    }
    let Some((_, logs)) = first else { return Err(unread.join("; ")) };
    let (mut events, mut heads) = (Vec::new(), Judged::new());
    for ((side, topic), rows) in logs {
        let tenant = &company.plan.tenants[side];
        let trimmed = judged.get(&(side, topic.clone())).copied().unwrap_or(0);
        let head = rows.last().map_or(trimmed, |row| row.place.offset);
        events.push(Event::Log { tenant: tenant.clone(), topic: topic.clone(), head, trimmed });
        events.extend(rows.into_iter().map(|row| Event::Row {
            tenant: tenant.clone(),
            topic: topic.clone(),
            place: row.place,
            author: row.author,
            project: row.project,
            key: row.key,
            hash: row.hash,
        }));
        heads.insert((side, topic), head);
    }
    Ok(Reading { events, heads, found })
}

async fn logs(company: &Company, node: usize, judged: &Judged) -> Result<Logs, String> {
    let mut logs = Logs::new();
    for (side, tenant) in company.plan.tenants.iter().enumerate() {
        for topic in draft::topics(tenant) {
            let behind = judged.get(&(side, topic.clone())).copied().unwrap_or(0);
            let rows = log(company, node, tenant, &topic, behind).await?;
            logs.insert((side, topic), rows);
        }
    }
    Ok(logs)
}

/// One topic's log, from its end back to what has been judged.
async fn log(
    company: &Company,
    node: usize,
    tenant: &str,
    topic: &str,
    behind: u64,
) -> Result<Vec<Row>, String> {
    let mut pages = Vec::new();
    let mut before: Option<String> = None;
    loop {
        let page = page(company, node, tenant, topic, before.as_deref()).await?;
        let entries = page["entries"].as_array().map(Vec::as_slice).unwrap_or_default();
        let rows =
            entries.iter().map(row).collect::<Option<Vec<_>>>().ok_or("a page of history is not one")?;
        let first = entries.first().and_then(|entry| entry["position"].as_str()).map(str::to_owned);
        let is_last = page["more"] != true || rows.first().is_none_or(|row| row.place.offset <= behind + 1);
        pages.push(rows);
        if is_last || first.is_none() {
            break;
        }
        before = first;
    }
    Ok(pages.into_iter().rev().flatten().filter(|row| row.place.offset > behind).collect())
}

async fn page(
    company: &Company,
    node: usize,
    tenant: &str,
    topic: &str,
    before: Option<&str>,
) -> Result<Value, String> {
    let path = ["tenants", tenant, "topics", topic, "entries"];
    let query: Vec<(&str, &str)> =
        before.map(|before| ("before", before)).into_iter().chain([("limit", PAGE)]).collect();
    let mut last = String::new();
    for _ in 0..TRIES {
        match company.api.get(node, &path, &query).await {
            Answer::Done(_, page) => return Ok(page),
            Answer::Refused { status, detail, .. } => return Err(format!("HTTP {status}: {detail}")),
            Answer::Unknown { why, .. } => last = why,
        }
        pause(AGAIN).await;
    }
    Err(last)
}

fn row(entry: &Value) -> Option<Row> {
    let place = Place::parse(entry["position"].as_str()?)?;
    let text = entry["text"].as_str().unwrap_or_default();
    let said = |value: &Value| value.as_str().map(str::to_owned);
    Some(Row {
        place,
        author: said(&entry["entry"]["userId"]),
        project: said(&entry["entry"]["projectId"]),
        key: Payload::read(text).map(|payload| draft::key(payload.author, payload.number)),
        hash: fingerprint(text.as_bytes()),
        whole: fingerprint(entry.to_string().as_bytes()),
    })
}

/// The first entry of each topic in which two nodes differ.
fn differences(tenants: &[String; 2], one: &Logs, other: &Logs, names: (&str, &str)) -> Vec<Violation> {
    let mut found = Vec::new();
    for ((side, topic), rows) in one {
        let none = Vec::new();
        let others = other.get(&(*side, topic.clone())).unwrap_or(&none);
        let differs = rows.iter().zip(others).find(|(row, other)| row != other).map(|(row, _)| row);
        let shorter = rows.len().min(others.len());
        let Some(row) = differs.or(rows.get(shorter)).or(others.get(shorter)) else { continue };
        found.push(Violation {
            kind: Kind::Durable,
            client: None,
            tenant: tenants[*side].clone(),
            topic: topic.clone(),
            offset: row.place.offset,
            at: None,
            what: format!(
                "the log that {} tells is not the log that {} tells, from here on",
                names.1, names.0
            ),
        });
    }
    found
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_first_entry_in_which_two_nodes_differ_is_named() {
        let row = |offset: u64, hash: u64| Row {
            place: Place { offset, link: offset },
            author: None,
            project: None,
            key: None,
            hash,
            whole: hash,
        };
        let logs = |rows: Vec<Row>| Logs::from([((0, "news".to_owned()), rows)]);
        let tenants = ["a".to_owned(), "b".to_owned()];
        let one = logs(vec![row(1, 1), row(2, 2), row(3, 3)]);
        let found = |other: Vec<Row>| {
            let found = differences(&tenants, &one, &logs(other), ("x", "y"));
            found.first().map(|violation| violation.offset)
        };
        assert_eq!(found(vec![row(1, 1), row(2, 2), row(3, 3)]), None);
        assert_eq!(found(vec![row(1, 1), row(2, 7), row(3, 3)]), Some(2));
        assert_eq!(found(vec![row(1, 1), row(2, 2)]), Some(3));
        assert_eq!(found(vec![row(1, 1), row(2, 2), row(3, 3), row(4, 4)]), Some(4));
        assert_eq!(found(Vec::new()), Some(1));
    }
}
