//! Carrying out a client's frame.

use antiphon_node::Node;
use antiphon_protocol::{
    Command, CommandFrame, Draft, HistoryAsk, MessageDraft, Position, Refusal, ServerFrame, Signal,
    SubscribeAsk, Topic, TopicName,
};

use crate::{
    Act, Operation, Session,
    drive::{Asked, Wait},
};

impl Session {
    pub(crate) fn carry_out(&mut self, node: &Node, frame: CommandFrame, acts: &mut Vec<Act>) {
        // A publish may follow publishes; everything else waits until they are answered.
        let joins_queue = matches!(frame.command, Ok(Command::Message(_) | Command::Signal(_)));
        if !self.in_flight.is_empty() && !joins_queue {
            self.held = Some(Box::new(frame));
            return;
        }
        let CommandFrame { reference, command, at_fault, .. } = frame;
        match command {
            Err(refusal) => self.refuse(reference.as_deref(), at_fault.as_deref(), refusal, acts),
            Ok(Command::Ping) => {
                acts.push(Act::Send(ServerFrame::Pong { reference: reference.as_deref() }.encode()));
            }
            Ok(Command::Subscribe(ask)) => self.subscribe(node, reference, ask, acts),
            Ok(Command::Unsubscribe(names)) => self.unsubscribe(reference.as_deref(), names, acts),
            Ok(Command::Message(draft)) => self.message(node, reference, draft, acts),
            Ok(Command::Signal(draft)) => self.signal(node, reference, draft, acts),
            Ok(Command::History(ask)) => self.history(reference, ask, acts),
            Ok(Command::Presence(name)) => {
                let (Some(caller), Some(topic)) = (self.caller.clone(), self.topic(name)) else { return };
                self.wait = Wait::Answer(Box::new(Asked::Presence(reference, topic.name().clone())));
                acts.push(Act::Operate(Operation::Presence(caller, topic)));
            }
        }
    }

    /// A topic of the caller's own tenant: another one can't be said.
    fn topic(&self, name: Option<TopicName>) -> Option<Topic> {
        let tenant = self.caller.as_ref()?.tenant();
        Some(name.map_or_else(|| Topic::of_tenant(tenant), |name| Topic::new(tenant.clone(), name)))
    }

    fn subscribe(
        &mut self,
        node: &Node,
        reference: Option<Box<str>>,
        ask: SubscribeAsk,
        acts: &mut Vec<Act>,
    ) {
        let (Some(caller), Some(own)) = (self.caller.clone(), self.topic(None)) else { return };
        let wanted: Vec<(Topic, Option<Position>)> = match ask.topics {
            None if ask.refused.iter().any(|(name, _)| name == own.name().as_str()) => Vec::new(),
            None => {
                let position = ask.positions.get(own.name()).copied();
                vec![(own, position)]
            }
            Some(topics) => {
                let of = |name| Topic::new(caller.tenant().clone(), name);
                topics.into_iter().map(|(name, position)| (of(name), position)).collect()
            }
        };
        let (held, new): (Vec<_>, Vec<_>) =
            wanted.into_iter().partition(|(topic, _)| self.topics.key(topic).is_some());
        let limit = node.limits().topics_per_connection;
        if self.topics.0.len() + new.len() > limit {
            let text = format!("a connection may be subscribed to at most {limit} topics");
            return self.refuse(reference.as_deref(), None, Refusal::invalid(text), acts);
        }
        // One that is subscribed already changes nothing: the answer tells where its stream is by then.
        self.wait = Wait::Answer(Box::new(Asked::Subscribe(reference, held, ask.refused)));
        acts.push(Act::Operate(Operation::Subscribe(caller, new)));
    }

    fn unsubscribe(&mut self, reference: Option<&str>, names: Vec<TopicName>, acts: &mut Vec<Act>) {
        let Some(own) = self.topic(None) else { return };
        let names = if names.is_empty() { vec![own.name().clone()] } else { names };
        for name in &names {
            let topic = Topic::new(own.tenant().clone(), name.clone());
            acts.extend(self.topics.remove(&topic).map(Act::Leave));
        }
        acts.push(Act::Send(ServerFrame::UnsubscriptionSuccessful { reference, topics: &names }.encode()));
    }

    fn message(
        &mut self,
        _node: &Node,
        reference: Option<Box<str>>,
        said: MessageDraft,
        acts: &mut Vec<Act>,
    ) {
        let (Some(caller), Some(topic)) = (self.caller.clone(), self.topic(said.topic)) else { return };
        let author = Some(caller.identity.user.clone());
        let key = said.key.clone();
        let draft =
            Draft { topic, author, named_project: said.project, key: said.key, content: said.content };
        let number = self.flies(reference, Some(draft.topic.name().clone()), key);
        acts.push(Act::Publish(number, caller, draft));
    }

    fn signal(&mut self, node: &Node, reference: Option<Box<str>>, said: MessageDraft, acts: &mut Vec<Act>) {
        let (Some(caller), Some(topic)) = (self.caller.clone(), self.topic(said.topic)) else { return };
        let author = Some(caller.identity.user.clone());
        let signal = Signal { topic, author, named_project: said.project, content: said.content };
        let name = signal.topic.name().clone();
        let signal = if self.in_flight.is_empty() {
            match node.signal_now(&antiphon_node::By::User(caller.clone()), signal) {
                Ok(Ok(())) => return,
                Ok(Err(refusal)) => {
                    return self.refuse(reference.as_deref(), Some(name.as_str()), refusal, acts);
                }
                Err(signal) => signal,
            }
        } else {
            signal
        };
        let number = self.flies(reference, Some(name), None);
        acts.push(Act::Signal(number, caller, signal));
    }

    fn history(&mut self, reference: Option<Box<str>>, ask: HistoryAsk, acts: &mut Vec<Act>) {
        let (Some(caller), Some(topic)) = (self.caller.clone(), self.topic(ask.topic)) else { return };
        self.wait = Wait::Answer(Box::new(Asked::History(reference, topic.name().clone())));
        let HistoryAsk { before, after, limit, .. } = ask;
        acts.push(Act::Operate(Operation::History { caller, topic, before, after, limit }));
    }
}
