//! Where each channel is listened to: one connection to each Redis that has some, made again whenever it is lost, with
//! everything that is wanted there subscribed again.

use std::{
    collections::{HashMap, HashSet},
    sync::Arc,
    time::Duration,
};

use antiphon_core::{Channel, backoff};
use futures_util::{FutureExt, StreamExt, future::BoxFuture, stream::FuturesUnordered};
use redis::RedisResult;
use tokio::time::Instant;

use crate::{
    address::{Form, Server},
    channel::Naming,
    cluster,
    dialer::Dialer,
    dispatch::Dispatch,
    line::Line,
    listener::Listener,
    map::Map,
    reason::reason,
    routes::Routes,
    sentinel,
    subscriber::Footing,
};

/// How often it is asked who is the master, or has which slots, while all is well.
const ASK_EVERY: Duration = Duration::from_secs(2);
/// Failed attempts between two lines in the log that say the same.
const QUIET_ATTEMPTS: u32 = 20;
/// After so many failed questions what still listens is given up: it may be cut off from those that are asked for.
const BLIND_MAX: u32 = 3;

pub(crate) struct Board {
    dialer: Arc<Dialer>,
    dispatch: Arc<Dispatch>,
    routes: Arc<Routes>,
    lines: HashMap<Server, Arc<Line>>,
    /// The lines, and the question where channels are.
    running: FuturesUnordered<BoxFuture<'static, Done>>,
    /// Channels and whose line they are said on.
    places: HashMap<Arc<str>, Server>,
    unplaced: HashMap<Arc<str>, u64>,
    /// Who is not tried again before that time.
    resting: HashMap<Server, Instant>,
    is_asking: bool,
    ask_at: Instant,
    attempt: u32,
    blind: u32,
    said: String,
}

enum Done {
    Asked(RedisResult<Map>),
    Ended(Server, Arc<Line>, RedisResult<()>),
}

impl Board {
    pub fn new(dialer: Arc<Dialer>, dispatch: Arc<Dispatch>, routes: Arc<Routes>) -> Self {
        Self {
            dialer,
            dispatch,
            routes,
            lines: HashMap::new(),
            running: FuturesUnordered::new(),
            places: HashMap::new(),
            unplaced: HashMap::new(),
            resting: HashMap::new(),
            is_asking: false,
            ask_at: Instant::now(),
            attempt: 0,
            blind: 0,
            said: String::new(),
        }
    }

    /// Listens for ever.
    pub async fn run(mut self) {
        loop {
            tokio::select! {
                () = self.dispatch.changed.notified() => self.change(),
                () = self.dispatch.unsettled.notified() => self.ask_at(self.pause()),
                Some(done) = self.running.next(), if !self.running.is_empty() => match done {
                    Done::Asked(map) => self.answered(map),
                    Done::Ended(server, line, ended) => self.ended(server, &line, ended),
                },
                () = tokio::time::sleep_until(self.ask_at), if !self.is_asking => self.ask(),
            }
            self.settle();
        }
    }

    fn ask(&mut self) {
        let (dialer, known) = (self.dialer.clone(), self.routes.servers());
        self.is_asking = true;
        self.running.push(async move { Done::Asked(who(&dialer, known).await) }.boxed());
    }

    fn ask_at(&mut self, pause: Duration) {
        self.ask_at = self.ask_at.min(Instant::now() + pause);
    }

    /// How long what failed is left alone. A failover is worth looking for more often than one Redis.
    fn pause(&self) -> Duration {
        let is_alone = matches!(self.dialer.url.form, Form::Single { .. });
        backoff(if is_alone { self.attempt } else { self.attempt.min(1) })
    }

    fn answered(&mut self, map: RedisResult<Map>) {
        self.is_asking = false;
        match map {
            Ok(map) => {
                self.blind = 0;
                if self.routes.set(map) {
                    self.move_on();
                }
                // One Redis of a fixed address is where it is.
                let is_fixed = matches!(self.dialer.url.form, Form::Single { .. });
                self.ask_at = Instant::now() + if is_fixed { Duration::from_secs(3600) } else { ASK_EVERY };
                self.follow();
            }
            Err(error) => {
                (self.attempt, self.blind) = (self.attempt + 1, self.blind + 1);
                self.warn(&reason(&error));
                self.ask_at = Instant::now() + self.pause();
                if self.blind == BLIND_MAX && self.dialer.url.form == Form::Cluster {
                    self.lines.values().for_each(|line| line.end());
                }
            }
        }
    }

    /// Places anew what another one has now.
    fn move_on(&self) {
        let elsewhere = self
            .places
            .iter()
            .filter(|(channel, server)| self.routes.owner(channel).is_some_and(|owner| owner != **server));
        for (channel, _) in elsewhere {
            self.dispatch.interest.moved(channel);
        }
    }

