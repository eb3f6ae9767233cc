//! Subscribers: resume, the pass, catch-up and RESET. As `antiphon-node/src/subscribe.rs` and `catchup.rs`,
//! `antiphon-hub/src/shard.rs` and `pass.rs`, and the reactor around them.

use super::properties::Fault;
use super::rules::Rule;
use super::state::*;
use super::step::Step;

impl Step<'_> {
    fn stand(&mut self, client: usize, topic: usize) -> &mut Stand {
        &mut self.s.clients[client].subs[topic].stand
    }

    pub fn disconnect(&mut self, client: usize) {
        self.s.clients[client].at = None;
        for sub in &mut self.s.clients[client].subs {
            if sub.stand != Stand::Refused {
                sub.stand = Stand::Off;
            }
        }
    }

    /// A client asks to go on from its position: whether it may, and whether the position is good.
    pub fn subscribe(&mut self, client: usize, topic: usize) {
        let Some(node) = self.s.clients[client].at.map(usize::from) else { return };
        self.fresh(node);
        if self.s.clients[client].at.is_none() {
            return;
        }
        if !self.may_stay(node, client, topic) {
            *self.stand(client, topic) = Stand::Refused;
            return;
        }
        let head = self.s.store.heads[topic];
        let feed = self.feed(node, topic);
        if !feed.has_begun {
            (feed.has_begun, feed.high) = (true, head);
        }
        let from = self.s.clients[client].subs[topic].got;
        let (from, is_reset) =
            if self.keeps(Rule::Position) { self.prove(node, topic, from) } else { (from, false) };
        if !is_reset && self.s.store.is_cut(from) && !self.has_seen(node, topic, from) {
            self.fault(Fault::Proof);
        }
        *self.stand(client, topic) = Stand::Judged { from, is_reset };
    }

    /// True of a position that this node has delivered, or read for others, and not seen to be cut.
    fn has_seen(&self, node: usize, topic: usize, id: Id) -> bool {
        let page = self.s.nodes[node].feeds[topic].page;
        self.position_at(node, topic, self.s.store.offset(id)) == Some(id)
            || page.is_some_and(|page| self.s.store.is_before(id, page.last))
    }

    fn prove(&mut self, node: usize, topic: usize, position: Id) -> (Id, bool) {
        let offset = self.s.store.offset(position);
        let held = self.position_at(node, topic, offset);
        if held == Some(position) {
            return (position, false);
        }
        let feed = self.s.nodes[node].feeds[topic];
        let in_page = feed.page.filter(|page| page.after < offset);
        let in_page = in_page.and_then(|page| self.s.store.at(page.last, offset));
        if let Some(id) = in_page
            && offset <= self.s.store.offset(feed.high)
            && held.is_none_or(|held| held == id)
        {
            return if id == position { (position, false) } else { (feed.high, true) };
        }
        let store = &self.s.store;
        let head = store.heads[topic];
        let (high_at, head_at) = (store.offset(feed.high), store.offset(head));
        let is_good = store.holds(topic, position);
        if high_at < head_at || (high_at == head_at && feed.high != head) {
            self.want_repair(node, topic);
        }
        if !is_good {
            return (head, true);
        }
        if offset < head_at {
            self.read_page(node, topic, offset.saturating_sub(1));
        }
        (position, false)
    }

    /// The answer has come to the shard: the subscription stands.
    pub fn join(&mut self, client: usize, topic: usize) {
        let Some(node) = self.s.clients[client].at.map(usize::from) else { return };
        let Stand::Judged { from, is_reset } = *self.stand(client, topic) else { return };
        if !self.may_stay(node, client, topic) {
            *self.stand(client, topic) = Stand::Refused;
            return;
        }
        if is_reset {
            self.tell_reset(client, topic, self.s.clients[client].subs[topic].got, from);
        }
        let place = self.start_after(node, topic, from);
        *self.stand(client, topic) = Stand::On { passed: from, place, letter: Letter::None };
    }

    /// The shard looks after members and logs that have changed.
    pub fn look_after(&mut self, node: usize) {
        if std::mem::take(&mut self.s.nodes[node].member_changed) {
            for topic in 0..TOPICS {
                for client in self.subscribers(node, topic) {
                    if !self.may_stay(node, client, topic) {
                        *self.stand(client, topic) = Stand::Refused;
                    }
                }
            }
        }
        for topic in 0..TOPICS {
            for was in self.s.nodes[node].restarts[topic].take() {
                for client in self.subscribers(node, topic) {
                    self.restarted(node, client, topic, was);
                }
            }
        }
    }

    /// Whoever had all that was delivered is reset; of the others the log tells.
    fn restarted(&mut self, node: usize, client: usize, topic: usize, was: Id) {
        let Stand::On { passed, letter, .. } = *self.stand(client, topic) else { return };
        let place = if self.position_at(node, topic, self.s.store.offset(passed)) == Some(passed) {
            // It came since.
            self.start_after(node, topic, passed)
        } else if passed == was || !self.keeps(Rule::Stood) {
            let high = self.s.nodes[node].feeds[topic].high;
            return self.reset(node, client, topic, high);
        } else {
            Place::Log
        };
        *self.stand(client, topic) = Stand::On { passed, place, letter };
    }

    fn has_changes(&self, node: usize) -> bool {
        self.s.nodes[node].member_changed || self.s.nodes[node].restarts.iter().any(|all| !all.is_empty())
    }

    /// One subscriber is given what has gathered in the ring.
    pub fn pass(&mut self, client: usize, topic: usize) {
        let Some(node) = self.s.clients[client].at.map(usize::from) else { return };
        if self.has_changes(node) && self.keeps(Rule::ChangesFirst) {
            return self.look_after(node);
        }
        let Stand::On { passed, place: Place::Ring(behind, _), letter } = *self.stand(client, topic) else {
            return;
        };
        let feed = self.s.nodes[node].feeds[topic];
        let Some(first) = feed.len.checked_sub(behind) else {
            *self.stand(client, topic) = Stand::On { passed, place: Place::Log, letter };
            return;
        };
        let gathered = &feed.ring()[first as usize..];
        if self.keeps(Rule::Ahead) && self.contradict(gathered, passed) {
            *self.stand(client, topic) = Stand::On { passed, place: Place::Log, letter };
            return;
        }
        let passed = self.give(client, topic, gathered, passed);
        *self.stand(client, topic) = Stand::On { passed, place: Place::Ring(0, false), letter };
    }

    /// True if there is another entry where this one was.
    fn contradict(&self, gathered: &[Id], passed: Id) -> bool {
        let at = self.s.store.offset(passed);
        gathered.iter().any(|id| self.s.store.offset(*id) == at && *id != passed)
    }

    /// The shard doubts who is ahead of its feed: the log tells.
    pub fn doubt(&mut self, client: usize, topic: usize) {
        let Some(node) = self.s.clients[client].at.map(usize::from) else { return };
        let high = self.s.store.offset(self.s.nodes[node].feeds[topic].high);
        if let Stand::On { passed, place: Place::Ring(..), letter } = *self.stand(client, topic)
            && self.s.store.offset(passed) > high
        {
            *self.stand(client, topic) = Stand::On { passed, place: Place::Log, letter };
        }
    }

    /// Writes entries that follow each other; what has been passed then.
    fn give(&mut self, client: usize, topic: usize, entries: &[Id], passed: Id) -> Id {
        let Some(node) = self.s.clients[client].at.map(usize::from) else { return passed };
        let Some((first, last)) = entries.first().zip(entries.last()) else { return passed };
        let seen = self.s.store.offset(passed);
        let overlaps = self.s.store.offset(*first) <= seen && self.keeps(Rule::Skip);
        let is_member = client != REMOVED || topic == PROJECT_TOPIC || self.s.nodes[node].is_member;
        for id in entries {
            if is_member && !(overlaps && self.s.store.offset(*id) <= seen) {
                self.deliver(client, topic, *id);
            }
        }
        if self.s.store.offset(*last) > seen { *last } else { passed }
    }

    /// The client gets an entry: here the promises are held against it.
    fn deliver(&mut self, client: usize, topic: usize, id: Id) {
        let store = &self.s.store;
        let entry = store.entry(id);
        let got = self.s.clients[client].subs[topic].got;
        let (last, at) = (store.offset(got), entry.offset);
        // Whoever has been removed and does not know it yet may have been spared some.
        let is_removed = client == REMOVED && !store.is_member;
        let fits = entry.parent == got || (is_removed && at > last && store.is_before(got, id));
        if !fits {
            self.fault(match at {
                _ if at <= last => Fault::Double,
                _ if at > last + 1 => Fault::Loss,
                _ => Fault::Splice,
            });
        }
        if is_removed && entry.is_after {
            self.fault(Fault::Leak);
        }
        if is_removed && self.s.is_long_removed {
            self.fault(Fault::Fence);
        }
        self.s.clients[client].subs[topic].got = id;
    }

    fn tell_reset(&mut self, client: usize, topic: usize, had: Id, to: Id) {
        if !self.s.store.is_cut(had) {
            self.fault(Fault::Reset);
        }
        self.s.clients[client].subs[topic].got = to;
    }

    fn reset(&mut self, node: usize, client: usize, topic: usize, to: Id) {
        let Stand::On { passed, letter, .. } = *self.stand(client, topic) else { return };
        self.tell_reset(client, topic, passed, to);
        let place = self.start_after(node, topic, to);
        *self.stand(client, topic) = Stand::On { passed: to, place, letter };
    }

    /// A page of the log behind an offset, kept for others; none if nothing is there.
    fn read_page(&mut self, node: usize, topic: usize, after: u8) -> Option<Page> {
        let last = self.s.store.heads[topic];
        let head = self.s.store.offset(last);
        let page = Page { after: after - after % 2, last };
        if head > page.after {
            if self.keeps(Rule::PageAudience) {
                self.audience_at(node, self.s.store.newest_stamp(page));
            }
            self.feed(node, topic).page = Some(page);
        }
        (head > after).then_some(page)
    }

    /// A page is read for a subscriber that the ring has passed by.
    pub fn read_for(&mut self, client: usize, topic: usize) {
        let Some(node) = self.s.clients[client].at.map(usize::from) else { return };
        let Stand::On { passed, place, .. } = *self.stand(client, topic) else { return };
        let at = self.s.store.offset(passed);
        let kept = self.s.nodes[node].feeds[topic].page;
        let kept = kept.filter(|page| page.after <= at && self.s.store.offset(page.last) > at);
        let letter = match kept.or_else(|| self.read_page(node, topic, at)) {
            Some(page) => self.letter_of(node, topic, passed, page),
            None => self.at_the_end(node, topic, passed),
        };
        *self.stand(client, topic) = Stand::On { passed, place, letter };
    }

    fn letter_of(&mut self, node: usize, topic: usize, passed: Id, page: Page) -> Letter {
        let store = &self.s.store;
        if !store.is_before(passed, page.last) && self.keeps(Rule::PageLink) {
            self.feed(node, topic).page = None;
            return self.refuted(topic, passed).unwrap_or_default();
        }
        if self.keeps(Rule::PageAudience) {
            self.audience_at(node, store.newest_stamp(page));
        }
        Letter::Page { after: passed, upto: page.last }
    }

    /// The log has nothing behind this position: right if this is where the feed is, or will be when it has caught up.
    fn at_the_end(&mut self, node: usize, topic: usize, passed: Id) -> Letter {
        let high = self.s.nodes[node].feeds[topic].high;
        let here = Letter::Page { after: passed, upto: passed };
        if high == passed {
            return here;
        }
        self.want_repair(node, topic);
        let is_ahead = self.s.store.offset(passed) > self.s.store.offset(high);
        let for_now = if is_ahead { here } else { Letter::None };
        self.refuted(topic, passed).unwrap_or(for_now)
    }

    fn refuted(&self, topic: usize, passed: Id) -> Option<Letter> {
        let to = self.s.store.heads[topic];
        (!self.s.store.holds(topic, passed)).then_some(Letter::Reset { after: passed, to })
    }

    /// The shard takes what was read.
    pub fn take_letter(&mut self, client: usize, topic: usize) {
        let Some(node) = self.s.clients[client].at.map(usize::from) else { return };
        if self.keeps(Rule::ChangesFirst) {
            self.look_after(node);
        }
        let Stand::On { passed, place, letter } = *self.stand(client, topic) else { return };
        *self.stand(client, topic) = Stand::On { passed, place, letter: Letter::None };
        match letter {
            Letter::Page { after, upto } => {
                let is_good = place == Place::Log && passed == after;
                if self.is_open(node) && (is_good || !self.keeps(Rule::PageAfter)) {
                    self.give_page(node, client, topic, after, upto);
                }
            }
            Letter::Reset { after, to } => {
                if place == Place::Log && passed == after {
                    self.reset(node, client, topic, to);
                }
            }
            Letter::None => {}
        }
    }

    fn give_page(&mut self, node: usize, client: usize, topic: usize, after: Id, upto: Id) {
        let (from, to) = (self.s.store.offset(after) + 1, self.s.store.offset(upto));
        let mut page = [START; ENTRIES];
        let mut len = 0;
        for offset in from..=to {
            page[len] = self.s.store.at(upto, offset).unwrap_or(START);
            len += 1;
        }
        let Stand::On { passed, .. } = *self.stand(client, topic) else { return };
        let passed = self.give(client, topic, &page[..len], passed);
        let place = self.start_after(node, topic, passed);
        *self.stand(client, topic) = Stand::On { passed, place, letter: Letter::None };
    }
}
