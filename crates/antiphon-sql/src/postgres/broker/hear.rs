//! The listening connection: made again whenever it is lost, and up only once it has heard itself, since a pooler
//! between us and PostgreSQL may take a LISTEN and never bring anything.

use std::{
    collections::{HashMap, HashSet},
    sync::Arc,
    time::Duration,
};

use antiphon_core::{Channel, Ear, backoff};
use antiphon_protocol::ClusterSecret;
use bytes::Bytes;
use parking_lot::Mutex;
use sqlx::postgres::{PgListener, PgPoolOptions};
use tokio::{sync::Notify, time::timeout};

use super::{
    payload::Pieces,
    seal::{self, name},
};
use crate::postgres::PostgresUrl;

/// The one channel of all nodes of a database.
pub(super) const CHANNEL: &str = "antiphon";
/// How long a connection may take to be made, and a statement to be answered.
pub(super) const PATIENCE: Duration = Duration::from_secs(3);
/// After how much silence the connection is asked whether it is alive.
const PING_AFTER: Duration = Duration::from_secs(1);
/// Failed attempts between two lines in the log that say the same.
const QUIET_ATTEMPTS: u32 = 20;

/// What the node wants to hear.
pub(super) struct Hearing {
    secret: ClusterSecret,
    pub ear: Ear,
    /// PostgreSQL is there again: whoever waits to try need not.
    pub came: Notify,
    wanted: Mutex<HashMap<String, Channel>>,
    /// What is to be confirmed.
    begun: Mutex<HashSet<Channel>>,
    changed: Notify,
}

impl Hearing {
    pub fn new(secret: ClusterSecret) -> Self {
        Self {
            secret,
            ear: Ear::default(),
            came: Notify::new(),
            wanted: Mutex::default(),
            begun: Mutex::default(),
            changed: Notify::new(),
        }
    }

    pub fn want(&self, channel: &Channel) {
        self.wanted.lock().insert(name(&self.secret, channel), channel.clone());
        self.begun.lock().insert(channel.clone());
        self.changed.notify_one();
    }

    pub fn ignore(&self, channel: &Channel) {
        self.wanted.lock().remove(&name(&self.secret, channel));
        self.begun.lock().remove(channel);
    }

    fn confirm(&self) {
        let begun = std::mem::take(&mut *self.begun.lock());
        if let Some(inbox) = self.ear.inbox() {
            begun.iter().for_each(|channel| inbox.confirmed(channel));
        }
    }

    fn up(&self) {
        self.begun.lock().extend(self.wanted.lock().values().cloned());
        if self.ear.set_up(true) {
            self.came.notify_one();
        }
        self.confirm();
    }

    fn heard(&self, pieces: &mut Pieces, payload: &str) {
        let wants = |name: &str| self.wanted.lock().contains_key(name);
        let Some((name, sealed)) = pieces.take(payload, wants) else { return };
        if let (Some(bytes), Some(inbox)) = (seal::open(&self.secret, name, sealed), self.ear.inbox()) {
            inbox.received(Bytes::from(bytes));
        }
    }
}

/// Keeps the connection for ever.
pub(super) async fn run(url: PostgresUrl, hearing: Arc<Hearing>) {
    let (mut attempt, mut said) = (0, String::new());
    loop {
        let ended = hear(&url, &hearing).await;
        hearing.ear.set_up(false);
        match ended {
            Ok(()) => (attempt, said) = (0, String::new()),
            Err(reason) => {
                if attempt % QUIET_ATTEMPTS == 0 || reason != said {
                    tracing::warn!(database = %url, %reason, "can't listen to the other nodes: it is tried again");
                }
                (attempt, said) = (attempt + 1, reason);
            }
        }
        tokio::time::sleep(backoff(attempt)).await;
    }
}

/// One connection's life. An error: it did not even begin.
async fn hear(url: &PostgresUrl, hearing: &Hearing) -> Result<(), String> {
    let pool = PgPoolOptions::new().max_connections(1).acquire_timeout(PATIENCE);
    let pool = pool.connect_lazy_with(url.connect_options());
    let mut listener = PgListener::connect_with(&pool).await.map_err(|error| error.to_string())?;
    listener.ignore_pool_close_event(true);
    listener.eager_reconnect(false);
    begin(&mut listener).await?;
    hearing.up();
    let mut pieces = Pieces::default();
    loop {
        tokio::select! {
            () = hearing.changed.notified() => hearing.confirm(),
            heard = timeout(PING_AFTER, listener.try_recv()) => match heard {
                Ok(Ok(Some(notification))) => hearing.heard(&mut pieces, notification.payload()),
                Ok(Ok(None) | Err(_)) => return Ok(()),
                Err(_) => {
                    let ping = sqlx::query("select 1").execute(&mut listener);
                    if !matches!(timeout(PATIENCE, ping).await, Ok(Ok(_))) {
                        return Ok(());
                    }
                }
            },
        }
    }
}

/// Listens, and hears itself.
async fn begin(listener: &mut PgListener) -> Result<(), String> {
    let probe = format!("probe {:x}", rand::random::<u128>());
    let begun = async {
        listener.listen(CHANNEL).await?;
        sqlx::query("select pg_notify($1, $2)").bind(CHANNEL).bind(&probe).execute(&mut *listener).await?;
        while listener.recv().await?.payload() != probe {}
        Ok::<(), sqlx::Error>(())
    };
    match timeout(PATIENCE, begun).await {
        Ok(Ok(())) => Ok(()),
        Ok(Err(error)) => Err(error.to_string()),
        Err(_) => {
            Err("notifications do not come through: is there a pooler in transaction mode between?".into())
        }
    }
}
