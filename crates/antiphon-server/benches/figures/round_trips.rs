//! The bare round trips that any figure here is made of, in the same run and beside the same traffic: a committed insert of one
//! row on one connection to PostgreSQL, and a PUBLISH until its subscriber has it.

use std::{
    sync::{
        Arc,
        atomic::{AtomicBool, Ordering},
    },
    time::{Duration, Instant},
};

use antiphon_testkit::Redis;
use futures_util::StreamExt;
use redis::{aio::MultiplexedConnection, aio::PubSub};
use sqlx::{Connection, PgConnection};
use tokio::{task::JoinHandle, time::timeout};

use super::{cluster::Cluster, latency::Latencies};

/// Between two of each.
const EVERY: Duration = Duration::from_millis(10);
/// A Redis that is slower than this is not there.
const ANSWER: Duration = Duration::from_secs(1);

/// What was measured.
#[derive(Clone, Default)]
pub struct RoundTrips {
    pub postgres: Latencies,
    pub redis: Latencies,
}

/// Measures until it is ended.
pub struct Prober {
    stop: Arc<AtomicBool>,
    postgres: JoinHandle<Vec<u64>>,
    redis: Option<JoinHandle<Vec<u64>>>,
}

impl Prober {
    pub async fn start(cluster: &Cluster) -> Self {
        Self::start_with(cluster, cluster.redis.as_ref()).await
    }

    /// While Redis is away.
    pub async fn start_without_redis(cluster: &Cluster) -> Self {
        Self::start_with(cluster, None).await
    }

    async fn start_with(cluster: &Cluster, redis: Option<&Redis>) -> Self {
        let stop = Arc::new(AtomicBool::new(false));
        let mut connection = PgConnection::connect(&cluster.database.url()).await.unwrap();
        sqlx::query("create table if not exists public.bare (number bigint)")
            .execute(&mut connection)
            .await
            .unwrap();
        let postgres = tokio::spawn(insert(connection, stop.clone()));
        let redis = match redis {
            Some(redis) => {
                let client = redis::Client::open(redis.url()).unwrap();
                let says = client.get_multiplexed_async_connection().await.unwrap();
                let mut hears = client.get_async_pubsub().await.unwrap();
                hears.subscribe("bare").await.unwrap();
                Some(tokio::spawn(ring(says, hears, stop.clone())))
            }
            None => None,
        };
        Self { stop, postgres, redis }
    }

    pub async fn end(self) -> RoundTrips {
        self.stop.store(true, Ordering::Relaxed);
        let postgres = Latencies::new(self.postgres.await.unwrap());
        let redis = match self.redis {
            Some(redis) => Latencies::new(redis.await.unwrap()),
            None => Latencies::default(),
        };
        RoundTrips { postgres, redis }
    }
}

async fn insert(mut connection: PgConnection, stop: Arc<AtomicBool>) -> Vec<u64> {
    let mut took = Vec::new();
    while !stop.load(Ordering::Relaxed) {
        let since = Instant::now();
        let one = sqlx::query("insert into public.bare values ($1)").bind(took.len() as i64);
        one.execute(&mut connection).await.unwrap();
        took.push(since.elapsed().as_micros() as u64);
        super::flow(EVERY).await;
    }
    took
}

async fn ring(mut says: MultiplexedConnection, mut hears: PubSub, stop: Arc<AtomicBool>) -> Vec<u64> {
    let (mut took, mut rung) = (Vec::new(), hears.on_message());
    while !stop.load(Ordering::Relaxed) {
        let since = Instant::now();
        let round = async {
            let told: redis::RedisResult<i64> =
                redis::cmd("PUBLISH").arg("bare").arg(1).query_async(&mut says).await;
            told.is_ok() && rung.next().await.is_some()
        };
        if timeout(ANSWER, round).await != Ok(true) {
            break;
        }
        took.push(since.elapsed().as_micros() as u64);
        super::flow(EVERY).await;
    }
    took
}
