//! The one task of a client: it holds the lines, says what is asked, hands on what is heard, comes back when a line is
//! lost, and on the server's wish goes over to a new line before the old one is left. It ends when the client is closed,
//! when every handle is gone, or when its identity has ended.

use std::{
    future::Future,
    sync::{Arc, OnceLock},
    time::{Duration, SystemTime},
};

use antiphon_protocol::CloseCode;
use futures_util::future::BoxFuture;
use tokio::{
    sync::{Notify, mpsc, watch},
    time::{Instant, sleep_until},
};

use crate::{
    Error,
    ask::Ask,
    backoff::{Attempts, draw_evenly},
    dial::{DialError, Dialer, Dialing},
    event::Event,
    interest::Interest,
    ledger::{Ledger, Purpose},
    line::{Heard, Line},
    lines::LineId,
    outbox::Outbox,
    renewal::{Due, Renewal},
    says::{Answer, Says},
    state::State,
    wish::Wish,
};

/// The most frames that wait to be written.
const OUTBOX_MAX: usize = 256;

/// What a driver shares with its handles.
pub(crate) struct Ends {
    pub(crate) wishes: mpsc::Receiver<Wish>,
    pub(crate) closing: watch::Receiver<bool>,
    pub(crate) state: watch::Sender<State>,
    /// Why it has ended, for those who ask later.
    pub(crate) end: Arc<OnceLock<Error>>,
    /// Something is to be looked at: a publish came, an inbox has room or was left.
    pub(crate) stir: Arc<Notify>,
    pub(crate) outbox: Arc<Outbox>,
}

pub(crate) struct Driver {
    ends: Ends,
    dialer: Dialer,
    attempts: Attempts,
    handover: Duration,
    ledger: Ledger,
    interest: Interest,
    renewal: Renewal,
    dialing: Option<Dialing>,
    fetching: Option<BoxFuture<'static, Result<String, Error>>>,
    /// When the server wants this line to be left.
    leave_at: Option<Instant>,
    /// When the next try comes.
    retry_at: Option<Instant>,
    /// Until when the old line may stay beside its successor.
    handover_until: Option<Instant>,
    was_online: bool,
}

impl Driver {
    pub(crate) fn new(ends: Ends, dialer: Dialer, attempts: Attempts, handover: Duration) -> Self {
        Self {
            ends,
            dialer,
            attempts,
            handover,
            ledger: Ledger::new(),
            interest: Interest::default(),
            renewal: Renewal::default(),
            dialing: None,
            fetching: None,
            leave_at: None,
            retry_at: None,
            handover_until: None,
            was_online: false,
        }
    }

    /// Runs, from a line that a node has greeted, or from none.
    pub(crate) async fn run(mut self, line: Option<Line>) {
        match line {
            Some(line) => self.greeted(line),
            None => self.dial(),
        }
        let end = loop {
            if let Some(end) = self.step().await {
                break end;
            }
        };
        tracing::debug!(%end, "the client has ended");
        // Set once, here, before anybody is told.
        let _ = self.ends.end.set(end.clone());
        self.ends.outbox.fail(&end);
        self.interest.fail(&end);
        self.ledger.fail(&end);
        self.ends.state.send_replace(State::Closed(end));
        let lines = [self.ledger.lines.current.take(), self.ledger.lines.leaving.take()];
        for line in lines.into_iter().flatten() {
            line.close().await;
        }
    }

    async fn step(&mut self) -> Option<Error> {
        let takes_wishes = self.ledger.has_room() && self.ledger.lines.waiting() < OUTBOX_MAX;
        let due = self.due();
        tokio::select! {
            _ = self.ends.closing.changed() => return Some(Error::Closed),
            wish = self.ends.wishes.recv(), if takes_wishes => match wish {
                Some(wish) => self.take(wish),
                None => return Some(Error::Closed),
            },
            () = self.ends.stir.notified() => {
                self.interest.stirred(&mut self.ledger);
                self.ends.outbox.pump(&mut self.ledger);
            }
            (id, heard) = hear(&mut self.ledger.lines.current) => return self.heard(id, heard),
            (id, heard) = hear(&mut self.ledger.lines.leaving) => return self.heard(id, heard),
            dialed = of(&mut self.dialing) => {
                self.dialing = None;
                return self.dialed(dialed);
            }
            fetched = of(&mut self.fetching) => {
                self.fetching = None;
                self.fetched(fetched);
            }
            () = at(due) => self.fire(Instant::now()),
        }
        None
    }

