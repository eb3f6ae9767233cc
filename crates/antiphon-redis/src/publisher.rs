//! The publishing connection: what has queued leaves in one pipeline. What can't be sent is dropped and counted: the
//! store has it.

use std::sync::Arc;

use antiphon_core::{WaitingPosts, backoff};
use redis::{RedisResult, Value, aio::MultiplexedConnection};
use tokio::time::Instant;

use crate::{
    dispatch::Dispatch,
    options::{Dialer, PATIENCE},
    reason::reason,
};

/// Sends for ever.
pub(crate) async fn run(dialer: Arc<Dialer>, dispatch: Arc<Dispatch>, mut waiting: WaitingPosts) {
    let mut attempt = 0;
    loop {
        match dialer.publish().await {
            Ok(connection) => {
                let (sent, end) = send(connection, &dispatch, &mut waiting).await;
                if end {
                    return;
                }
                attempt = if sent { 0 } else { attempt + 1 };
            }
            Err(_) => attempt += 1,
        }
        // What waits is old by the time Redis is back: the tick will have brought it.
        let until = Instant::now() + backoff(attempt);
        loop {
            tokio::select! {
                // The listener has found Redis: no need to wait any longer.
                () = dispatch.came.notified() => break,
                () = tokio::time::sleep_until(until) => break,
                post = waiting.next() => match post {
                    Some(_) => dispatch.drop_some(1),
                    None => return,
                }
            }
        }
    }
}

/// Sends until the connection is lost; whether anything was sent, and whether nobody will post any more.
async fn send(
    mut connection: MultiplexedConnection,
    dispatch: &Dispatch,
    waiting: &mut WaitingPosts,
) -> (bool, bool) {
    let (mut sent, mut is_refused) = (false, false);
    loop {
        let batch = waiting.batch().await;
        if batch.is_empty() {
            return (sent, true);
        }
        let mut pipeline = redis::pipe();
        for post in &batch {
            pipeline.cmd("PUBLISH").arg(&post.channel).arg(post.bytes.as_ref());
        }
        pipeline.ignore_errors();
        let answers = pipeline.query_async::<Vec<RedisResult<Value>>>(&mut connection);
        let Ok(Ok(answers)) = tokio::time::timeout(PATIENCE, answers).await else {
            dispatch.drop_some(batch.len());
            return (sent, false);
        };
        sent = true;
        // Refused by a Redis that answers: the connection is good, the right to publish is not.
        let mut refusals = answers.iter().filter_map(|answer| answer.as_ref().err());
        if let Some(first) = refusals.next() {
            dispatch.drop_some(1 + refusals.count());
            if !std::mem::replace(&mut is_refused, true) {
                tracing::warn!(reason = %reason(first), "Redis does not let us publish: later ones are only counted");
            }
        }
    }
}
