//! What can happen next.

use super::state::*;
use super::step::Step;
use super::world::World;
use super::{properties, rules::Rule};
use stateright::{Model, Property};

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Action {
    Send { key: u8, node: usize },
    Stamp(usize),
    Commit(usize),
    CommitUnanswered(usize),
    Answer(usize),
    Ring { node: usize, id: Id },
    Tick(usize),
    TickAsks(usize),
    TickIsAnswered(usize),
    LosePatience { node: usize, topic: usize },
    ReadMissing { node: usize, topic: usize },
    Repair { node: usize, topic: usize },
    ForgetPage { node: usize, topic: usize },
    LookAfter(usize),
    Pass { client: usize, topic: usize },
    Doubt { client: usize, topic: usize },
    ReadFor { client: usize, topic: usize },
    TakeLetter { client: usize, topic: usize },
    Connect { client: usize, node: usize },
    Leave(usize),
    Subscribe { client: usize, topic: usize },
    Join { client: usize, topic: usize },
    Remove,
    Change,
    Restore { topic: usize, back: u8 },
    RestoreAll,
    Crash(usize),
    TimePasses,
}

impl Model for World {
    type State = State;
    type Action = Action;

    fn init_states(&self) -> Vec<State> {
        vec![self.beginning()]
    }

    fn actions(&self, state: &State, actions: &mut Vec<Action>) {
        // Nothing has to be known of what comes after a fault.
        if state.faults != 0 {
            return;
        }
        self.publishes(state, actions);
        self.of_nodes(state, actions);
        self.of_clients(state, actions);
        self.of_the_world(state, actions);
    }

    fn next_state(&self, state: &State, action: Action) -> Option<State> {
        let mut step = Step { world: self, s: *state };
        step.take(action);
        // What changes nothing is no step.
        (step.s != *state).then_some(step.s)
    }

    fn properties(&self) -> Vec<Property<Self>> {
        properties::all()
    }
}

impl World {
    fn publishes(&self, state: &State, actions: &mut Vec<Action>) {
        let on_their_way = state.attempts.iter().filter(|one| one.stage != Stage::None).count();
        let is_free = on_their_way < self.at_once;
        let room = (state.store.len as usize) + waiting(state) < ENTRIES;
        if is_free && room {
            for topic in 0..TOPICS {
                let sent = state.spent.sends[topic];
                let first = if topic == 0 { 0 } else { self.keys[0] };
                if sent < self.keys[topic] {
                    actions.push(Action::Send { key: first + sent, node: topic });
                }
                let may_again = state.spent.retries < self.retries;
                for key in (first..first + sent).filter(|key| may_again && state.acked & 1 << key == 0) {
                    actions.extend((0..NODES).map(|node| Action::Send { key, node }));
                }
            }
        }
        for (index, attempt) in state.attempts.iter().enumerate() {
            match attempt.stage {
                Stage::None => {}
                Stage::Queued => actions.push(Action::Stamp(index)),
                Stage::Stamped(_) => {
                    actions.push(Action::Commit(index));
                    if state.spent.unanswered < self.unanswered {
                        actions.push(Action::CommitUnanswered(index));
                    }
                }
                Stage::Committed(..) => actions.push(Action::Answer(index)),
            }
        }
    }

    fn of_nodes(&self, state: &State, actions: &mut Vec<Action>) {
        for node in 0..NODES {
            let posted = (1..=state.store.len).filter(|id| state.posted[node] & bit(*id) != 0);
            actions.extend(posted.map(|id| Action::Ring { node, id }));
            if self.keeps(Rule::Tick) {
                if self.time == 0 {
                    actions.push(Action::Tick(node));
                } else {
                    actions.extend([Action::TickAsks(node), Action::TickIsAnswered(node)]);
                }
            }
            for topic in 0..TOPICS {
                let feed = &state.nodes[node].feeds[topic];
                match feed.repair {
                    Repair::Idle => {}
                    Repair::Wanted => actions.push(Action::ReadMissing { node, topic }),
                    Repair::Fork { .. } | Repair::Read(_) => actions.push(Action::Repair { node, topic }),
                }
                if feed.early != START {
                    actions.push(Action::LosePatience { node, topic });
                }
                if self.pages_age && feed.page.is_some() {
                    actions.push(Action::ForgetPage { node, topic });
                }
            }
            actions.push(Action::LookAfter(node));
            if state.spent.crashes < self.crashes {
                actions.push(Action::Crash(node));
            }
        }
    }

    fn of_clients(&self, state: &State, actions: &mut Vec<Action>) {
        for (client, held) in state.clients.iter().enumerate() {
            if held.at.is_none() {
                actions.extend((0..NODES).map(|node| Action::Connect { client, node }));
                continue;
            }
            if state.spent.moves < self.moves {
                actions.push(Action::Leave(client));
            }
            for topic in (0..TOPICS).filter(|topic| self.wants[client][*topic]) {
                if self.keeps(Rule::Doubt) {
                    actions.push(Action::Doubt { client, topic });
                }
                actions.extend(match held.subs[topic].stand {
                    Stand::Off => Some(Action::Subscribe { client, topic }),
                    Stand::Judged { .. } => Some(Action::Join { client, topic }),
                    Stand::On { letter, .. } if letter != Letter::None => {
                        Some(Action::TakeLetter { client, topic })
                    }
                    Stand::On { place: Place::Log, .. } => Some(Action::ReadFor { client, topic }),
                    Stand::On { .. } => Some(Action::Pass { client, topic }),
                    Stand::Refused => None,
                });
            }
        }
    }