    fn take(&mut self, wish: Wish) {
        match wish {
            Wish::Ask { encode, reply } => self.ledger.ask(encode, reply),
            Wish::Subscribe { topics, inbox, reply } => {
                self.interest.add(topics, inbox, reply);
                self.interest.sync(&mut self.ledger);
            }
            Wish::Unsubscribe { topics, told } => {
                self.interest.remove(&mut self.ledger, &topics, Some(&told));
            }
            Wish::Signal { frame, reply } => {
                let line = self.ledger.lines.current_id().ok_or(Error::Disconnected);
                // Whoever no longer waits has sent it all the same.
                let _ = reply.send(line.map(|line| self.ledger.lines.say(line, frame)));
            }
            Wish::MoveTo(uri) => {
                if self.dialer.turn_to(&uri) {
                    self.dialing = None;
                    self.dial();
                }
            }
        }
    }

    // ---- a new line

    fn dial(&mut self) {
        self.retry_at = None;
        if self.dialing.is_some() {
            return;
        }
        if self.ledger.lines.current.is_none() {
            let url = self.dialer.next_url().to_string();
            self.ends.state.send_replace(State::Connecting { url });
        }
        self.dialing = Some(self.dialer.dial());
    }

    fn dialed(&mut self, dialed: Result<Line, DialError>) -> Option<Error> {
        match dialed {
            Ok(line) => self.greeted(line),
            Err(DialError::Terminated(reason, shown)) => {
                if !self.dialer.may_renew(reason, shown) {
                    return Some(Error::Terminated { reason });
                }
                self.come_back(None, None, None);
            }
            Err(DialError::Again(error, after)) => {
                tracing::debug!(%error, "not connected yet");
                self.come_back(None, after, Some(error));
            }
        }
        None
    }

    fn greeted(&mut self, line: Line) {
        self.dialer.greeted();
        self.renewal.stop();
        (self.leave_at, self.retry_at, self.fetching) = (None, None, None);
        self.left();
        let url = line.url.clone();
        if let Some(before) = self.ledger.lines.current.replace(line) {
            self.attempts.held_for(before.since.elapsed());
            self.ledger.lines.leaving = Some(before);
            self.handover_until = Some(Instant::now() + self.handover);
        } else if self.was_online {
            self.interest.news(&Event::Reconnected { url: url.clone() });
        }
        self.was_online = true;
        self.speak();
        self.leave_if_done();
        self.ends.state.send_replace(State::Online { url });
    }

    /// Says on the line to speak on what it was not told yet: topics first.
    fn speak(&mut self) {
        self.interest.sync(&mut self.ledger);
        self.ends.outbox.pump(&mut self.ledger);
        self.ledger.flush();
    }

    // ---- while it holds

    fn heard(&mut self, line: LineId, heard: Heard) -> Option<Error> {
        let text = match heard {
            Heard::Text(text) => text,
            Heard::End(Some(code)) if code == CloseCode::Terminated.number() => {
                return self.terminated(line, None);
            }
            Heard::End(code) => {
                self.ended(line, code);
                return None;
            }
        };
        match Says::parse(&text) {
            Some(Says::Reconnect { after_ms }) => {
                if self.ledger.lines.current_id() == Some(line) {
                    self.leave_at = Some(Instant::now() + Duration::from_millis(after_ms));
                }
            }
            Some(Says::Terminate { reason }) => return self.terminated(line, reason),
            Some(said) => self.hear(line, said, text),
            None => tracing::debug!("a frame that this client can't read is left out"),
        }
        self.leave_if_done();
        None
    }

