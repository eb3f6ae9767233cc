//! What the node wants to hear, on which channels of Redis that comes, and which of these are heard.
//!
//! The node's calls only write down a wish; the board takes what has changed and says it to Redis. Nothing is kept of
//! a channel that nobody wants.

use std::{
    collections::{HashMap, HashSet},
    sync::Arc,
};

use antiphon_core::Channel;
use parking_lot::Mutex;

use crate::channel::{Listened, Named};

/// How often in a row a channel may be sent on by one Redis to another, before it counts as lost.
const HOPS_MAX: u8 = 5;

#[derive(Default)]
pub(crate) struct Interest {
    // No other lock is taken under it.
    state: Mutex<State>,
}

#[derive(Default)]
struct State {
    wanted: HashMap<Arc<str>, Wanted>,
    channels: HashMap<Arc<str>, Subscription>,
    /// Channels to subscribe or to unsubscribe.
    changed: HashSet<Arc<str>>,
    /// Names that are wanted on a channel that was heard already.
    begun: HashSet<Arc<str>>,
    /// Channels that were heard and are not any more: while there is one, the broker is down.
    lost: HashSet<Arc<str>>,
    is_up: bool,
    /// Outages so far.
    outages: u64,
    numbers: u64,
}

struct Wanted {
    listened: Listened,
    channel: Arc<str>,
}

struct Subscription {
    /// Who wants it.
    names: HashSet<Arc<str>>,
    /// Of all beginnings, which one: a confirmation of an earlier one is none of this.
    number: u64,
    is_heard: bool,
    /// Which outage its last confirmation came after.
    confirmed: u64,
    hops: u8,
}

/// What to say to Redis of a channel: subscribe, for this beginning, or end it.
pub(crate) type Wish = Option<u64>;

impl State {
    fn unhear(&mut self, channel: &Arc<str>, is_lost: bool) {
        let Some(subscription) = self.channels.get_mut(channel) else { return };
        // What confirms the beginning before does not confirm this one.
        self.numbers += 1;
        (subscription.is_heard, subscription.number) = (false, self.numbers);
        if is_lost {
            self.lost.insert(channel.clone());
        }
        self.changed.insert(channel.clone());
    }
}

impl Interest {
    /// Wants to hear a name. One that was wanted all along is confirmed anew.
    pub fn want(&self, named: Named, listened: Listened) {
        let mut guard = self.state.lock();
        let state = &mut *guard;
        let Named { name, channel } = named;
        state.wanted.insert(name.clone(), Wanted { listened, channel: channel.clone() });
        if let Some(subscription) = state.channels.get_mut(&channel) {
            subscription.names.insert(name.clone());
            if subscription.is_heard {
                state.begun.insert(name);
            }
            return;
        }
        state.numbers += 1;
        let (names, number) = (HashSet::from([name]), state.numbers);
        let subscription = Subscription { names, number, is_heard: false, confirmed: 0, hops: 0 };
        state.channels.insert(channel.clone(), subscription);
        if !state.is_up {
            state.lost.insert(channel.clone());
        }
        state.changed.insert(channel);
    }

    pub fn ignore(&self, name: &str) {
        let mut guard = self.state.lock();
        let state = &mut *guard;
        let Some(Wanted { channel, .. }) = state.wanted.remove(name) else { return };
        state.begun.remove(name);
        let Some(subscription) = state.channels.get_mut(&channel) else { return };
        subscription.names.remove(name);
        if subscription.names.is_empty() {
            state.channels.remove(&channel);
            state.lost.remove(&channel);
            state.changed.insert(channel);
        }
    }

    /// What a name is to the node, if it wants it.
    pub fn of(&self, name: &str) -> Option<Listened> {
        self.state.lock().wanted.get(name).map(|wanted| wanted.listened.clone())
    }

    /// The channels that changed since the last look, and what to say of each.
    pub fn take(&self) -> Vec<(Arc<str>, Wish)> {
        let mut guard = self.state.lock();
        let state = &mut *guard;
        let wish = |channel: &Arc<str>| state.channels.get(channel).map(|subscription| subscription.number);
        state.changed.drain().map(|channel| (channel.clone(), wish(&channel))).collect()
    }

