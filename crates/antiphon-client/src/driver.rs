//! The one task of a client: it holds the line, says what is asked, hands on what is heard, and comes back when the
//! line is lost. It ends when the client is closed, when every handle is gone, or when its identity has ended.

use std::{
    collections::BTreeMap,
    sync::{Arc, OnceLock},
    time::Duration,
};

use antiphon_protocol::{CloseCode, Refusal, TerminateReason};
use tokio::{
    sync::{mpsc, watch},
    time::{Instant, sleep_until},
};

use crate::{
    Error,
    ask::Ask,
    backoff::{Attempts, draw_evenly},
    dial::{DialError, Dialer},
    event::Event,
    interest::Interest,
    ledger::{Ledger, Purpose, Reply},
    line::{Heard, Line},
    says::{Answer, Says, Subscribed},
    token::TokenSource,
};

/// The most topics that one SUBSCRIBE names, so that its frame stays below the bound whatever their names are.
const TOPICS_A_FRAME: usize = 50;
/// The most frames that wait to be written.
const OUTBOX_MAX: usize = 256;

/// What a handle wants.
pub(crate) enum Wish {
    /// An ask, made with its number, and who waits for the answer.
    Ask { encode: Box<dyn FnOnce(Option<u64>) -> String + Send>, reply: Reply },
    /// A new subscription.
    Subscribe {
        topics: Vec<String>,
        positions: BTreeMap<String, String>,
        events: mpsc::Sender<Event>,
        reply: Reply,
    },
    /// The end of topics.
    Unsubscribe { topics: Vec<String>, reply: Reply },
    /// A frame that is said now or not at all.
    Signal { frame: String, reply: tokio::sync::oneshot::Sender<Result<(), Error>> },
    /// A subscription was dropped.
    Prune,
}

/// How a line ended.
enum Loss {
    /// The client wants no more.
    Closed,
    /// It broke; come back at this time, or with jitter.
    Lost { code: Option<u16>, back_at: Option<Instant> },
    /// The server asked to leave now.
    Leave,
    /// The identity ended.
    Terminated(Option<TerminateReason>),
}

pub(crate) struct Driver {
    pub(crate) dialer: Dialer,
    pub(crate) attempts: Attempts,
    pub(crate) wishes: mpsc::Receiver<Wish>,
    pub(crate) closing: watch::Receiver<bool>,
    /// Why it has ended, for those who ask later.
    pub(crate) end: Arc<OnceLock<Error>>,
    pub(crate) ledger: Ledger,
    pub(crate) interest: Interest,
    /// When topics that were refused for now are asked for again.
    pub(crate) resume_again: Option<(Instant, Vec<String>)>,
}

impl Driver {
    pub(crate) async fn run(mut self, mut line: Line) {
        let end = loop {
            let loss = self.serve(&mut line).await;
            self.attempts.held_for(line.since.elapsed());
            let (code, back_at) = match loss {
                Loss::Closed => {
                    line.close().await;
                    break Error::Closed;
                }
                Loss::Terminated(reason) if !self.may_renew(reason) => break Error::Terminated { reason },
                Loss::Terminated(_) => (Some(CloseCode::Terminated.number()), None),
                Loss::Lost { code, back_at } => (code, back_at),
                Loss::Leave => (None, Some(Instant::now())),
            };
            match back_at {
                // The node that asked for it waits for the goodbye.
                Some(_) => line.close().await,
                None => drop(line),
            }
            self.interest.news(&Event::Disconnected { code });
            self.resume_again = None;
            match self.come_back(back_at).await {
                Ok(back) => line = back,
                Err(end) => break end,
            }
            self.interest.news(&Event::Reconnected { url: line.url.clone() });
            self.resume(&mut line);
        };
        tracing::debug!(%end, "the client has ended");
        self.ledger.fail(&end);
        // Set once, here.
        let _ = self.end.set(end);
    }

    /// Whether a fresh token may help.
    fn may_renew(&mut self, reason: Option<TerminateReason>) -> bool {
        let fetched = matches!(self.dialer.token, TokenSource::Fetched(_));
        let renew = fetched && reason == Some(TerminateReason::TokenExpired);
        if renew {
            self.dialer.ended = self.dialer.shown.take();
        }
        renew
    }

