//! What waits to be posted: bounded in number and in bytes, so that a broker that is slow costs no memory and no time.

use std::sync::{
    Arc,
    atomic::{AtomicUsize, Ordering},
};

use bytes::Bytes;
use tokio::sync::mpsc;

/// Posts that are sent at a time, and bytes after which a batch takes no more.
const BATCH: usize = 512;
const BATCH_BYTES: usize = 1024 * 1024;

/// A post on its way.
#[derive(Debug)]
pub struct Post {
    /// The channel's name, as the engine has it.
    pub channel: String,
    /// The envelope.
    pub bytes: Bytes,
    /// It was sent before, to somebody who sent it on.
    pub is_again: bool,
}

impl Post {
    fn size(&self) -> usize {
        self.channel.len() + self.bytes.len()
    }
}

/// Where posts wait: so many, and so many bytes.
pub struct Posts {
    queue: mpsc::Sender<Post>,
    waiting_bytes: Arc<AtomicUsize>,
    bytes_max: usize,
}

/// Where an engine takes them from, in batches.
pub struct WaitingPosts {
    queue: mpsc::Receiver<Post>,
    bytes: Arc<AtomicUsize>,
}

impl Posts {
    /// A queue for so many posts that have so many bytes together.
    pub fn queue(posts_max: usize, bytes_max: usize) -> (Self, WaitingPosts) {
        let (sender, receiver) = mpsc::channel(posts_max.max(1));
        let bytes = Arc::new(AtomicUsize::new(0));
        let posts = Self { queue: sender, waiting_bytes: bytes.clone(), bytes_max };
        (posts, WaitingPosts { queue: receiver, bytes })
    }

    /// Another queue for so many posts, whose bytes count together with those of this one.
    pub fn beside(&self, posts_max: usize) -> (Self, WaitingPosts) {
        let (sender, receiver) = mpsc::channel(posts_max.max(1));
        let bytes = self.waiting_bytes.clone();
        let posts = Self { queue: sender, waiting_bytes: bytes.clone(), bytes_max: self.bytes_max };
        (posts, WaitingPosts { queue: receiver, bytes })
    }

    /// False if it has no room.
    pub fn put(&self, channel: String, bytes: Bytes, is_again: bool) -> bool {
        let post = Post { channel, bytes, is_again };
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

impl Drop for WaitingPosts {
    fn drop(&mut self) {
        // The room of what nobody will take is for the queues beside.
        self.queue.close();
        while let Ok(post) = self.queue.try_recv() {
            self.taken(post);
        }
    }
}

impl WaitingPosts {
    fn taken(&self, post: Post) -> Post {
        self.bytes.fetch_sub(post.size(), Ordering::Relaxed);
        post
    }

    /// None if nobody will post any more.
    pub async fn next(&mut self) -> Option<Post> {
        let post = self.queue.recv().await?;
        Some(self.taken(post))
    }

    /// All that waits, up to a batch's bounds; at least one. Empty if nobody will post any more.
    pub async fn batch(&mut self) -> Vec<Post> {
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

#[cfg(test)]
mod tests {
    use super::*;

    #[tokio::test]
    async fn what_waits_is_bounded_in_number_and_in_bytes_and_room_comes_back() {
        let (posts, mut waiting) = Posts::queue(3, 100);
        let put = |size: usize| posts.put("c".into(), vec![0; size].into(), false);
        assert!(put(60) && !put(60) && put(30) && !put(8) && put(1) && !put(1));
        assert_eq!(waiting.batch().await.len(), 3);
        assert!(put(99) && !put(0));
        assert!(waiting.next().await.is_some());
        assert!((0..3).all(|_| put(0)) && !put(0));
        drop(posts);
        assert_eq!((waiting.batch().await.len(), waiting.batch().await.len()), (3, 0));
    }

    #[tokio::test]
    async fn a_batch_ends_at_its_bytes() {
        let (posts, mut waiting) = Posts::queue(16 * 1024, 64 * 1024 * 1024);
        for _ in 0..100 {
            assert!(posts.put("c".into(), vec![0; 64 * 1024].into(), false));
        }
        assert!((16..=18).contains(&waiting.batch().await.len()));
    }

    #[tokio::test]
    async fn queues_side_by_side_share_their_bytes_and_one_that_ends_gives_its_back() {
        let (one, _waiting) = Posts::queue(3, 100);
        let (two, gone) = one.beside(3);
        let put = |posts: &Posts, size: usize| posts.put("c".into(), vec![0; size].into(), false);
        assert!(put(&two, 89) && !put(&one, 20));
        drop(gone);
        assert!(put(&one, 20) && !put(&two, 1) && put(&one, 70));
    }
}
