//! Which topics are heard: asked for on each new line from where their streams are, and handed what is said of them.
//!
//! With two lines side by side, a topic is heard from the old one until the new one has answered for it, and from then
//! on from the new one alone: each says everything after the position that it was shown, so the offsets leave out what
//! both have said. A signal has no offset: from when the new line is asked, the old one's are left out.

use std::{
    collections::{BTreeMap, HashMap},
    sync::Arc,
    time::Duration,
};

use antiphon_protocol::{ErrorCode, Refusal};
use tokio::{
    sync::{mpsc, oneshot},
    time::Instant,
};

use crate::{
    Error,
    ask::{Ask, TOPICS_A_FRAME},
    event::{Event, Message, Signal},
    inbox::Inbox,
    leaving::Leaving,
    ledger::{Ledger, Purpose},
    lines::LineId,
    place::{Begun, Identity, Start, Topics},
    says::Subscribed,
    stream::Stream,
};

/// Who waits until each topic of a subscription is answered for.
#[derive(Debug)]
struct Beginning {
    left: usize,
    topics: BTreeMap<String, Result<Start, Refusal>>,
    reply: oneshot::Sender<Result<Begun, Error>>,
}

/// Who hears some of the topics.
#[derive(Debug)]
struct Hearer {
    inbox: Arc<Inbox>,
    topics: usize,
    beginning: Option<Beginning>,
}

/// The topics of one client.
#[derive(Debug, Default)]
pub(crate) struct Interest {
    pub(crate) leaving: Leaving,
    streams: BTreeMap<String, Stream>,
    hearers: HashMap<u64, Hearer>,
    identity: Option<Identity>,
    next: u64,
}

impl Interest {
    /// Begins a subscription.
    pub(crate) fn add(
        &mut self,
        topics: Topics,
        inbox: Arc<Inbox>,
        reply: oneshot::Sender<Result<Begun, Error>>,
    ) {
        if let Some((topic, _)) = topics.iter().find(|(topic, _)| self.streams.contains_key(topic)) {
            // Who no longer waits needs no answer.
            let _ = reply.send(Err(Error::AlreadySubscribed(topic.clone())));
            return;
        }
        self.next += 1;
        let count = topics.len();
        for (topic, position) in topics {
            self.streams.insert(topic, Stream::new(self.next, position, Arc::clone(&inbox)));
        }
        let beginning = Some(Beginning { left: count, topics: BTreeMap::new(), reply });
        self.hearers.insert(self.next, Hearer { inbox, topics: count, beginning });
    }

    /// The tenant, once it is known: it is the name of its own topic.
    pub(crate) fn tenant(&self) -> Option<&str> {
        self.identity.as_ref().map(|identity| identity.tenant.as_str())
    }

    /// Asks for every topic that the line to speak on was not asked for yet.
    pub(crate) fn sync(&mut self, ledger: &mut Ledger) {
        let Some(line) = ledger.lines.current_id() else { return };
        let due = self.streams.iter().filter(|(topic, stream)| {
            stream.asked != Some(line)
                && stream.waits_until.is_none()
                && !stream.rests
                && !self.leaving.has(line, topic)
        });
        let due: Vec<String> = due.map(|(topic, _)| topic.clone()).collect();
        due.chunks(TOPICS_A_FRAME).for_each(|topics| self.ask(ledger, line, topics));
    }

    fn ask(&mut self, ledger: &mut Ledger, line: LineId, topics: &[String]) {
        let mut positions = BTreeMap::new();
        for topic in topics {
            let Some(stream) = self.streams.get_mut(topic) else { continue };
            stream.asked = Some(line);
            if let Some(position) = &stream.position {
                positions.insert(topic.as_str(), position.clone());
            }
        }
        let shown = positions.iter().map(|(topic, position)| (*topic, position.as_str())).collect();
        ledger.say(line, Ask::subscribe(topics, shown), Purpose::Subscribe(topics.to_vec()));
    }

    /// Ends these topics.
    pub(crate) fn remove(&mut self, ledger: &mut Ledger, topics: &[String], told: Option<&mpsc::Sender<()>>) {
        let line = ledger.lines.current_id();
        let mut said = Vec::new();
        for topic in topics {
            let Some(stream) = self.take(topic) else { continue };
            self.count_off(stream.subscription);
            if line.is_some() && stream.asked == line {
                said.push(topic.clone());
            }
        }
        if let Some(line) = line {
            self.leaving.end(ledger, line, &said, told);
        }
    }

