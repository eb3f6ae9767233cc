//! One listening connection, from its beginning to its end. A Redis that is there but does not answer is found by a ping.

use std::{sync::Arc, time::Duration};

use redis::RedisResult;

use crate::{
    address::Server,
    dialer::Dialer,
    dispatch::Dispatch,
    line::Line,
    routes::Routes,
    subscriber::{Footing, Said, Subscriber},
};

/// How often the connection is asked whether it is alive.
const PING_EVERY: Duration = Duration::from_secs(1);
/// After how many pings it is tried again to listen to what Redis refused.
const REFUSED_PINGS: u32 = 10;

pub(crate) struct Listener {
    pub dialer: Arc<Dialer>,
    pub dispatch: Arc<Dispatch>,
    pub routes: Arc<Routes>,
    pub server: Server,
    pub line: Arc<Line>,
    pub footing: Footing,
}

impl Listener {
    /// Listens until the connection is lost. An error: it did not even begin.
    pub async fn run(&self) -> RedisResult<()> {
        let (to, of) = (self.dispatch.clone(), self.line.clone());
        let connection = self.dialer.listen(&self.server, move |info| {
            to.push(&of, info);
            Ok::<(), redis::aio::SendError>(())
        });
        let mut subscriber = Subscriber::new(self.line.clone(), connection.await?, self.footing);
        subscriber.ping().await?;
        self.note(subscriber.say(self.line.wishes()).await?);
        self.line.set_up();
        self.dispatch.changed.notify_one();
        let mut every = tokio::time::interval(PING_EVERY);
        // Pings that would have been due while Redis kept us waiting are not made up for.
        every.set_missed_tick_behavior(tokio::time::MissedTickBehavior::Delay);
        let mut pings = 0u32;
        loop {
            let alive = tokio::select! {
                () = self.line.lost.notified() => return Ok(()),
                () = self.line.cut.notified() => {
                    self.cut();
                    continue;
                }
                () = self.line.wished.notified() => {
                    subscriber.say(self.line.wishes()).await.map(|said| self.note(said))
                }
                _ = every.tick() => {
                    pings = pings.wrapping_add(1);
                    if pings.is_multiple_of(REFUSED_PINGS) {
                        let refused = subscriber.refused.iter();
                        refused.for_each(|(channel, number)| self.line.wish_anew(channel.clone(), *number));
                    }
                    subscriber.ping().await
                }
            };
            if alive.is_err() {
                return Ok(());
            }
        }
    }

    fn note(&self, said: Said) {
        let interest = &self.dispatch.interest;
        for (channel, number) in said.heard {
            self.dispatch.confirm(&interest.heard(&channel, number));
        }
        for (channel, server) in said.moved {
            if let Some(server) = &server {
                self.routes.learn(&channel, server);
            }
            if !interest.moved(&channel) || server.is_none() {
                self.dispatch.unsettled.notify_one();
            }
        }
        for channel in said.lost {
            interest.lost(&channel);
            self.dispatch.unsettled.notify_one();
        }
        said.refused.iter().for_each(|channel| interest.refused(channel));
        self.dispatch.changed.notify_one();
    }

    /// Subscriptions that Redis has ended since their slots went elsewhere: whoever is asked again says where.
    fn cut(&self) {
        for channel in self.line.cuts() {
            if !self.dispatch.interest.moved(&channel) {
                self.dispatch.unsettled.notify_one();
            }
        }
        self.dispatch.changed.notify_one();
    }
}
