//! The publishing connection: what has queued leaves in one pipeline. What can't be sent is dropped and counted: the
//! store has it.

use std::sync::{
    Arc,
    atomic::{AtomicUsize, Ordering},
};

use bytes::Bytes;
use redis::{RedisResult, Value, aio::MultiplexedConnection};
use tokio::{sync::mpsc, time::Instant};

use crate::{
    dispatch::Dispatch,
    options::{Dialer, PATIENCE, RedisOptions, backoff},
    reason::reason,
};

/// Posts of one pipeline, and bytes after which it takes no more.
const BATCH: usize = 512;
const BATCH_BYTES: usize = 1024 * 1024;

/// A post on its way.
struct Post {
    channel: String,
    bytes: Bytes,
}

impl Post {
    fn size(&self) -> usize {
        self.channel.len() + self.bytes.len()
    }
}

/// Where posts wait: so many, and so many bytes.
pub(crate) struct Posts {
    queue: mpsc::Sender<Post>,
    waiting_bytes: Arc<AtomicUsize>,
    bytes_max: usize,
}

/// The queue's other end.
pub(crate) struct Waiting {
    queue: mpsc::Receiver<Post>,
    bytes: Arc<AtomicUsize>,
}

/// A queue with these bounds.
pub(crate) fn queue(options: &RedisOptions) -> (Posts, Waiting) {
    let (sender, receiver) = mpsc::channel(options.queue.max(1));
    let bytes = Arc::new(AtomicUsize::new(0));
    let posts = Posts { queue: sender, waiting_bytes: bytes.clone(), bytes_max: options.queue_bytes };
    (posts, Waiting { queue: receiver, bytes })
}

impl Posts {
    /// False if it has no room.
    pub fn put(&self, channel: String, bytes: Bytes) -> bool {
        let post = Post { channel, bytes };
        let size = post.size();
        if self.waiting_bytes.fetch_add(size, Ordering::Relaxed) + size <= self.bytes_max
            && self.queue.try_send(post).is_ok()
        {
            return true;
        }
        self.waiting_bytes.fetch_sub(size, Ordering::Relaxed);
        false
    }
}

impl Waiting {
    fn taken(&self, post: Post) -> Post {
        self.bytes.fetch_sub(post.size(), Ordering::Relaxed);
        post
    }

    /// None if nobody will post any more.
    async fn next(&mut self) -> Option<Post> {
        let post = self.queue.recv().await?;
        Some(self.taken(post))
    }

    /// All that waits, up to a batch's bounds; at least one. Empty if nobody will post any more.
    async fn batch(&mut self) -> Vec<Post> {
        let mut batch = Vec::from_iter(self.next().await);
        let mut bytes = 0;
        while batch.len() < BATCH
            && bytes < BATCH_BYTES
            && let Ok(post) = self.queue.try_recv()
        {
            bytes += post.size();
            batch.push(self.taken(post));
        }
        batch
    }
}

/// Sends for ever.
pub(crate) async fn run(dialer: Arc<Dialer>, dispatch: Arc<Dispatch>, mut waiting: Waiting) {
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
    waiting: &mut Waiting,
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

#[cfg(test)]
mod tests {
    use super::*;

    #[tokio::test]
    async fn what_waits_is_bounded_in_number_and_in_bytes_and_room_comes_back() {
        let options = RedisOptions { queue: 3, queue_bytes: 100, ..RedisOptions::new("redis://h") };
        let (posts, mut waiting) = queue(&options);
        let put = |size: usize| posts.put("c".into(), vec![0; size].into());
        assert!(put(60) && !put(60) && put(30) && !put(8) && put(1) && !put(1));
        assert_eq!(waiting.batch().await.len(), 3);
        assert!(put(99) && !put(0));
        assert!(waiting.next().await.is_some());
        assert!((0..3).all(|_| put(0)) && !put(0));
        drop(posts);
        assert_eq!((waiting.batch().await.len(), waiting.batch().await.len()), (3, 0));
    }

    #[tokio::test]
    async fn a_pipeline_ends_at_its_bytes() {
        let (posts, mut waiting) = queue(&RedisOptions::new("redis://h"));
        for _ in 0..100 {
            assert!(posts.put("c".into(), vec![0; 64 * 1024].into()));
        }
        assert!((16..=18).contains(&waiting.batch().await.len()));
    }
}