    fn hear(&mut self, line: LineId, said: Says, text: String) {
        let bytes = text.len();
        match said {
            Says::Message(message) => self.interest.message(&mut self.ledger, line, message, bytes),
            Says::Signal(signal) => self.interest.signal(line, signal, bytes),
            Says::Reset { topic, reason, position } => self.interest.reset(line, topic, reason, position),
            Says::Position { topic, position, offset } => self.interest.moved(line, topic, position, offset),
            Says::Unsubscribed { topic, reason } => self.interest.unsubscribed(line, topic, reason),
            Says::Plain => self.interest.plain(line, text),
            Says::Answer { reference, answer } => {
                let taken = reference.and_then(|number| self.ledger.take(number));
                if let Some((_, purpose)) = taken {
                    self.answered(line, purpose, answer);
                }
            }
            // Both are dealt with where they are heard.
            Says::Reconnect { .. } | Says::Terminate { .. } => {}
        }
    }

    fn answered(
        &mut self,
        line: LineId,
        purpose: Purpose,
        answer: Result<Answer, antiphon_protocol::Refusal>,
    ) {
        let current = self.ledger.lines.current_id() == Some(line);
        match (purpose, answer) {
            (Purpose::Reply { reply, .. }, answer) => {
                // Who no longer waits needs no answer.
                let _ = reply.send(answer.map_err(Error::Refused));
            }
            (Purpose::Subscribe(topics), Ok(Answer::Subscribed(subscribed))) => {
                if current {
                    self.renewal.ends_at(subscribed.expires_at);
                }
                self.interest.settled(&mut self.ledger, line, &topics, Ok(subscribed));
            }
            (Purpose::Subscribe(topics), Err(refusal)) => {
                self.interest.settled(&mut self.ledger, line, &topics, Err(refusal));
            }
            (Purpose::Unsubscribe(id), answer) => {
                let refusal = answer.err();
                if self.interest.leaving.answered(id, refusal.as_ref(), Instant::now()) {
                    self.interest.sync(&mut self.ledger);
                } else {
                    // A node that will never do it is left: on the next line there is nothing to end.
                    self.ended(line, None);
                }
            }
            (Purpose::Publish(id), Ok(Answer::Accepted(accepted))) => {
                self.ends.outbox.settled(id, Ok(accepted));
                self.ends.outbox.pump(&mut self.ledger);
            }
            (Purpose::Publish(id), Err(refusal)) => {
                self.ends.outbox.settled(id, Err(refusal));
                self.ends.outbox.pump(&mut self.ledger);
            }
            (Purpose::Token, Ok(Answer::Subscribed(subscribed))) if current => {
                self.renewal.ends_at(subscribed.expires_at);
            }
            (Purpose::Token, Err(refusal)) if current => {
                if let Some(after) = refusal.retry_after_ms {
                    self.renewal.show_again(Duration::from_millis(after));
                }
            }
            (Purpose::Subscribe(_) | Purpose::Publish(_) | Purpose::Token, _) => {}
        }
    }

    /// The predecessor is left once nothing more is expected from it.
    fn leave_if_done(&mut self) {
        let Some(id) = self.ledger.lines.leaving.as_ref().map(|line| line.id) else { return };
        if self.interest.heard_from(id).is_none() && !self.ledger.owes(id) {
            self.left();
        }
    }

    fn left(&mut self) {
        self.handover_until = None;
        let Some(line) = self.ledger.lines.leaving.take() else { return };
        let id = line.id;
        // It has a time of its own for its goodbye.
        tokio::spawn(line.close());
        self.lost(id);
    }

    // ---- its end

    fn terminated(
        &mut self,
        line: LineId,
        reason: Option<antiphon_protocol::TerminateReason>,
    ) -> Option<Error> {
        if self.ledger.lines.current_id() == Some(line) {
            let shown = self.ledger.lines.current.as_ref().map(|line| line.token.clone());
            if !self.dialer.may_renew(reason, shown) {
                return Some(Error::Terminated { reason });
            }
        }
        self.ended(line, Some(CloseCode::Terminated.number()));
        None
    }