    fn of_the_world(&self, state: &State, actions: &mut Vec<Action>) {
        let spent = &state.spent;
        let has_to_wait = state.nodes.iter().any(|node| node.has_to_look) && self.keeps(Rule::Waits);
        if spent.removals < self.removals && !has_to_wait {
            actions.push(Action::Remove);
        }
        if spent.changes < self.changes {
            actions.push(Action::Change);
        }
        if spent.directories < self.directories && spent.changes > 0 && spent.removals == 0 {
            actions.push(Action::RestoreAll);
        }
        if spent.time < self.time {
            actions.push(Action::TimePasses);
        }
        if spent.restores < self.restores {
            for topic in 0..TOPICS {
                let head = state.store.offset(state.store.heads[topic]);
                actions.extend((1..=head).map(|back| Action::Restore { topic, back }));
            }
        }
    }
}

/// Entries that may still be committed by what is on its way.
fn waiting(state: &State) -> usize {
    state.attempts.iter().filter(|one| matches!(one.stage, Stage::Queued | Stage::Stamped(_))).count()
}

impl Step<'_> {
    /// Does this, if it can be done now.
    pub fn take(&mut self, action: Action) {
        match action {
            Action::Send { key, node } => {
                let topic = self.world.topic_of(key);
                let first = if topic == 0 { 0 } else { self.world.keys[0] };
                if key == first + self.s.spent.sends[topic] {
                    self.s.spent.sends[topic] += 1;
                } else {
                    self.s.spent.retries += 1;
                }
                self.send(key, node);
            }
            Action::Stamp(index) => self.stamp(index),
            Action::Commit(index) => self.commit(index, true),
            Action::CommitUnanswered(index) => {
                self.s.spent.unanswered += 1;
                self.commit(index, false);
            }
            Action::Answer(index) => self.answer(index),
            Action::Ring { node, id } => self.judge(node, self.s.store.entry(id).topic as usize, id),
            Action::Tick(node) => self.tick(node),
            Action::TickAsks(node) => {
                if self.s.nodes[node].asked == Asked::Nothing {
                    self.s.nodes[node].asked = Asked::Revision(self.s.store.revision, false);
                }
            }
            Action::TickIsAnswered(node) => self.tick_is_answered(node),
            Action::LosePatience { node, topic } => {
                if self.s.nodes[node].feeds[topic].early != START {
                    self.want_repair(node, topic);
                }
            }
            Action::ReadMissing { node, topic } => {
                if self.s.nodes[node].feeds[topic].repair == Repair::Wanted {
                    self.read_missing(node, topic);
                }
            }
            Action::Repair { node, topic } => self.repair(node, topic),
            Action::ForgetPage { node, topic } => self.feed(node, topic).page = None,
            Action::LookAfter(node) => self.look_after(node),
            Action::Pass { client, topic } => self.pass_if_told(client, topic),
            Action::Doubt { client, topic } => self.doubt(client, topic),
            Action::ReadFor { client, topic } => {
                if let Stand::On { place: Place::Log, letter: Letter::None, .. } =
                    self.s.clients[client].subs[topic].stand
                {
                    self.read_for(client, topic);
                }
            }
            Action::TakeLetter { client, topic } => {
                if let Stand::On { letter, .. } = self.s.clients[client].subs[topic].stand
                    && letter != Letter::None
                {
                    self.take_letter(client, topic);
                }
            }
            Action::Connect { client, node } => self.s.clients[client].at = Some(node as u8),
            Action::Leave(client) => {
                self.s.spent.moves += 1;
                self.disconnect(client);
            }
            Action::Subscribe { client, topic } => {
                if self.s.clients[client].at.is_some_and(|node| self.is_open(node as usize)) {
                    self.subscribe(client, topic);
                }
            }
            Action::Join { client, topic } => self.join(client, topic),
            Action::Remove => {
                self.s.spent.removals += 1;
                (self.s.store.revision, self.s.store.is_member) = (self.s.store.revision + 1, false);
            }
            Action::Change => {
                self.s.spent.changes += 1;
                self.s.store.revision += 1;
                self.s.store.backup = self.s.store.heads;
            }
            Action::Restore { topic, back } => {
                self.s.spent.restores += 1;
                self.restore(topic, back);
            }
            Action::RestoreAll => {
                self.s.spent.directories += 1;
                self.restore_all();
            }
            Action::Crash(node) => {
                self.s.spent.crashes += 1;
                self.crash(node);
            }
            Action::TimePasses => self.time_passes(),
        }
    }

    fn pass_if_told(&mut self, client: usize, topic: usize) {
        let Some(node) = self.s.clients[client].at.map(usize::from) else { return };
        if let Stand::On { place: Place::Ring(_, true), .. } = self.s.clients[client].subs[topic].stand
            && self.is_open(node)
        {
            self.pass(client, topic);
        }
    }

    fn time_passes(&mut self) {
        self.s.spent.time += 1;
        for node in &mut self.s.nodes {
            node.is_fenced = true;
            if let Asked::Revision(_, is_old) = &mut node.asked {
                *is_old = true;
            }
        }
        self.s.is_long_removed = !self.s.store.is_member;
    }
}
