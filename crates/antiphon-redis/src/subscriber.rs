//! What is said over one listening connection, and what Redis answers.
//!
//! An end of a subscription that Redis sends by itself may come while answers are waited for, and the client library would take it
//! for one of them. So each exchange ends with a ping of its own number: if that does not come back in its place, the
//! answers are not to be trusted and the connection is given up.

use std::{collections::HashMap, sync::Arc};

use redis::{ErrorKind, Pipeline, RedisError, RedisResult, Value, aio::MultiplexedConnection};

use crate::{address::Server, channel::is_ours, dialer::silent, interest::Wish, line::Line, reason::reason};

/// Commands of one pipeline.
const BATCH: usize = 500;

/// What a Redis has to be, so that we stay with it.
#[derive(Clone, Copy, PartialEq, Eq)]
pub(crate) enum Footing {
    /// There.
    Alone,
    /// A master: sentinels may make it a replica, which nobody publishes to.
    Master,
    /// One of a cluster, where our channels are sharded.
    Shard,
}

pub(crate) struct Subscriber {
    pub line: Arc<Line>,
    pub connection: MultiplexedConnection,
    pub footing: Footing,
    /// What Redis does not let us listen to.
    pub refused: HashMap<Arc<str>, u64>,
    pings: u64,
}

/// What came of what was said.
#[derive(Default)]
pub(crate) struct Said {
    pub heard: Vec<(Arc<str>, u64)>,
    /// Channels that another Redis has.
    pub moved: Vec<(Arc<str>, Option<Server>)>,
    /// Channels that this Redis can't have now.
    pub lost: Vec<Arc<str>>,
    pub refused: Vec<Arc<str>>,
}

impl Subscriber {
    pub fn new(line: Arc<Line>, connection: MultiplexedConnection, footing: Footing) -> Self {
        Self { line, connection, footing, refused: HashMap::new(), pings: 0 }
    }

    /// Is it there, and what it has to be?
    pub async fn ping(&mut self) -> RedisResult<()> {
        let mut pipeline = redis::pipe();
        if self.footing == Footing::Master {
            pipeline.cmd("ROLE");
        }
        let answers = self.exchange(pipeline).await?;
        match answers.first() {
            Some(Ok(Value::Array(role))) if role.first() != Some(&Value::BulkString(b"master".to_vec())) => {
                Err((ErrorKind::Client, "it is no master").into())
            }
            Some(Err(error)) => Err(error.clone()),
            _ => Ok(()),
        }
    }

    /// Says what is wished, one command for each channel: if one is refused, it alone is. An error: the connection is lost.
    pub async fn say(&mut self, wishes: HashMap<Arc<str>, Wish>) -> RedisResult<Said> {
        let mut said = Said::default();
        let wishes: Vec<(Arc<str>, Wish)> = wishes.into_iter().collect();
        for wishes in wishes.chunks(BATCH) {
            let mut pipeline = redis::pipe();
            for (channel, wish) in wishes {
                let is_sharded = self.footing == Footing::Shard && is_ours(channel);
                pipeline.cmd(command(is_sharded, wish.is_some())).arg(channel.as_bytes());
                if wish.is_none() {
                    self.line.expect_end(channel);
                }
            }
            let answers = self.exchange(pipeline).await?;
            for ((channel, wish), answer) in wishes.iter().zip(answers) {
                self.note(channel, *wish, answer, &mut said);
            }
        }
        Ok(said)
    }

    fn note(&mut self, channel: &Arc<str>, wish: Wish, answer: RedisResult<Value>, said: &mut Said) {
        self.refused.remove(channel);
        let Some(number) = wish else {
            if answer.is_err() {
                // No end of it will come.
                self.line.ended(channel);
            }
            return;
        };
        let Err(error) = answer else {
            said.heard.push((channel.clone(), number));
            return;
        };
        match error.code() {
            Some("MOVED" | "ASK") => said.moved.push((channel.clone(), redirection(&error))),
            Some("CLUSTERDOWN" | "TRYAGAIN" | "LOADING" | "MASTERDOWN") => said.lost.push(channel.clone()),
            _ => {
                if self.refused.insert(channel.clone(), number).is_none() && self.refused.len() == 1 {
                    let reason = reason(&error);
                    tracing::warn!(%reason, "Redis does not let us listen: check the user's channels");
                }
                said.refused.push(channel.clone());
            }
        }
    }

    async fn exchange(&mut self, mut pipeline: Pipeline) -> RedisResult<Vec<RedisResult<Value>>> {
        self.pings += 1;
        let number = self.pings.to_string();
        pipeline.cmd("PING").arg(&number);
        pipeline.ignore_errors();
        let answers = pipeline.query_async::<Vec<RedisResult<Value>>>(&mut self.connection);
        let mut answers = self.line.answer(answers).await.ok_or_else(silent)??;
        match answers.pop() {
            Some(Ok(Value::BulkString(pong))) if pong == number.as_bytes() => Ok(answers),
            Some(Err(error)) if error.code() != Some("MOVED") => Err(error),
            _ => Err((ErrorKind::UnexpectedReturnType, "an answer is out of its place").into()),
        }
    }
}

fn command(is_sharded: bool, is_beginning: bool) -> &'static str {
    match (is_sharded, is_beginning) {
        (false, true) => "SUBSCRIBE",
        (false, false) => "UNSUBSCRIBE",
        (true, true) => "SSUBSCRIBE",
        (true, false) => "SUNSUBSCRIBE",
    }
}

/// Where Redis sends us, if it says so. Without a host it is the one that says it, which is none.
pub(crate) fn redirection(error: &RedisError) -> Option<Server> {
    let (address, _) = error.redirect_node()?;
    let (host, port) = address.rsplit_once(':')?;
    let port = port.parse().ok()?;
    (!host.is_empty() && host != "?").then(|| Server::new(host, port))
}
