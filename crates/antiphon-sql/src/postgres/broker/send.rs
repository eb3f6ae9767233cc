//! The sending connection: what has queued leaves in one transaction. What can't be sent is dropped and counted: the
//! store has it.

use std::{
    sync::{
        Arc,
        atomic::{AtomicU64, Ordering},
    },
    time::Duration,
};

use antiphon_core::{Post, WaitingPosts, backoff};
use sqlx::PgConnection;
use tokio::time::Instant;

use super::{
    hear::{CHANNEL, Hearing, PATIENCE},
    payload,
    seal::Sealer,
};
use crate::postgres::PostgresUrl;

/// The least time between two transactions: all of the database's listeners are woken by each.
const GATHER: Duration = Duration::from_millis(4);

/// Sends for ever.
pub(super) async fn run(
    url: PostgresUrl,
    hearing: Arc<Hearing>,
    mut waiting: WaitingPosts,
    mut sealer: Sealer,
    dropped: Arc<AtomicU64>,
) {
    let mut attempt = 0;
    loop {
        if let Ok(connection) = url.within(PATIENCE, url.connect()).await {
            let Some(sent) = send(connection, &mut waiting, &mut sealer, &dropped).await else { return };
            attempt = if sent { 0 } else { attempt + 1 };
        } else {
            attempt += 1;
        }
        // What waits is old by the time PostgreSQL is back: the tick will have brought it.
        let until = Instant::now() + backoff(attempt);
        loop {
            tokio::select! {
                () = hearing.came.notified() => break,
                () = tokio::time::sleep_until(until) => break,
                post = waiting.next() => match post {
                    Some(_) => drop(dropped.fetch_add(1, Ordering::Relaxed)),
                    None => return,
                }
            }
        }
    }
}

/// Sends until the connection is lost; whether anything was sent. None: nobody will post any more.
async fn send(
    mut connection: PgConnection,
    waiting: &mut WaitingPosts,
    sealer: &mut Sealer,
    dropped: &AtomicU64,
) -> Option<bool> {
    // A ring that is lost costs a tick; waiting for the disk would cost each of them.
    let set = sqlx::query("select set_config('synchronous_commit', 'off', false)").execute(&mut connection);
    if !matches!(tokio::time::timeout(PATIENCE, set).await, Ok(Ok(_))) {
        return Some(false);
    }
    let mut number: u64 = rand::random();
    let mut sent = false;
    loop {
        let batch = waiting.batch().await;
        if batch.is_empty() {
            return None;
        }
        let begun = Instant::now();
        if !notify(&mut connection, &batch, &mut number, sealer, dropped).await {
            dropped.fetch_add(batch.len() as u64, Ordering::Relaxed);
            return Some(sent);
        }
        sent = true;
        tokio::time::sleep_until(begun + GATHER).await;
    }
}

async fn notify(
    connection: &mut PgConnection,
    batch: &[Post],
    number: &mut u64,
    sealer: &mut Sealer,
    dropped: &AtomicU64,
) -> bool {
    let mut payloads = Vec::with_capacity(batch.len());
    for post in batch {
        *number = number.wrapping_add(1);
        match payload::of(*number, &post.channel, &sealer.seal(&post.channel, &post.bytes)) {
            Some(pieces) => payloads.extend(pieces),
            None => drop(dropped.fetch_add(1, Ordering::Relaxed)),
        }
    }
    let notify = sqlx::query("select pg_notify($1, p) from unnest($2::text[]) p")
        .bind(CHANNEL)
        .bind(&payloads)
        .execute(connection);
    matches!(tokio::time::timeout(PATIENCE, notify).await, Ok(Ok(_)))
}
