//! The log as the database holds it at the end.

use antiphon_checker::{Event, History, Place, fingerprint};
use antiphon_testkit::Database;
use serde::Deserialize;

#[derive(Deserialize)]
struct Row {
    tenant: String,
    topic: String,
    offset: u64,
    link: i64,
    author: Option<String>,
    project: Option<String>,
    key: Option<String>,
    content: String,
}

#[derive(Deserialize)]
struct Head {
    tenant: String,
    topic: String,
    head: u64,
    trimmed: u64,
}

/// Adds all rows and heads.
pub fn add(history: &mut History, database: &Database) {
    let heads = database
        .sql("select json_build_object('tenant', tenant, 'topic', name, 'head', head, 'trimmed', trimmed) from antiphon.topics");
    for line in heads.lines() {
        let Head { tenant, topic, head, trimmed } = serde_json::from_str(line).unwrap();
        history.push(Event::Log { tenant, topic, head, trimmed });
    }
    let rows = database.sql(
        r#"select json_build_object('tenant', t.tenant, 'topic', t.name, 'offset', e."offset", 'link', e.link,
            'author', e.author, 'project', e.project, 'key', e.key, 'content', e.content)
        from antiphon.entries e join antiphon.topics t on t.id = e.topic_id"#,
    );
    for line in rows.lines() {
        let row: Row = serde_json::from_str(line).unwrap();
        let text: String = serde_json::from_str(&row.content).expect("all of them are texts");
        history.push(Event::Row {
            tenant: row.tenant,
            topic: row.topic,
            place: Place { offset: row.offset, link: row.link.cast_unsigned() },
            author: row.author,
            project: row.project,
            key: row.key,
            hash: fingerprint(text.as_bytes()),
        });
    }
}
