//! Thousands of clients that are plain sockets, on a few threads that each have a poll: they read as cheaply as they can, and do
//! what a client does: they come back to another node from their position, at the time at which they are asked to.

mod ear;
mod row;

use std::{
    collections::HashSet,
    net::SocketAddr,
    sync::{
        Arc,
        atomic::{AtomicUsize, Ordering},
        mpsc::{Sender, channel},
    },
    time::Duration,
};

use antiphon_testkit::wait_until;
pub use ear::Facts;
use row::{Order, Row};

use super::{PATIENCE, settings::Random};

/// One who is to be seated.
#[derive(Clone)]
pub struct Seat {
    pub node: usize,
    /// Its place in the crowd's topics.
    pub topic: usize,
    pub token: String,
    /// The bytes of its socket's buffer for what it has not read; none: the kernel's choice.
    pub receive_buffer: Option<usize>,
}

impl Seat {
    /// So many, in turn at each node, and of the ones there in turn at each topic.
    pub fn in_turn(count: usize, nodes: usize, topics: usize, token: &str) -> Vec<Self> {
        let seat = |number| Self {
            node: number % nodes,
            topic: number / nodes % topics,
            token: token.to_owned(),
            receive_buffer: None,
        };
        (0..count).map(seat).collect()
    }
}

/// An entry that came to one of them.
#[derive(Clone, Copy)]
pub struct Came {
    pub client: u32,
    pub topic: u16,
    /// Where it was published, and where it came.
    pub from: u8,
    pub to: u8,
    pub offset: u64,
    pub sent_us: u64,
    pub at_us: u64,
}

impl Came {
    pub fn late_us(&self) -> u64 {
        self.at_us.saturating_sub(self.sent_us)
    }
}

/// What a crowd has to tell.
#[derive(Default)]
pub struct Told {
    /// Since it was last asked.
    pub came: Vec<Came>,
    /// One for each client.
    pub facts: Vec<Facts>,
    /// Since the beginning: where and when each upgrade was answered.
    pub accepts: Vec<(usize, u64)>,
    /// Frames that nobody should see, and codes with which nodes closed.
    pub wrong: Vec<String>,
}

impl Told {
    pub fn sum(&self, of: impl Fn(&Facts) -> u64) -> u64 {
        self.facts.iter().map(of).sum()
    }
}

/// Where and what clients are.
pub struct Hall {
    pub addresses: Vec<SocketAddr>,
    pub topics: Vec<String>,
    live: AtomicUsize,
}

/// A crowd that listens.
pub struct Crowd {
    rows: Vec<Sender<Order>>,
    hall: Arc<Hall>,
    seats: usize,
}

impl Crowd {
    /// Returns when all are subscribed.
    pub fn seat(
        addresses: Vec<SocketAddr>,
        topics: &[String],
        seats: Vec<Seat>,
        threads: usize,
        seed: u64,
    ) -> Self {
        let hall = Arc::new(Hall { addresses, topics: topics.to_vec(), live: AtomicUsize::new(0) });
        let count = seats.len();
        let mut shares: Vec<Vec<(usize, Seat)>> = vec![Vec::new(); threads.max(1)];
        for (client, seat) in seats.into_iter().enumerate() {
            shares[client % threads.max(1)].push((client, seat));
        }
        let rows = shares.into_iter().enumerate().map(|(number, share)| {
            let (orders, from) = channel();
            let row = Row::new(hall.clone(), share, from, Random(seed ^ number as u64));
            std::thread::spawn(move || row.live());
            orders
        });
        let crowd = Self { rows: rows.collect(), hall, seats: count };
        crowd.wait_for_all();
        crowd
    }

    /// Waits until all are subscribed.
    pub fn wait_for_all(&self) {
        wait_until(PATIENCE, "all are subscribed", || self.live() == self.seats);
    }

    /// How many are subscribed.
    pub fn live(&self) -> usize {
        self.hall.live.load(Ordering::Relaxed)
    }

    /// These stop reading.
    pub fn hold(&self, clients: HashSet<usize>) {
        let clients = Arc::new(clients);
        self.order(|| Order::Hold(clients.clone()));
    }

    /// All read again.
    pub fn release(&self) {
        self.order(|| Order::Release);
    }

    /// From now on gaps count.
    pub fn mark(&self) {
        self.order(|| Order::Mark);
    }

    pub fn tell(&self) -> Told {
        let (to, told) = channel();
        self.order(|| Order::Tell(to.clone()));
        drop(to);
        let mut all = Told::default();
        for told in told {
            all.came.extend(told.came);
            all.facts.extend(told.facts);
            all.accepts.extend(told.accepts);
            all.wrong.extend(told.wrong);
        }
        all.facts.sort_by_key(|facts| facts.client);
        all
    }

    /// Waits until all of them have reached these heads, by the names of their topics; whether they have.
    pub fn reach(
        &self,
        heads: &std::collections::HashMap<String, u64>,
        patience: Duration,
        came: &mut Vec<Came>,
    ) -> bool {
        let until = std::time::Instant::now() + patience;
        loop {
            let told = self.tell();
            came.extend(told.came);
            let is_there = |facts: &Facts| {
                facts.offset >= heads.get(&self.hall.topics[facts.topic]).copied().unwrap_or(0)
            };
            if told.facts.iter().all(is_there) {
                return true;
            }
            if std::time::Instant::now() > until {
                return false;
            }
            std::thread::sleep(Duration::from_millis(50)); // poll: what other threads read.
        }
    }

    fn order(&self, order: impl Fn() -> Order) {
        self.rows.iter().for_each(|row| row.send(order()).unwrap());
    }
}
