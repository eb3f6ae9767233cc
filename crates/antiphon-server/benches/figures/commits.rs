//! When the database committed each entry, by its own word: just before the commit is synced to disk.

use std::collections::HashMap;

use sqlx::{Connection, PgConnection};

/// Of each topic's name and offset, in microseconds since the Unix epoch.
pub type Commits = HashMap<(String, u64), u64>;

pub async fn commits(database: &str) -> Commits {
    let mut connection = PgConnection::connect(database).await.unwrap();
    let rows: Vec<(String, i64, i64)> = sqlx::query_as(
        r#"select t.name, e."offset", (extract(epoch from pg_xact_commit_timestamp(e.xmin)) * 1000000)::bigint
        from antiphon.entries e join antiphon.topics t on t.id = e.topic_id"#,
    )
    .fetch_all(&mut connection)
    .await
    .unwrap();
    rows.into_iter().map(|(topic, offset, at)| ((topic, offset as u64), at as u64)).collect()
}

/// The head of each topic.
pub async fn heads(database: &str) -> HashMap<String, u64> {
    let mut connection = PgConnection::connect(database).await.unwrap();
    let rows: Vec<(String, i64)> =
        sqlx::query_as("select name, head from antiphon.topics").fetch_all(&mut connection).await.unwrap();
    rows.into_iter().map(|(topic, head)| (topic, head as u64)).collect()
}
