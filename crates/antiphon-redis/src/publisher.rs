//! The publishing connection: what has queued leaves in one pipeline. What can't be sent is dropped and counted: the
//! store has it.

use std::sync::{Arc, atomic::Ordering};

use bytes::Bytes;
use tokio::sync::mpsc;

use crate::{
    dispatch::Dispatch,
    options::{Dialer, PATIENCE, backoff},
};

/// Posts of one pipeline.
const BATCH: usize = 512;

/// A post on its way.
pub(crate) type Post = (String, Bytes);

/// Sends for ever.
pub(crate) async fn run(dialer: Arc<Dialer>, dispatch: Arc<Dispatch>, mut posts: mpsc::Receiver<Post>) {
    let mut attempt = 0;
    loop {
        let connection = dialer.publish().await;
        let Ok(mut connection) = connection else {
            attempt += 1;
            // What waits is old by the time Redis is back: the tick will have brought it.
            let until = tokio::time::Instant::now() + backoff(attempt);
            while let Ok(post) = tokio::time::timeout_at(until, posts.recv()).await {
                if post.is_none() {
                    return;
                }
                dispatch.dropped.fetch_add(1, Ordering::Relaxed);
            }
            continue;
        };
        attempt = 0;
        let mut batch = Vec::new();
        loop {
            if posts.recv_many(&mut batch, BATCH).await == 0 {
                return;
            }
            let mut pipeline = redis::pipe();
            for (channel, bytes) in &batch {
                pipeline.cmd("PUBLISH").arg(channel).arg(bytes.as_ref()).ignore();
            }
            let sent = tokio::time::timeout(PATIENCE, pipeline.exec_async(&mut connection)).await;
            if !matches!(sent, Ok(Ok(()))) {
                dispatch.dropped.fetch_add(batch.len() as u64, Ordering::Relaxed);
                break;
            }
            batch.clear();
        }
    }
}
