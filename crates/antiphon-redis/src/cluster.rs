//! Where a cluster's slots are: asked from any of its servers that sees the cluster whole.

use std::{collections::HashSet, time::Duration};

use futures_util::{StreamExt, stream};
use redis::{ErrorKind, RedisResult, Value};

use crate::{
    address::Server,
    dialer::{Dialer, silent},
    map::Map,
};

/// How long one server has to answer.
const PATIENCE: Duration = Duration::from_secs(1);
/// Servers that are asked at a time.
const AT_ONCE: usize = 2;
/// Servers that are asked before it is given up for now.
const ASKED_MAX: usize = 16;

/// The map, as one of the servers that are known, or else of those that the URL names, has it.
pub(crate) async fn map(dialer: &Dialer, known: Vec<Server>) -> RedisResult<Map> {
    let mut candidates: Vec<Server> = known.into_iter().collect::<HashSet<_>>().into_iter().collect();
    // Another first one each time: one that is cut off does not know that it is.
    if !candidates.is_empty() {
        let first = rand::random_range(0..candidates.len());
        candidates.rotate_left(first);
    }
    candidates.extend(dialer.url.servers.iter().cloned());
    let mut seen = HashSet::new();
    candidates.retain(|server| seen.insert(server.clone()));
    candidates.truncate(ASKED_MAX);
    let asked = candidates.into_iter().map(|server| async move {
        let asked = tokio::time::timeout(PATIENCE, ask(dialer, &server)).await;
        asked.unwrap_or_else(|_| Err(silent()))
    });
    let mut asked = stream::iter(asked).buffer_unordered(AT_ONCE);
    let mut error = silent();
    while let Some(map) = asked.next().await {
        match map {
            Ok(map) => return Ok(map),
            Err(failed) => error = failed,
        }
    }
    Err(error)
}

async fn ask(dialer: &Dialer, server: &Server) -> RedisResult<Map> {
    let mut connection = dialer.command(server).await?;
    let mut questions = redis::pipe();
    questions.cmd("CLUSTER").arg("INFO");
    questions.cmd("CLUSTER").arg("SLOTS");
    let (info, slots): (String, Value) = questions.query_async(&mut connection).await?;
    if !info.lines().any(|line| line.trim_end() == "cluster_state:ok") {
        return Err((ErrorKind::Client, "the cluster is not whole").into());
    }
    let nonsense = (ErrorKind::Client, "its slots make no sense");
    Map::of_slots(&slots, server).ok_or_else(|| nonsense.into())
}