    async fn serve(&mut self, line: &mut Line) -> Loss {
        let mut leave_at: Option<Instant> = None;
        loop {
            let takes_wishes = self.ledger.has_room() && line.waiting() < OUTBOX_MAX;
            let holds = self.interest.holds();
            let resume_at = self.resume_again.as_ref().map(|(at, _)| *at);
            tokio::select! {
                _ = self.closing.changed() => return Loss::Closed,
                wish = self.wishes.recv(), if takes_wishes => match wish {
                    Some(wish) => self.take(wish, Some(line)),
                    None => return Loss::Closed,
                },
                () = self.interest.hand_over(), if holds => {}
                heard = line.next(!holds) => match heard {
                    Heard::Text(text) => match Says::parse(&text) {
                        Some(Says::Reconnect { after_ms }) => {
                            leave_at = Some(Instant::now() + Duration::from_millis(after_ms));
                        }
                        Some(Says::Terminate { reason }) => return Loss::Terminated(reason),
                        Some(said) => self.hear(said, text, line),
                        None => tracing::debug!("a frame that this client can't read is left out"),
                    },
                    Heard::End(Some(code)) if code == CloseCode::Terminated.number() => {
                        return Loss::Terminated(None);
                    }
                    Heard::End(code) => return Loss::Lost { code, back_at: leave_at },
                },
                () = at(leave_at) => return Loss::Leave,
                () = at(resume_at) => {
                    let topics = self.resume_again.take().map(|(_, topics)| topics).unwrap_or_default();
                    self.resume_topics(&topics, line);
                }
            }
        }
    }

    /// Connects again, to one node after the other, for as long as it takes.
    async fn come_back(&mut self, mut back_at: Option<Instant>) -> Result<Line, Error> {
        loop {
            let jittered = || Instant::now() + self.attempts.next_delay(draw_evenly);
            let until = back_at.take().unwrap_or_else(jittered);
            self.pause(until).await?;
            let Self { dialer, interest, closing, .. } = self;
            let mut dialing = std::pin::pin!(dialer.dial());
            let dialed = loop {
                let holds = interest.holds();
                tokio::select! {
                    dialed = &mut dialing => break dialed,
                    _ = closing.changed() => return Err(Error::Closed),
                    () = interest.hand_over(), if holds => {}
                }
            };
            match dialed {
                Ok(line) => return Ok(line),
                Err(DialError::Terminated(reason)) => return Err(Error::Terminated { reason }),
                Err(DialError::Again(error, after)) => {
                    tracing::debug!(%error, "not connected yet");
                    back_at = after.map(|after| Instant::now() + after);
                }
            }
        }
    }

    /// Waits without a line; what is asked meanwhile is noted.
    async fn pause(&mut self, until: Instant) -> Result<(), Error> {
        loop {
            let takes_wishes = self.ledger.has_room();
            let holds = self.interest.holds();
            tokio::select! {
                () = sleep_until(until) => return Ok(()),
                _ = self.closing.changed() => return Err(Error::Closed),
                wish = self.wishes.recv(), if takes_wishes => match wish {
                    Some(wish) => self.take(wish, None),
                    None => return Err(Error::Closed),
                },
                () = self.interest.hand_over(), if holds => {}
            }
        }
    }

    fn take(&mut self, wish: Wish, line: Option<&mut Line>) {
        let (frame, purpose, number) = match wish {
            Wish::Ask { encode, reply } => {
                let number = self.ledger.number();
                (encode(Some(number)), Purpose::Reply(reply), number)
            }
            Wish::Subscribe { topics, positions, events, reply } => {
                if let Some(topic) = self.interest.taken(topics.iter()) {
                    let _ = reply.send(Err(Error::AlreadySubscribed(topic.clone())));
                    return;
                }
                let number = self.ledger.number();
                let shown = positions.iter().map(|(topic, at)| (topic.as_str(), at.as_str())).collect();
                let frame = Ask::subscribe(&topics, shown).encode(Some(number));
                (frame, Purpose::Subscribe { reply, events, positions }, number)
            }
            Wish::Unsubscribe { topics, reply } => {
                self.interest.remove(&topics);
                let number = self.ledger.number();
                (Ask::unsubscribe(&topics).encode(Some(number)), Purpose::Reply(reply), number)
            }
            Wish::Signal { frame, reply } => {
                let said = line.map(|line| line.say(frame)).ok_or(Error::Disconnected);
                // Whoever no longer waits has sent it all the same.
                let _ = reply.send(said);
                return;
            }
            Wish::Prune => {
                let topics = self.interest.prune();
                if let (Some(line), false) = (line, topics.is_empty()) {
                    self.say_unsubscribe(&topics, line);
                }
                return;
            }
        };
        if let Some(line) = line {
            line.say(frame.clone());
        }
        self.ledger.note(number, frame, purpose);
    }

    fn say_unsubscribe(&mut self, topics: &[String], line: &mut Line) {
        for topics in topics.chunks(TOPICS_A_FRAME) {
            let number = self.ledger.number();
            let frame = Ask::unsubscribe(topics).encode(Some(number));
            line.say(frame.clone());
            self.ledger.note(number, frame, Purpose::None);
        }
    }

    /// After a reconnect: every topic goes on from where it was, then what has no answer is said again.
    fn resume(&mut self, line: &mut Line) {
        let unanswered = self.ledger.unanswered();
        let topics: Vec<String> = self.interest.topics().cloned().collect();
        self.resume_topics(&topics, line);
        unanswered.into_iter().for_each(|frame| line.say(frame));
    }

