//! The publishing connections, one for each Redis that something is posted to: what has queued leaves in one pipeline. What
//! can't be sent is dropped and counted: the store has it.

use std::sync::Arc;

use antiphon_core::{Post, WaitingPosts, backoff};
use futures_util::{StreamExt, stream::FuturesUnordered};
use redis::{RedisResult, Value, aio::MultiplexedConnection};
use tokio::time::Instant;

use crate::{
    address::{Form, Server},
    channel::is_ours,
    dialer::Dialer,
    dispatch::Dispatch,
    options::PATIENCE,
    reason::reason,
    routes::Routes,
    subscriber::redirection,
};

pub(crate) struct Publisher {
    pub dialer: Arc<Dialer>,
    pub dispatch: Arc<Dispatch>,
    pub routes: Arc<Routes>,
}

impl Publisher {
    /// Serves every outlet for ever.
    pub async fn run(self) {
        let mut outlets = FuturesUnordered::new();
        loop {
            tokio::select! {
                () = self.routes.opened.notified() => {
                    let opened = self.routes.opened().into_iter();
                    outlets.extend(opened.map(|(server, waiting)| self.serve(server, waiting)));
                }
                Some(()) = outlets.next(), if !outlets.is_empty() => {}
            }
        }
    }

    /// Sends to one Redis until nobody will post to it any more.
    async fn serve(&self, server: Server, mut waiting: WaitingPosts) {
        let mut came = self.dispatch.came.subscribe();
        let mut attempt = 0;
        loop {
            match self.dialer.command(&server).await {
                Ok(connection) => {
                    let (sent, end) = self.send(connection, &mut waiting).await;
                    if end {
                        return;
                    }
                    attempt = if sent { 0 } else { attempt + 1 };
                }
                Err(_) => attempt += 1,
            }
            // What waits is old by the time Redis is back: the tick will have brought it.
            let until = Instant::now() + backoff(attempt);
            came.mark_unchanged();
            loop {
                tokio::select! {
                    // The listener has found Redis: no need to wait any longer.
                    Ok(()) = came.changed() => break,
                    () = tokio::time::sleep_until(until) => break,
                    post = waiting.next() => match post {
                        Some(_) => self.dispatch.drop_some(1),
                        None => return,
                    }
                }
            }
        }
    }

    /// Sends until the connection is lost; whether anything was sent, and whether nobody will post any more.
    async fn send(&self, mut connection: MultiplexedConnection, waiting: &mut WaitingPosts) -> (bool, bool) {
        let is_cluster = self.dialer.url.form == Form::Cluster;
        let (mut sent, mut is_refused) = (false, false);
        loop {
            let batch = waiting.batch().await;
            if batch.is_empty() {
                return (sent, true);
            }
            let mut pipeline = redis::pipe();
            for post in &batch {
                let is_sharded = is_cluster && is_ours(&post.channel);
                let command = if is_sharded { "SPUBLISH" } else { "PUBLISH" };
                pipeline.cmd(command).arg(&post.channel).arg(post.bytes.as_ref());
            }
            pipeline.ignore_errors();
            let answers = pipeline.query_async::<Vec<RedisResult<Value>>>(&mut connection);
            let Ok(Ok(answers)) = tokio::time::timeout(PATIENCE, answers).await else {
                self.dispatch.drop_some(batch.len());
                return (sent, false);
            };
            sent = true;
            self.note(batch, &answers, &mut is_refused);
        }
    }

    /// What another Redis has is sent there, once; what is refused is counted: the connection is good, the right to publish
    /// is not.
    fn note(&self, batch: Vec<Post>, answers: &[RedisResult<Value>], is_refused: &mut bool) {
        for (post, answer) in batch.into_iter().zip(answers) {
            let Err(error) = answer else { continue };
            let moved = redirection(error);
            if let Some(server) = &moved {
                self.routes.learn(&post.channel, server);
            }
            if moved.is_some() && !post.is_again && self.routes.put(&post.channel, post.bytes, true) {
                continue;
            }
            self.dispatch.drop_some(1);
            if matches!(error.code(), Some("MOVED" | "CLUSTERDOWN" | "READONLY")) {
                self.dispatch.unsettled.notify_one();
            } else if !std::mem::replace(is_refused, true) {
                tracing::warn!(reason = %reason(error), "Redis does not let us publish: later ones are only counted");
            }
        }
    }
}
