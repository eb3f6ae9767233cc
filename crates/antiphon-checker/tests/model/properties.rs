//! What is promised, and what a state is held against.

use super::actions::Action;
use super::rules::Rule;
use super::state::*;
use super::step::Step;
use super::world::World;
use stateright::Property;

/// What went wrong in a step.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
#[repr(u8)]
pub enum Fault {
    Double,
    Loss,
    Splice,
    Leak,
    Fence,
    Reset,
    Proof,
}

impl Fault {
    pub fn bit(self) -> u8 {
        1 << self as u8
    }
}

pub const DURABLE: &str = "what was acknowledged is in the log";
pub const ONCE: &str = "a key is in a log once";
pub const DOUBLE: &str = "nothing is heard twice, nor after what follows it";
pub const LOSS: &str = "nothing is left out";
pub const SPLICE: &str = "no stream goes on with another history";
pub const RESET: &str = "only a stream whose history was cut is reset";
pub const PROOF: &str =
    "whoever comes back with a cut position is told so, unless its node has not seen the cut yet";
pub const LEAK: &str = "nothing that was sent after the removal reaches the removed";
pub const FENCE: &str = "nothing reaches the removed when all fences without a look since have fallen";
pub const HEALS: &str = "without any bell all come to the head";

fn is_free_of(fault: Fault) -> impl Fn(&State) -> bool {
    move |state| state.faults & fault.bit() == 0
}

pub fn all() -> Vec<Property<World>> {
    vec![
        Property::always(DURABLE, is_durable),
        Property::always(ONCE, is_once),
        Property::always(DOUBLE, |_, state| is_free_of(Fault::Double)(state)),
        Property::always(LOSS, |_, state| is_free_of(Fault::Loss)(state)),
        Property::always(SPLICE, |_, state| is_free_of(Fault::Splice)(state)),
        Property::always(RESET, |_, state| is_free_of(Fault::Reset)(state)),
        Property::always(PROOF, |_, state| is_free_of(Fault::Proof)(state)),
        Property::always(LEAK, |_, state| is_free_of(Fault::Leak)(state)),
        Property::always(FENCE, |_, state| is_free_of(Fault::Fence)(state)),
        Property::always(HEALS, heals),
    ]
}

fn of_key(state: &State, topic: usize, key: u8) -> impl Iterator<Item = Id> {
    let store = &state.store;
    (1..=store.len).filter(move |id| {
        let entry = store.entry(*id);
        entry.key == key && entry.topic as usize == topic
    })
}

fn is_durable(world: &World, state: &State) -> bool {
    let keys = world.keys.iter().sum();
    (0..keys).filter(|key| state.acked & 1 << key != 0).all(|key| {
        let topic = world.topic_of(key);
        let mut of_key = of_key(state, topic, key);
        of_key.any(|id| state.store.holds(topic, id) || state.store.is_cut(id))
    })
}

fn is_once(world: &World, state: &State) -> bool {
    let keys = world.keys.iter().sum();
    (0..keys).all(|key| {
        let topic = world.topic_of(key);
        of_key(state, topic, key).filter(|id| state.store.holds(topic, *id)).count() <= 1
    })
}

/// Rounds that healing may take.
const ROUNDS: usize = 12;

/// From here, if nothing more happens and no bell rings, what each node and shard does by itself brings everybody who is
/// connected to the head of the log, in their place at the end of a ring.
fn heals(world: &World, state: &State) -> bool {
    if state.faults != 0 {
        return true;
    }
    let mut step = Step { world, s: *state };
    for _ in 0..ROUNDS {
        let before = step.s;
        for node in 0..NODES {
            if world.keeps(Rule::Tick) {
                step.tick(node);
            }
            for topic in 0..TOPICS {
                // Until it is idle, as its task does.
                for _ in 0..4 {
                    step.take(Action::LosePatience { node, topic });
                    step.take(Action::ReadMissing { node, topic });
                    step.take(Action::Repair { node, topic });
                }
            }
            step.take(Action::LookAfter(node));
        }
        for client in 0..CLIENTS {
            for topic in 0..TOPICS {
                step.take(Action::Join { client, topic });
                step.take(Action::Pass { client, topic });
                if world.keeps(Rule::Doubt) {
                    step.take(Action::Doubt { client, topic });
                }
                step.take(Action::ReadFor { client, topic });
                step.take(Action::TakeLetter { client, topic });
            }
        }
        if step.s == before {
            break;
        }
    }
    // A stream that breaks on the way is found where it happens.
    step.s.faults != 0 || all_at_head(&step.s)
}

fn all_at_head(state: &State) -> bool {
    state.clients.iter().all(|client| {
        (0..TOPICS).all(|topic| match client.subs[topic].stand {
            Stand::Off | Stand::Refused => true,
            Stand::Judged { .. } => false,
            Stand::On { passed, place, .. } => {
                passed == state.store.heads[topic] && place == Place::Ring(0, false)
            }
        })
    })
}
