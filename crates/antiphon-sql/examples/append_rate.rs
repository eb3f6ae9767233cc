//! Appends in groups of 64 on one hot topic, against a bare loop of inserts of the same content in the same groups.
//!
//! `cargo run --release -p antiphon-sql --example append_rate -- sqlite:/tmp/rate.db` (or `postgres://...`).

use std::time::{Duration, Instant};

use antiphon_protocol::{Content, Draft, TenantId, Topic, TopicName};
use antiphon_sql::{Database, OpenOptions};
use sqlx::Connection;

const GROUP: usize = 64;
const FOR: Duration = Duration::from_secs(5);

type Failure = Box<dyn std::error::Error>;

#[tokio::main(flavor = "multi_thread", worker_threads = 2)]
async fn main() -> Result<(), Failure> {
    let url = std::env::args().nth(1).ok_or("name a database: sqlite:PATH or postgres://...")?;
    let database = Database::parse_url(&url)?;
    database.migrate(&OpenOptions::default()).await?;
    let content = Content::text(&"x".repeat(120))?;
    let store = database.open(OpenOptions::default()).await?.store;
    let topic = Topic::new(TenantId::parse("acme")?, TopicName::parse("hot")?);
    let draft = Draft { topic, author: None, named_project: None, key: None, content: content.clone() };
    let groups: Vec<(u64, Vec<Draft>)> = (0..GROUP).map(|_| (1, vec![draft.clone()])).collect();
    let mut appended = 0;
    let begun = Instant::now();
    while begun.elapsed() < FOR {
        appended += store.append(&groups).await?.into_iter().filter(Result::is_ok).count();
    }
    report("append", appended, begun);
    let begun = Instant::now();
    let bare = match &database {
        Database::Sqlite(path) => bare_sqlite(path, content.json()).await?,
        Database::Postgres(_) => bare_postgres(&url, content.json()).await?,
    };
    report("bare inserts", bare, begun);
    Ok(())
}

fn report(what: &str, count: usize, begun: Instant) {
    let rate = count as f64 / begun.elapsed().as_secs_f64();
    println!("{what}: {rate:.0}/s in groups of {GROUP}");
}

async fn bare_sqlite(path: &std::path::Path, content: &str) -> Result<usize, Failure> {
    use sqlx::sqlite::{SqliteConnectOptions, SqliteConnection, SqliteJournalMode, SqliteSynchronous};
    let options = SqliteConnectOptions::new().filename(path).journal_mode(SqliteJournalMode::Wal);
    let options = options.synchronous(SqliteSynchronous::Full);
    let mut connection = SqliteConnection::connect_with(&options).await?;
    sqlx::query("create table if not exists bare (n integer primary key, content text)")
        .execute(&mut connection)
        .await?;
    let (mut count, begun) = (0, Instant::now());
    while begun.elapsed() < FOR {
        let mut tx = connection.begin().await?;
        for _ in 0..GROUP {
            sqlx::query("insert into bare (content) values (?1)").bind(content).execute(&mut *tx).await?;
            count += 1;
        }
        tx.commit().await?;
    }
    sqlx::query("drop table bare").execute(&mut connection).await?;
    Ok(count)
}

async fn bare_postgres(url: &str, content: &str) -> Result<usize, Failure> {
    let mut connection = sqlx::PgConnection::connect(url).await?;
    sqlx::query(
        "create table if not exists bare (n bigint generated always as identity primary key, content text)",
    )
    .execute(&mut connection)
    .await?;
    let (mut count, begun) = (0, Instant::now());
    while begun.elapsed() < FOR {
        let mut tx = connection.begin().await?;
        for _ in 0..GROUP {
            sqlx::query("insert into bare (content) values ($1)").bind(content).execute(&mut *tx).await?;
            count += 1;
        }
        tx.commit().await?;
    }
    sqlx::query("drop table bare").execute(&mut connection).await?;
    Ok(count)
}