    /// Tries again what had no Redis, and leaves whom nobody needs.
    fn follow(&mut self) {
        let now = Instant::now();
        self.resting.retain(|_, until| *until > now);
        if let Some(until) = self.resting.values().min() {
            self.ask_at = self.ask_at.min(*until);
        }
        self.change();
        let waiting = std::mem::take(&mut self.unplaced);
        self.place(waiting);
        let needed: HashSet<&Server> = self.places.values().collect();
        let home = self.home();
        let idle =
            self.lines.iter().filter(|(server, _)| !needed.contains(server) && home.as_ref() != Some(server));
        idle.for_each(|(_, line)| line.end());
    }

    /// Who is listened to also while nothing is wanted, so that it is known whether Redis is there.
    fn home(&self) -> Option<Server> {
        self.routes.owner(&Naming::Partitions.ours(&Channel::Nodes).channel)
    }

    fn change(&mut self) {
        let mut begun = HashMap::new();
        for (channel, wish) in self.dispatch.interest.take() {
            self.unplaced.remove(&channel);
            match wish {
                Some(number) => drop(begun.insert(channel, number)),
                None => {
                    let line = self.places.remove(&channel).and_then(|server| self.lines.get(&server));
                    if let Some(line) = line {
                        line.wish(channel, None);
                    }
                }
            }
        }
        self.dispatch.confirm(&self.dispatch.interest.begun());
        self.place(begun);
    }

    /// Says each channel on the line of who has it; those that nobody has wait for the next answer.
    fn place(&mut self, channels: HashMap<Arc<str>, u64>) {
        let is_ready = |resting: &HashMap<Server, Instant>, server: &Server| {
            resting.get(server).is_none_or(|until| *until <= Instant::now())
        };
        for (channel, number) in channels {
            let owner = self.routes.owner(&channel).filter(|server| is_ready(&self.resting, server));
            let Some(server) = owner else {
                self.dispatch.interest.missing(&channel);
                self.unplaced.insert(channel, number);
                continue;
            };
            let before = self.places.insert(channel.clone(), server.clone());
            if let Some(before) = before.filter(|before| *before != server)
                && let Some(line) = self.lines.get(&before)
            {
                line.wish(channel.clone(), None);
            }
            self.line(&server).wish(channel, Some(number));
        }
        if let Some(home) = self.home().filter(|home| is_ready(&self.resting, home)) {
            self.line(&home);
        }
    }

    fn line(&mut self, server: &Server) -> &Line {
        self.lines.entry(server.clone()).or_insert_with(|| {
            let line = Arc::new(Line::default());
            let listener = Listener {
                dialer: self.dialer.clone(),
                dispatch: self.dispatch.clone(),
                routes: self.routes.clone(),
                server: server.clone(),
                line: line.clone(),
                footing: match self.dialer.url.form {
                    Form::Single { .. } => Footing::Alone,
                    Form::Sentinel { .. } => Footing::Master,
                    Form::Cluster => Footing::Shard,
                },
            };
            let (server, of) = (server.clone(), line.clone());
            self.running.push(async move { Done::Ended(server, of, listener.run().await) }.boxed());
            line
        })
    }

    fn ended(&mut self, server: Server, line: &Arc<Line>, ended: RedisResult<()>) {
        line.end();
        if self.lines.get(&server).is_some_and(|known| Arc::ptr_eq(known, line)) {
            self.lines.remove(&server);
        }
        let there: Vec<Arc<str>> =
            self.places.iter().filter(|(_, at)| **at == server).map(|(channel, _)| channel.clone()).collect();
        for channel in there {
            self.places.remove(&channel);
            self.dispatch.interest.lost(&channel);
        }
        match ended {
            Ok(()) => (self.attempt, self.said) = (0, String::new()),
            Err(error) => {
                self.warn(&format!("{server}: {}", reason(&error)));
                self.attempt += 1;
            }
        }
        let pause = self.pause();
        self.resting.insert(server, Instant::now() + pause);
        self.ask_at(pause);
        self.change();
    }

    fn warn(&mut self, reason: &str) {
        if self.attempt.is_multiple_of(QUIET_ATTEMPTS) || reason != self.said {
            let redis = self.dialer.url.shown();
            tracing::warn!(%redis, %reason, "Redis can't be used: it is tried again");
        }
        reason.clone_into(&mut self.said);
    }

    fn settle(&self) {
        self.dispatch.settle(self.lines.values().any(|line| line.is_up()));
    }
}

/// Who has which channels now.
async fn who(dialer: &Dialer, known: Vec<Server>) -> RedisResult<Map> {
    match &dialer.url.form {
        Form::Single { .. } => Ok(Map::one(dialer.url.servers[0].clone())),
        Form::Sentinel { master, login, .. } => Ok(Map::one(sentinel::master(dialer, master, login).await?)),
        Form::Cluster => cluster::map(dialer, known).await,
    }
}