    fn resume_topics(&mut self, topics: &[String], line: &mut Line) {
        for topics in topics.chunks(TOPICS_A_FRAME) {
            let position = |topic| self.interest.position(topic).map(|position| (topic, position));
            let positions: BTreeMap<&str, &str> =
                topics.iter().filter_map(|topic| position(topic.as_str())).collect();
            let heard: Vec<String> = positions.keys().map(|topic| (*topic).to_owned()).collect();
            if heard.is_empty() {
                continue;
            }
            let number = self.ledger.number();
            let frame = Ask::subscribe(&heard, positions).encode(Some(number));
            line.say(frame.clone());
            self.ledger.note(number, frame, Purpose::Resume(heard));
        }
    }

    fn hear(&mut self, said: Says, text: String, line: &mut Line) {
        match said {
            Says::Message(message) => self.interest.message(message),
            Says::Signal(signal) => {
                let topic = signal.topic.clone();
                self.interest.beside(&topic, Event::Signal(signal));
            }
            Says::Reset { topic, reason, position } => self.interest.reset(topic, reason, position),
            Says::Position { topic, position, offset } => self.interest.moved(topic, position, offset),
            Says::Unsubscribed { topic, reason } => self.interest.refused(topic, reason),
            Says::Plain => {
                if let Some(topic) = self.interest.own_topic.clone() {
                    self.interest.beside(&topic, Event::Plain(text.into()));
                }
            }
            Says::Answer { reference, answer } => {
                if let Some(purpose) = reference.and_then(|number| self.ledger.take(number)) {
                    self.answered(purpose, answer, line);
                }
            }
            // Both end the line, and are dealt with where it is served.
            Says::Reconnect { .. } | Says::Terminate { .. } => {}
        }
    }

    fn answered(&mut self, purpose: Purpose, answer: Result<Answer, Refusal>, line: &mut Line) {
        match (purpose, answer) {
            (Purpose::Subscribe { reply, events, positions }, Ok(Answer::Subscribed(subscribed))) => {
                self.begin(reply, events, positions, subscribed, line);
            }
            (Purpose::Reply(reply) | Purpose::Subscribe { reply, .. }, answer) => {
                // Who no longer waits needs no answer.
                let _ = reply.send(answer.map_err(Error::Refused));
            }
            (Purpose::Resume(topics), Err(refusal)) => {
                topics.into_iter().for_each(|topic| self.not_resumed(topic, &refusal));
            }
            (Purpose::Resume(_), Ok(Answer::Subscribed(subscribed))) => {
                for (topic, outcome) in subscribed.topics {
                    if let Err(refusal) = outcome {
                        self.not_resumed(topic, &refusal);
                    }
                }
            }
            (Purpose::Resume(_) | Purpose::None, _) => {}
        }
    }

    fn begin(
        &mut self,
        reply: Reply,
        events: mpsc::Sender<Event>,
        mut positions: BTreeMap<String, String>,
        subscribed: Subscribed,
        line: &mut Line,
    ) {
        self.interest.own_topic = Some(subscribed.tenant.clone());
        let begun = subscribed.topics.iter().filter_map(|(topic, outcome)| {
            let begun = outcome.as_ref().ok()?;
            // Until it is proved, the position that was given is the one to go on from.
            Some((topic.clone(), positions.remove(topic).unwrap_or_else(|| begun.position.clone())))
        });
        let mut begun: Vec<(String, String)> = begun.collect();
        let taken = self.interest.taken(begun.iter().map(|(topic, _)| topic)).cloned();
        if let Some(topic) = taken {
            begun.retain(|(topic, _)| self.interest.position(topic).is_none());
            let topics: Vec<String> = begun.into_iter().map(|(topic, _)| topic).collect();
            self.say_unsubscribe(&topics, line);
            let _ = reply.send(Err(Error::AlreadySubscribed(topic)));
        } else if let Err(Ok(Answer::Subscribed(subscribed))) = reply.send(Ok(Answer::Subscribed(subscribed)))
        {
            // Nobody waits any more. A refused topic need not be left, and its name may be none.
            let held = subscribed.topics.into_iter().filter(|(_, outcome)| outcome.is_ok());
            let topics: Vec<String> = held.map(|(topic, _)| topic).collect();
            self.say_unsubscribe(&topics, line);
        } else {
            self.interest.add(events, begun.into_iter());
        }
    }

    fn not_resumed(&mut self, topic: String, refusal: &Refusal) {
        let Some(after_ms) = refusal.retry_after_ms else {
            self.interest.refused(topic, refusal.code.as_str().to_owned());
            return;
        };
        let again_at = Instant::now() + Duration::from_millis(after_ms);
        let again = self.resume_again.get_or_insert_with(|| (again_at, Vec::new()));
        again.1.push(topic);
    }
}

/// Waits until then; for ever without a time.
async fn at(time: Option<Instant>) {
    match time {
        Some(time) => sleep_until(time).await,
        None => std::future::pending().await,
    }
}
