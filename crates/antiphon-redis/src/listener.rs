//! The listening connection: made again whenever it is lost, with everything that is wanted subscribed again. A Redis
//! that is there but does not answer is found by a ping.

use std::{collections::HashSet, sync::Arc, time::Duration};

use antiphon_core::backoff;
use redis::{RedisError, RedisResult, Value, aio::MultiplexedConnection};

use crate::{dispatch::Dispatch, interest::Changes, line::Line, options::Dialer, reason::reason};

/// How often the connection is asked whether it is alive.
const PING_EVERY: Duration = Duration::from_secs(1);
/// After how many pings it is tried again to listen to what Redis refused.
const REFUSED_PINGS: u32 = 10;
/// Commands of one pipeline.
const BATCH: usize = 500;
/// Failed attempts between two lines in the log that say the same.
const QUIET_ATTEMPTS: u32 = 20;

/// Keeps the connection for ever.
pub(crate) async fn run(dialer: Arc<Dialer>, dispatch: Arc<Dispatch>) {
    let (mut attempt, mut said) = (0, String::new());
    loop {
        let line = Arc::new(Line::default());
        let ended = listen(&dialer, &dispatch, &line).await;
        line.end();
        dispatch.interest.end();
        dispatch.set_up(false);
        match ended {
            Ok(()) => (attempt, said) = (0, String::new()),
            Err(error) => {
                let reason = reason(&error);
                if attempt % QUIET_ATTEMPTS == 0 || reason != said {
                    tracing::warn!(redis = %dialer.address, %reason, "Redis can't be used: it is tried again");
                }
                (attempt, said) = (attempt + 1, reason);
            }
        }
        tokio::time::sleep(backoff(attempt)).await;
    }
}

/// One connection's life. An error: it did not even begin.
async fn listen(dialer: &Dialer, dispatch: &Arc<Dispatch>, line: &Arc<Line>) -> RedisResult<()> {
    let (to, of) = (dispatch.clone(), line.clone());
    let connection = dialer.listen(move |info| {
        to.push(&of, info);
        Ok::<(), redis::aio::SendError>(())
    });
    let mut subscriber = Subscriber { connection: connection.await?, line, refused: HashSet::new() };
    subscriber.say(dispatch.interest.begin()).await?;
    dispatch.set_up(true);
    let mut every = tokio::time::interval(PING_EVERY);
    // Pings that would have been due while Redis kept us waiting are not made up for.
    every.set_missed_tick_behavior(tokio::time::MissedTickBehavior::Delay);
    let mut pings = 0u32;
    loop {
        let alive = tokio::select! {
            () = line.lost.notified() => false,
            () = dispatch.changed.notified() => subscriber.say(dispatch.interest.take()).await.is_ok(),
            _ = every.tick() => {
                pings = pings.wrapping_add(1);
                if pings.is_multiple_of(REFUSED_PINGS) && !subscriber.refused.is_empty() {
                    dispatch.interest.again(subscriber.refused.drain());
                    dispatch.changed.notify_one();
                }
                subscriber.ping().await
            }
        };
        if !alive {
            return Ok(());
        }
    }
}

struct Subscriber<'a> {
    line: &'a Line,
    connection: MultiplexedConnection,
    /// What Redis does not let us listen to.
    refused: HashSet<String>,
}

impl Subscriber<'_> {
    async fn ping(&mut self) -> bool {
        let ping = redis::cmd("PING");
        let answer = self.line.answer(ping.exec_async(&mut self.connection)).await;
        answer.is_some_and(|answer| answer.is_ok())
    }

    /// Says the changes, one command for each channel: if one is refused, it alone is. An error: the connection is lost.
    async fn say(&mut self, changes: Changes) -> RedisResult<()> {
        for (command, names) in [("SUBSCRIBE", changes.subscribe), ("UNSUBSCRIBE", changes.unsubscribe)] {
            for names in names.chunks(BATCH) {
                let mut pipeline = redis::pipe();
                for name in names {
                    pipeline.cmd(command).arg(name);
                }
                pipeline.ignore_errors();
                let answers = pipeline.query_async::<Vec<RedisResult<Value>>>(&mut self.connection);
                let silent = || RedisError::from(std::io::Error::from(std::io::ErrorKind::TimedOut));
                let answers = self.line.answer(answers).await.ok_or_else(silent)??;
                self.note(names, &answers);
            }
        }
        Ok(())
    }

    fn note(&mut self, names: &[String], answers: &[RedisResult<Value>]) {
        let before = self.refused.len();
        for (name, answer) in names.iter().zip(answers) {
            match answer {
                Ok(_) => drop(self.refused.remove(name)),
                Err(_) => drop(self.refused.insert(name.clone())),
            }
        }
        let error = answers.iter().find_map(|answer| answer.as_ref().err());
        if let Some(error) = error.filter(|_| self.refused.len() > before) {
            let channels = self.refused.len();
            tracing::warn!(reason = %reason(error), channels, "Redis does not let us listen: check the user's channels");
        }
    }
}
