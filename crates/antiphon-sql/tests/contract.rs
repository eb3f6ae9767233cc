//! Each engine keeps each promise of its seams.

use antiphon_contract::{directory, presence, store, tokens};
use antiphon_core::{ApiKeys, Directory, Presence, Store, Tokens};
use antiphon_protocol::ClusterSecret;
use antiphon_sql::{OpenOptions, PostgresEngine, PostgresUrl, SqliteEngine};

async fn keeps_all<E: Store + Directory + Tokens + ApiKeys + Presence>(engine: &E, secret: &ClusterSecret) {
    let kept = [
        ("store", store::suite(engine, secret).await),
        ("store with its tenants", store::suite_with_tenants(engine, engine).await),
        ("directory", directory::suite(engine).await),
        ("tokens", tokens::suite(engine).await),
        ("presence", presence::suite(engine).await),
    ];
    for (seam, count) in kept {
        println!("{seam}: {count} promises kept");
        assert!(count > 0, "{seam}");
    }
}

#[tokio::test]
async fn sqlite_keeps_each_promise() {
    let folder = tempfile::tempdir().unwrap();
    let engine = SqliteEngine::open(folder.path().join("a.db"), OpenOptions::default()).await.unwrap();
    keeps_all(&engine, &engine.secret()).await;
    // With a past of its own, and by another process.
    engine.close().await;
    let again = SqliteEngine::open(folder.path().join("a.db"), OpenOptions::default()).await.unwrap();
    keeps_all(&again, &again.secret()).await;
}

#[tokio::test]
async fn postgres_keeps_each_promise() {
    let Some(server) = antiphon_testkit::shared_postgres("postgres_keeps_each_promise") else { return };
    let url = PostgresUrl::parse(&server.url()).unwrap();
    PostgresEngine::migrate(&url, &OpenOptions::default()).await.unwrap();
    let engine = PostgresEngine::connect(&url, OpenOptions::default()).await.unwrap();
    keeps_all(&engine, &engine.secret()).await;
    engine.close().await;
    let again = PostgresEngine::connect(&url, OpenOptions::default()).await.unwrap();
    keeps_all(&again, &again.secret()).await;
}