    /// Redis has confirmed a beginning: what is heard from now on, if it is the newest one.
    pub fn heard(&self, channel: &Arc<str>, number: u64) -> Vec<Channel> {
        let mut guard = self.state.lock();
        let state = &mut *guard;
        let subscription =
            state.channels.get_mut(channel).filter(|subscription| subscription.number == number);
        let Some(subscription) = subscription else { return Vec::new() };
        (subscription.is_heard, subscription.hops) = (true, 0);
        subscription.confirmed = state.outages;
        state.lost.remove(channel);
        let names = subscription.names.iter();
        names.filter_map(|name| topic(&state.wanted, &mut state.begun, name)).collect()
    }

    /// What began on channels that were heard already.
    pub fn begun(&self) -> Vec<Channel> {
        let mut guard = self.state.lock();
        let state = &mut *guard;
        let begun = std::mem::take(&mut state.begun);
        let is_heard = |name: &Arc<str>| {
            let channel = state.wanted.get(name).map(|wanted| &wanted.channel);
            channel.and_then(|channel| state.channels.get(channel)).is_some_and(|channel| channel.is_heard)
        };
        let begun: Vec<Arc<str>> = begun.into_iter().filter(is_heard).collect();
        begun.iter().filter_map(|name| topic(&state.wanted, &mut state.begun, name)).collect()
    }

    /// A channel's Redis is not there, or not for it.
    pub fn lost(&self, channel: &Arc<str>) {
        self.state.lock().unhear(channel, true);
    }

    /// A channel has no Redis for now; whoever places it knows that, and tries again.
    pub fn missing(&self, channel: &Arc<str>) {
        let mut state = self.state.lock();
        if state.channels.contains_key(channel) {
            state.lost.insert(channel.clone());
        }
    }

    /// A channel is with another Redis now. False: it has been sent about too often, and is lost.
    pub fn moved(&self, channel: &Arc<str>) -> bool {
        let mut state = self.state.lock();
        let hops = state.channels.get_mut(channel).map_or(0, |subscription| {
            subscription.hops = subscription.hops.saturating_add(1);
            subscription.hops
        });
        state.unhear(channel, hops > HOPS_MAX);
        hops <= HOPS_MAX
    }

    /// We may not hear a channel, which is no outage.
    pub fn refused(&self, channel: &Arc<str>) {
        self.state.lock().lost.remove(channel);
    }

    /// Whether all that was heard is, given that there is a connection. At the end of an outage also what was heard through it,
    /// on another connection than those that were lost: others may not have posted meanwhile.
    pub fn settle(&self, is_connected: bool) -> (bool, Vec<Channel>) {
        let mut guard = self.state.lock();
        let state = &mut *guard;
        let was_up = std::mem::replace(&mut state.is_up, is_connected && state.lost.is_empty());
        if was_up && !state.is_up {
            state.outages += 1;
        }
        if was_up || !state.is_up {
            return (state.is_up, Vec::new());
        }
        let mut names = Vec::new();
        for subscription in state.channels.values_mut() {
            if subscription.is_heard && subscription.confirmed < state.outages {
                subscription.confirmed = state.outages;
                names.extend(subscription.names.iter().cloned());
            }
        }
        let heard = names.iter().filter_map(|name| topic(&state.wanted, &mut state.begun, name));
        (true, heard.collect())
    }
}