    fn ended(&mut self, id: LineId, code: Option<u16>) {
        if self.ledger.lines.current_id() != Some(id) {
            self.left();
            return;
        }
        self.handover_until = None;
        let before = self.ledger.lines.leaving.take();
        let line = std::mem::replace(&mut self.ledger.lines.current, before);
        if let Some(line) = line {
            self.attempts.held_for(line.since.elapsed());
        }
        self.renewal.stop();
        self.fetching = None;
        match &self.ledger.lines.current {
            Some(before) => {
                let (id, url) = (before.id, before.url.clone());
                self.interest.back(&mut self.ledger, id);
                self.ends.state.send_replace(State::Online { url });
            }
            None => self.interest.news(&Event::Disconnected { code }),
        }
        self.lost(id);
        if self.dialing.is_none() {
            self.come_back(code, None, None);
        } else if self.ledger.lines.current.is_none() {
            let url = self.dialer.next_url().to_string();
            self.ends.state.send_replace(State::Connecting { url });
        }
    }

    fn lost(&mut self, id: LineId) {
        let publishes = self.ledger.lost(id);
        self.ends.outbox.lost(&publishes);
        self.interest.lost(id);
        self.speak();
    }

    /// Another try, at the time that the server said, or with jitter.
    fn come_back(&mut self, code: Option<u16>, after: Option<Duration>, error: Option<Error>) {
        let now = Instant::now();
        let asked = after.map(|after| now + after).or(self.leave_at.take());
        self.leave_at = None;
        let retry_at = match (asked, &error) {
            // Said to all who were refused, not to each: they come back spread out behind it.
            (Some(asked), Some(Error::Upgrade(_))) => asked + self.attempts.next_delay(draw_evenly),
            (Some(asked), _) => asked,
            (None, _) => now + self.attempts.next_delay(draw_evenly),
        };
        self.retry_at = Some(retry_at);
        if self.ledger.lines.current.is_none() {
            let wait = retry_at.saturating_duration_since(now);
            let retry_at = SystemTime::now().checked_add(wait).unwrap_or_else(SystemTime::now);
            self.ends.state.send_replace(State::Waiting { retry_at, code, error });
        }
    }

    // ---- time

    fn due(&self) -> Option<Instant> {
        let own = [self.leave_at, self.retry_at, self.handover_until];
        let others = [self.interest.due(), self.ends.outbox.due(), self.renewal.due()];
        own.into_iter().chain(others).flatten().min()
    }

    fn fire(&mut self, now: Instant) {
        let is_due = |at: &mut Option<Instant>| at.take_if(|at| *at <= now).is_some();
        let (leaves, retries) = (is_due(&mut self.leave_at), is_due(&mut self.retry_at));
        if leaves || retries {
            self.dial();
        }
        if is_due(&mut self.handover_until) {
            self.left();
        }
        self.interest.fire(&mut self.ledger, now);
        self.ends.outbox.fire(now);
        self.ends.outbox.pump(&mut self.ledger);
        match self.renewal.fire(now) {
            Some(Due::Fetch) => self.fetching = self.dialer.way.fetch(),
            Some(Due::Show) => self.show(None),
            None => {}
        }
    }

    fn fetched(&mut self, fetched: Result<String, Error>) {
        let shown = self.ledger.lines.current.as_ref().map(|line| line.token.clone());
        match fetched {
            Ok(token) if Some(&token) != shown.as_ref() => self.show(Some(token)),
            Ok(_) => self.renewal.again(),
            Err(error) => {
                tracing::warn!(%error, "the token could not be renewed");
                self.renewal.again();
            }
        }
    }

    /// Shows the line's token, or another one from now on.
    fn show(&mut self, token: Option<String>) {
        let Some(line) = &mut self.ledger.lines.current else { return };
        let id = line.id;
        line.token = token.unwrap_or_else(|| std::mem::take(&mut line.token));
        let token = line.token.clone();
        self.ledger.say(id, Ask::show(&token, self.interest.heard_from(id)), Purpose::Token);
    }
}

/// What comes over a line; for ever nothing without one. May be dropped and called again.
async fn hear(line: &mut Option<Line>) -> (LineId, Heard) {
    match line {
        Some(line) => (line.id, line.next().await),
        None => std::future::pending().await,
    }
}

/// What a future gives; for ever nothing without one.
async fn of<F: Future + Unpin>(future: &mut Option<F>) -> F::Output {
    match future {
        Some(future) => future.await,
        None => std::future::pending().await,
    }
}

/// Waits until then; for ever without a time.
async fn at(time: Option<Instant>) {
    match time {
        Some(time) => sleep_until(time).await,
        None => std::future::pending().await,
    }
}