    /// Ends the topics whose subscription was dropped, and lets those go on that have room again.
    pub(crate) fn stirred(&mut self, ledger: &mut Ledger) {
        let left = self.streams.iter().filter(|(_, stream)| stream.inbox.is_left());
        let left: Vec<String> = left.map(|(topic, _)| topic.clone()).collect();
        self.remove(ledger, &left, None);
        for stream in self.streams.values_mut() {
            stream.rests &= stream.inbox.rests();
        }
        self.sync(ledger);
    }

    /// An entry came.
    pub(crate) fn message(&mut self, ledger: &mut Ledger, line: LineId, message: Message, bytes: usize) {
        let topic = message.topic().to_owned();
        let Some(stream) = self.heard(line, &topic) else { return };
        if stream.message(message, bytes) {
            return;
        }
        // It rests until its inbox has room, and then goes on from what it has taken.
        let asked = stream.asked.filter(|asked| *asked != line);
        (stream.rests, stream.owner, stream.asked) = (true, None, None);
        stream.inbox.rest();
        for each in [Some(line), asked].into_iter().flatten() {
            self.leaving.end(ledger, each, std::slice::from_ref(&topic), None);
        }
    }

    pub(crate) fn moved(&mut self, line: LineId, topic: String, position: String, offset: u64) {
        if let Some(stream) = self.heard(line, &topic) {
            stream.moved(topic, position, offset);
        }
    }

    pub(crate) fn reset(&mut self, line: LineId, topic: String, reason: String, position: String) {
        if let Some(stream) = self.heard(line, &topic) {
            stream.reset(topic, reason, position);
        }
    }

    /// Left out where there is no room.
    pub(crate) fn signal(&mut self, line: LineId, signal: Signal, bytes: usize) {
        if let Some(stream) = self.heard(line, &signal.topic)
            && stream.asked == Some(line)
        {
            stream.inbox.push(Event::Signal(signal), bytes);
        }
    }

    /// Left out where there is no room.
    pub(crate) fn plain(&mut self, line: LineId, text: String) {
        let Some(topic) = self.tenant().map(str::to_owned) else { return };
        if let Some(stream) = self.heard(line, &topic) {
            let bytes = text.len();
            stream.inbox.push(Event::Plain(text.into()), bytes);
        }
    }

    /// The right to a topic has ended.
    pub(crate) fn unsubscribed(&mut self, line: LineId, topic: String, reason: String) {
        if self.heard(line, &topic).is_some() {
            self.end(topic, reason);
        }
    }

    /// Something that concerns all; left out where there is no room.
    pub(crate) fn news(&self, event: &Event) {
        for hearer in self.hearers.values().filter(|hearer| hearer.beginning.is_none()) {
            hearer.inbox.push(event.clone(), 0);
        }
    }

    /// A SUBSCRIBE was answered.
    pub(crate) fn settled(
        &mut self,
        ledger: &mut Ledger,
        line: LineId,
        topics: &[String],
        answer: Result<Subscribed, Refusal>,
    ) {
        let is_live =
            |topic: &&String| self.streams.get(*topic).is_some_and(|stream| stream.asked == Some(line));
        let live: Vec<String> = topics.iter().filter(is_live).cloned().collect();
        match answer {
            Ok(Subscribed { tenant, user, mut topics, .. }) => {
                self.identity = Some(Identity { tenant, user });
                for topic in live {
                    match topics.remove(&topic) {
                        Some(Ok(start)) => self.begin(line, topic, start),
                        Some(Err(refusal)) => self.refused(topic, refusal),
                        None => {}
                    }
                }
            }
            // The code is that of one of them: each is asked for alone; but over the rate it is the frame's.
            Err(refusal) if topics.len() > 1 && !is_of_frame(&refusal) => {
                live.iter().for_each(|topic| self.ask(ledger, line, std::slice::from_ref(topic)));
            }
            Err(refusal) => live.into_iter().for_each(|topic| self.refused(topic, refusal.clone())),
        }
    }

    fn begin(&mut self, line: LineId, topic: String, start: Start) {
        let Some(stream) = self.streams.get_mut(&topic) else { return };
        stream.begin(line, &start.position);
        let subscription = stream.subscription;
        self.began(subscription, topic, Ok(start));
    }