/// The topic of a name that is confirmed now.
fn topic(
    wanted: &HashMap<Arc<str>, Wanted>,
    begun: &mut HashSet<Arc<str>>,
    name: &Arc<str>,
) -> Option<Channel> {
    begun.remove(name);
    match &wanted.get(name)?.listened {
        Listened::Ours(channel) => Some(channel.clone()),
        Listened::Plain(_) => None,
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::channel::Naming;
    use antiphon_protocol::{TenantId, Topic, TopicName};

    fn topic(name: &str) -> Channel {
        Channel::Topic(Topic::new(TenantId::parse("acme").unwrap(), TopicName::parse(name).unwrap()))
    }

    fn settled(interest: &Interest) -> bool {
        interest.settle(true).0
    }

    fn want(interest: &Interest, naming: Naming, name: &str) -> Named {
        let named = naming.ours(&topic(name));
        interest.want(named.clone(), Listened::Ours(topic(name)));
        named
    }

    /// Two topics of one partition.
    fn neighbours() -> (String, String) {
        let partition = |number: u32| Naming::Partitions.ours(&topic(&number.to_string())).channel;
        let other = (1..).find(|number| partition(*number) == partition(0)).unwrap();
        ("0".to_owned(), other.to_string())
    }

    #[test]
    fn only_what_changed_is_said_and_only_the_newest_beginning_is_confirmed() {
        let interest = Interest::default();
        settled(&interest);
        let a = want(&interest, Naming::Topics, "a");
        let said = interest.take();
        let [(channel, Some(first))] = said.as_slice() else { panic!("{said:?}") };
        assert!(*channel == a.channel && interest.take().is_empty());
        interest.ignore(&a.name);
        want(&interest, Naming::Topics, "a");
        assert!(interest.heard(&a.channel, *first).is_empty(), "that was the beginning before");
        let Some((_, Some(second))) = interest.take().pop() else { panic!("it began again") };
        assert_eq!(interest.heard(&a.channel, second), [topic("a")]);
        interest.ignore(&a.name);
        assert_eq!(interest.take(), [(a.channel.clone(), None)]);
        assert!(interest.heard(&a.channel, second).is_empty());
    }

    #[test]
    fn what_begins_on_a_channel_that_is_heard_is_confirmed_without_redis() {
        let (interest, (one, two)) = (Interest::default(), neighbours());
        settled(&interest);
        let first = want(&interest, Naming::Partitions, &one);
        let Some((_, Some(number))) = interest.take().pop() else { panic!("it is new") };
        let second = want(&interest, Naming::Partitions, &two);
        let mut heard = interest.heard(&first.channel, number);
        heard.sort_by_key(|channel| format!("{channel:?}").len());
        assert_eq!(heard, [topic(&one), topic(&two)]);
        assert!(interest.begun().is_empty());
        interest.ignore(&second.name);
        want(&interest, Naming::Partitions, &two);
        assert_eq!((interest.begun(), interest.begun()), (vec![topic(&two)], Vec::new()));
        assert!(interest.take().is_empty(), "Redis has nothing to be told");
        want(&interest, Naming::Partitions, &two);
        interest.lost(&first.channel);
        assert!(interest.begun().is_empty(), "it will be confirmed with its channel");
        assert!(interest.heard(&first.channel, number).is_empty(), "that was before it was lost");
        let Some((_, Some(number))) = interest.take().pop() else { panic!("it begins again") };
        assert_eq!(interest.heard(&first.channel, number).len(), 2);
    }

    #[test]
    fn it_is_settled_while_nothing_is_lost_and_what_is_refused_or_given_up_is_not() {
        let interest = Interest::default();
        let [a, b, c] = ["a", "b", "c"].map(|name| want(&interest, Naming::Topics, name));
        assert!(!settled(&interest), "what was wanted before it was up is missing");
        for (channel, number) in interest.take() {
            interest.heard(&channel, number.unwrap());
        }
        assert!(settled(&interest) && !interest.settle(false).0 && settled(&interest));
        want(&interest, Naming::Topics, "d");
        assert!(settled(&interest), "a beginning is no loss");
        interest.lost(&a.channel);
        interest.lost(&b.channel);
        assert!(interest.moved(&c.channel) && !settled(&interest));
        interest.refused(&a.channel);
        interest.ignore(&b.name);
        interest.missing(&b.channel);
        assert!(settled(&interest), "what moved is no loss at first");
        interest.missing(&a.channel);
        assert!(!settled(&interest));
        interest.ignore(&a.name);
        assert!(settled(&interest));
        assert!((0..HOPS_MAX).any(|_| !interest.moved(&c.channel)) && !settled(&interest));
    }

    #[test]
    fn what_was_heard_through_an_outage_of_others_is_confirmed_at_its_end() {
        let interest = Interest::default();
        settled(&interest);
        let [a, b] = ["a", "b"].map(|name| want(&interest, Naming::Topics, name));
        let hear = || {
            for (channel, number) in interest.take() {
                interest.heard(&channel, number.unwrap());
            }
        };
        hear();
        assert_eq!(interest.settle(true), (true, Vec::new()));
        interest.lost(&a.channel);
        assert_eq!(interest.settle(true), (false, Vec::new()));
        hear();
        assert_eq!(interest.settle(true), (true, vec![topic("b")]));
        interest.lost(&b.channel);
        hear();
        assert_eq!(interest.settle(true), (true, Vec::new()), "no outage was told");
    }

    #[test]
    fn what_came_and_went_leaves_nothing() {
        for naming in [Naming::Topics, Naming::Partitions] {
            let interest = Interest::default();
            for number in 0..1000 {
                let named = want(&interest, naming, &number.to_string());
                interest.ignore(&named.name);
            }
            drop(interest.take());
            let state = interest.state.lock();
            assert!(state.wanted.is_empty() && state.channels.is_empty() && state.begun.is_empty());
            assert!(state.lost.is_empty() && state.changed.is_empty());
        }
    }
}
