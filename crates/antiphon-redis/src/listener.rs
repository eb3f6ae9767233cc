//! The listening connection: made again whenever it is lost, with everything that is wanted subscribed again. A Redis
//! that is there but does not answer is found by a ping.

use std::{collections::HashSet, sync::Arc, time::Duration};

use redis::{PushInfo, PushKind, aio::MultiplexedConnection};
use tokio::sync::Notify;

use crate::{
    dispatch::Dispatch,
    options::{Dialer, PATIENCE, backoff},
};

/// How often the connection is asked whether it is alive.
const PING_EVERY: Duration = Duration::from_secs(1);
/// Commands of one pipeline.
const BATCH: usize = 500;

/// Keeps the connection for ever.
pub(crate) async fn run(dialer: Arc<Dialer>, dispatch: Arc<Dispatch>) {
    let mut attempt = 0;
    loop {
        match listen(&dialer, &dispatch).await {
            Ok(()) => attempt = 0,
            Err(error) => {
                if attempt % 20 == 0 {
                    tracing::warn!(redis = %dialer.address, kind = ?error.kind(), "Redis is not there: it is tried again");
                }
                attempt += 1;
            }
        }
        dispatch.set_up(false);
        tokio::time::sleep(backoff(attempt)).await;
    }
}

/// One connection's life. An error: it did not even begin.
async fn listen(dialer: &Dialer, dispatch: &Arc<Dispatch>) -> redis::RedisResult<()> {
    // Each connection has its own: the end of an earlier one says nothing of this.
    let lost = Arc::new(Notify::new());
    let (to, tell) = (dispatch.clone(), lost.clone());
    let mut connection = dialer
        .listen(move |info: PushInfo| {
            match info.kind {
                PushKind::Disconnection => tell.notify_one(),
                _ => to.push(info),
            }
            Ok::<(), redis::aio::SendError>(())
        })
        .await?;
    let mut held = HashSet::new();
    follow(&mut connection, dispatch, &mut held).await?;
    dispatch.set_up(true);
    let mut every = tokio::time::interval(PING_EVERY);
    loop {
        let alive = tokio::select! {
            () = lost.notified() => false,
            () = dispatch.changed.notified() => follow(&mut connection, dispatch, &mut held).await.is_ok(),
            _ = every.tick() => ping(&mut connection).await,
        };
        if !alive {
            return Ok(());
        }
    }
}

async fn ping(connection: &mut MultiplexedConnection) -> bool {
    let ping = redis::cmd("PING");
    let answer = tokio::time::timeout(PATIENCE, ping.exec_async(connection));
    answer.await.is_ok_and(|answer| answer.is_ok())
}

/// Subscribes what is wanted and not held, and the other way round. One command for each channel: a lost one is one.
async fn follow(
    connection: &mut MultiplexedConnection,
    dispatch: &Dispatch,
    held: &mut HashSet<String>,
) -> redis::RedisResult<()> {
    let wanted: HashSet<String> = dispatch.wanted().into_iter().collect();
    let missing: Vec<String> = wanted.difference(held).cloned().collect();
    let surplus: Vec<String> = held.difference(&wanted).cloned().collect();
    for (command, names) in [("SUBSCRIBE", missing), ("UNSUBSCRIBE", surplus)] {
        for names in names.chunks(BATCH) {
            let mut pipeline = redis::pipe();
            for name in names {
                pipeline.cmd(command).arg(name).ignore();
            }
            pipeline.exec_async(connection).await?;
        }
    }
    *held = wanted;
    Ok(())
}
