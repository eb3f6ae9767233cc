//! All shards of a node.

use std::{
    io,
    sync::{
        Arc,
        atomic::{AtomicUsize, Ordering},
    },
    thread::JoinHandle,
    time::{Duration, Instant},
};

use antiphon_node::Node;
use parking_lot::Mutex;

use crate::{
    Accepted,
    post::{Letters, Post},
    shard::ShardThread,
};

/// How a reactor is set up.
#[derive(Debug, Clone, Default)]
pub struct ReactorOptions {
    /// Threads; 0: one a core.
    pub shards: usize,
}

/// The shards of a node. Dropping it ends their threads.
pub struct Reactor {
    node: Arc<Node>,
    letters: Vec<Arc<Letters>>,
    threads: Mutex<Vec<JoinHandle<()>>>,
    next: AtomicUsize,
    half_open: Arc<AtomicUsize>,
}

impl Reactor {
    /// Starts the shards.
    pub fn start(node: &Arc<Node>, options: &ReactorOptions) -> io::Result<Arc<Self>> {
        let cores = std::thread::available_parallelism().map_or(1, std::num::NonZero::get);
        let count = if options.shards == 0 { cores } else { options.shards };
        let half_open = Arc::new(AtomicUsize::new(0));
        let (mut letters, mut threads) = (Vec::new(), Vec::new());
        let mut shards = Vec::new();
        for _ in 0..count {
            let shard = ShardThread::new(node.clone(), half_open.clone())?;
            letters.push(shard.letters().clone());
            shards.push(shard);
        }
        for (number, shard) in shards.into_iter().enumerate() {
            let thread = std::thread::Builder::new().name(format!("shard-{number}"));
            threads.push(thread.spawn(move || shard.run())?);
        }
        let (node, threads, next) = (node.clone(), Mutex::new(threads), AtomicUsize::new(0));
        Ok(Arc::new(Self { node, letters, threads, next, half_open }))
    }

    /// Gives a connection to the shard whose turn it is.
    pub fn accept(&self, accepted: Accepted) {
        let turn = self.next.fetch_add(1, Ordering::Relaxed);
        let shard = &self.letters[turn % self.letters.len()];
        shard.connections.fetch_add(1, Ordering::Relaxed);
        shard.post(Post::Accept(Box::new(accepted)));
    }

    /// How many connections there are.
    pub fn connections(&self) -> usize {
        self.letters.iter().map(|letters| letters.connections.load(Ordering::Relaxed)).sum()
    }

    /// How many of them have no identity yet.
    pub fn half_open(&self) -> usize {
        self.half_open.load(Ordering::Relaxed)
    }

    /// Asks the clients to leave, spread over this time, then ends what is left with 1012. The node takes no new ones from
    /// here on. Blocks until all are gone, at most some seconds longer.
    pub fn drain(&self, window: Duration) {
        self.node.begin_moving();
        self.letters.iter().for_each(|letters| letters.post(Post::Drain(window)));
        let until = Instant::now() + window + Duration::from_secs(3);
        while self.connections() > 0 && Instant::now() < until {
            // poll: the threads count down by themselves.
            std::thread::sleep(Duration::from_millis(20));
        }
    }

    /// Ends every connection without a word, as a killed process would.
    pub fn kill(&self) {
        self.letters.iter().for_each(|letters| letters.post(Post::Kill));
        self.join();
    }

    fn join(&self) {
        for thread in self.threads.lock().drain(..) {
            drop(thread.join());
        }
    }
}

impl Drop for Reactor {
    fn drop(&mut self) {
        self.letters.iter().for_each(|letters| letters.post(Post::Kill));
        self.join();
    }
}