    fn refused(&mut self, topic: String, refusal: Refusal) {
        let Some(stream) = self.streams.get_mut(&topic) else { return };
        if let Some(after) = refusal.retry_after_ms {
            stream.waits_until = Some(Instant::now() + Duration::from_millis(after));
            stream.asked = None;
            return;
        }
        let subscription = stream.subscription;
        let begins = self.hearers.get(&subscription).and_then(|hearer| hearer.beginning.as_ref());
        if begins.is_some_and(|beginning| !beginning.topics.contains_key(&topic)) {
            self.take(&topic);
            self.began(subscription, topic, Err(refusal));
            self.count_off(subscription);
        } else {
            self.end(topic, refusal.code.as_str().to_owned());
        }
    }

    /// A topic of a subscription is answered for; with the last one the subscription begins.
    fn began(&mut self, subscription: u64, topic: String, outcome: Result<Start, Refusal>) {
        let Some(hearer) = self.hearers.get_mut(&subscription) else { return };
        let Some(beginning) = &mut hearer.beginning else { return };
        if beginning.topics.insert(topic, outcome).is_none() {
            beginning.left -= 1;
        }
        if beginning.left > 0 {
            return;
        }
        let (Some(Beginning { topics, reply, .. }), Some(identity)) =
            (hearer.beginning.take(), self.identity.clone().or_else(nobody))
        else {
            return;
        };
        // Who no longer waits has left its inbox.
        let _ = reply.send(Ok(Begun { identity, topics }));
    }

    fn end(&mut self, topic: String, reason: String) {
        let Some(stream) = self.take(&topic) else { return };
        stream.inbox.force(Event::Unsubscribed { topic, reason });
        self.count_off(stream.subscription);
    }

    fn take(&mut self, topic: &str) -> Option<Stream> {
        self.streams.remove(topic)
    }

    /// A topic has ended; with the last one its subscription does.
    fn count_off(&mut self, subscription: u64) {
        let Some(hearer) = self.hearers.get_mut(&subscription) else { return };
        hearer.topics -= 1;
        if hearer.topics == 0 {
            hearer.inbox.end();
            self.hearers.remove(&subscription);
        }
    }

    fn heard(&mut self, line: LineId, topic: &str) -> Option<&mut Stream> {
        self.streams.get_mut(topic).filter(|stream| stream.owner == Some(line))
    }

    /// A topic that is heard from this line, if there is one.
    pub(crate) fn heard_from(&self, line: LineId) -> Option<&String> {
        self.streams.iter().find(|(_, stream)| stream.owner == Some(line)).map(|(topic, _)| topic)
    }

    /// A line has ended.
    pub(crate) fn lost(&mut self, line: LineId) {
        self.leaving.lost(line);
        for stream in self.streams.values_mut() {
            stream.owner = stream.owner.filter(|owner| *owner != line);
            stream.asked = stream.asked.filter(|asked| *asked != line);
        }
    }

    /// The successor of this line has failed before it was left: topics are heard from it again.
    pub(crate) fn back(&mut self, ledger: &mut Ledger, line: LineId) {
        let mut moved = Vec::new();
        for (topic, stream) in &mut self.streams {
            if stream.owner == Some(line) {
                stream.asked = Some(line);
            } else if !stream.rests {
                // What the line has said since then was left out, so it has to begin anew.
                moved.push(topic.clone());
            }
        }
        self.leaving.end(ledger, line, &moved, None);
    }

    pub(crate) fn due(&self) -> Option<Instant> {
        let waits = self.streams.values().filter_map(|stream| stream.waits_until).min();
        [waits, self.leaving.due()].into_iter().flatten().min()
    }

    /// Asks for what the server wanted to be asked for later.
    pub(crate) fn fire(&mut self, ledger: &mut Ledger, now: Instant) {
        self.leaving.fire(ledger, now);
        for stream in self.streams.values_mut() {
            stream.waits_until = stream.waits_until.filter(|until| *until > now);
        }
        self.sync(ledger);
    }

    /// The client has ended.
    pub(crate) fn fail(&mut self, error: &Error) {
        self.streams.clear();
        for hearer in std::mem::take(&mut self.hearers).into_values() {
            hearer.inbox.end();
            if let Some(beginning) = hearer.beginning {
                // Who no longer waits needs no answer.
                let _ = beginning.reply.send(Err(error.clone()));
            }
        }
    }
}

/// Where every topic was refused the server has not said who this is.
fn nobody() -> Option<Identity> {
    Some(Identity { tenant: String::new(), user: String::new() })
}

fn is_of_frame(refusal: &Refusal) -> bool {
    refusal.code == ErrorCode::RateLimited && refusal.retry_after_ms.is_some()
}
