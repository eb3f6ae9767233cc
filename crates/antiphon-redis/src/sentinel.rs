//! Who is the master: what most of the sentinels say, and of what they say the newest.

use std::{collections::HashMap, time::Duration};

use futures_util::{StreamExt, stream::FuturesUnordered};
use redis::{ErrorKind, RedisResult};

use crate::{
    address::{Login, Server},
    dialer::{Dialer, silent},
};

/// How long one sentinel has to answer.
const PATIENCE: Duration = Duration::from_secs(1);

/// What one sentinel says: the age of its knowledge, and the master.
type Said = (u64, Server);

/// Asks all sentinels at once. Those that are cut off may still name an old master: what is said under the highest number
/// of a failover counts, once most of them have spoken.
pub(crate) async fn master(dialer: &Dialer, name: &str, login: &Login) -> RedisResult<Server> {
    let sentinels = &dialer.url.servers;
    let asked = sentinels.iter().cloned().map(|sentinel| async move {
        let asked = tokio::time::timeout(PATIENCE, ask(dialer, &sentinel, name, login)).await;
        asked.unwrap_or_else(|_| Err(silent()))
    });
    let mut asked: FuturesUnordered<_> = asked.collect();
    let (mut newest, mut spoke, mut error): (Option<Said>, usize, _) = (None, 0, silent());
    while let Some(said) = asked.next().await {
        match said {
            Err(failed) => error = failed,
            Ok(said) => {
                spoke += 1;
                if newest.as_ref().is_none_or(|(number, _)| *number < said.0) {
                    newest = Some(said);
                }
                if spoke > sentinels.len() / 2 {
                    break;
                }
            }
        }
    }
    newest.map(|(_, server)| server).ok_or(error)
}

async fn ask(dialer: &Dialer, sentinel: &Server, name: &str, login: &Login) -> RedisResult<Said> {
    let mut connection = dialer.sentinel(sentinel, login).await?;
    let mut questions = redis::pipe();
    questions.cmd("SENTINEL").arg("MASTER").arg(name);
    questions.cmd("SENTINEL").arg("GET-MASTER-ADDR-BY-NAME").arg(name);
    let (facts, address): (HashMap<String, String>, Option<(String, u16)>) =
        questions.query_async(&mut connection).await?;
    let number = facts.get("config-epoch").and_then(|number| number.parse().ok()).unwrap_or_default();
    // During a failover only the address is that of the new master already.
    let (host, port) = address.ok_or((ErrorKind::Client, "the sentinels know no master of this name"))?;
    Ok((number, Server::new(&host, port)))
}
