//! A node's feed: its verdicts, its ring, and how it is repaired. As `antiphon-hub/src/feed.rs` and `antiphon-node/src/repair.rs`.

use super::rules::Rule;
use super::state::*;
use super::step::Step;

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Verdict {
    Next,
    Seen,
    Early,
    Gap,
    Stale,
    Fork,
}

impl Step<'_> {
    /// What rings is offered, and what the verdict asks for is done.
    pub fn judge(&mut self, node: usize, topic: usize, id: Id) {
        if !self.s.nodes[node].feeds[topic].has_begun {
            return;
        }
        match self.offer(node, topic, id) {
            Verdict::Next | Verdict::Seen | Verdict::Early => {}
            Verdict::Gap | Verdict::Stale | Verdict::Fork => self.want_repair(node, topic),
        }
    }

    pub fn offer(&mut self, node: usize, topic: usize, id: Id) -> Verdict {
        let store = &self.s.store;
        let feed = &self.s.nodes[node].feeds[topic];
        let (entry, high) = (store.entry(id), store.offset(feed.high));
        if entry.offset <= high && self.keeps(Rule::Seen) {
            let held = self.position_at(node, topic, entry.offset);
            return if held.is_some_and(|held| held != id) { Verdict::Fork } else { Verdict::Seen };
        }
        if entry.offset > high + 1 && self.keeps(Rule::Gap) {
            let early = feed.early;
            if early == START {
                self.feed(node, topic).early = id;
            } else if store.offset(early) != entry.offset {
                return Verdict::Gap;
            }
            return Verdict::Early;
        }
        if !self.may_follow(id, feed.high) {
            return Verdict::Fork;
        }
        if self.is_stale(node, id) {
            return Verdict::Stale;
        }
        self.push(node, topic, id);
        self.go_on(node, topic)
    }

    fn go_on(&mut self, node: usize, topic: usize) -> Verdict {
        let feed = self.s.nodes[node].feeds[topic];
        let (early, high) = (self.s.store.offset(feed.early), self.s.store.offset(feed.high));
        if feed.early == START || early > high + 1 {
            return Verdict::Next;
        }
        if early == high + 1 && self.is_stale(node, feed.early) {
            return Verdict::Stale;
        }
        self.feed(node, topic).early = START;
        if !self.may_follow(feed.early, feed.high) {
            return Verdict::Fork;
        }
        if early == high + 1 {
            self.push(node, topic, feed.early);
        }
        Verdict::Next
    }

    fn is_stale(&self, node: usize, id: Id) -> bool {
        self.keeps(Rule::Stale) && self.s.store.entry(id).revision > self.s.nodes[node].revision
    }

    /// Nothing is said of entries that do not stand side by side.
    fn may_follow(&self, id: Id, last: Id) -> bool {
        let (entry, store) = (self.s.store.entry(id), &self.s.store);
        !self.keeps(Rule::Link) || entry.offset != store.offset(last) + 1 || entry.parent == last
    }

    fn push(&mut self, node: usize, topic: usize, id: Id) {
        let feed = self.feed(node, topic);
        feed.high = id;
        if feed.len as usize == RING {
            feed.ring.rotate_left(1);
            feed.ring[RING - 1] = id;
        } else {
            feed.ring[feed.len as usize] = id;
            feed.len += 1;
        }
        for client in self.subscribers(node, topic) {
            if let Stand::On { place: Place::Ring(behind, is_told), .. } =
                &mut self.s.clients[client].subs[topic].stand
            {
                *behind = (*behind + 1).min(FALLEN);
                *is_told = true;
            }
        }
    }

    /// The position of a delivered entry that is still known here.
    pub fn position_at(&self, node: usize, topic: usize, offset: u8) -> Option<Id> {
        let (feed, store) = (&self.s.nodes[node].feeds[topic], &self.s.store);
        if store.offset(feed.high) == offset {
            return Some(feed.high);
        }
        feed.ring().iter().copied().find(|id| store.offset(*id) == offset)
    }

    /// Where one begins that has seen everything up to this position.
    pub fn start_after(&self, node: usize, topic: usize, from: Id) -> Place {
        let (feed, store) = (&self.s.nodes[node].feeds[topic], &self.s.store);
        let (at, high) = (store.offset(from), store.offset(feed.high));
        let proves = self.keeps(Rule::Start);
        if at == high && from != feed.high && proves {
            return Place::Log;
        }
        if at >= high {
            return Place::Ring(0, false);
        }
        match feed.ring().iter().position(|id| store.offset(*id) == at + 1) {
            Some(index) if !proves || store.entry(feed.ring[index]).parent == from => {
                Place::Ring(feed.len - index as u8, true)
            }
            _ => Place::Log,
        }
    }

    pub fn want_repair(&mut self, node: usize, topic: usize) {
        let feed = self.feed(node, topic);
        if feed.repair == Repair::Idle {
            feed.repair = Repair::Wanted;
        } else {
            feed.again = true;
        }
    }

    fn end_repair(&mut self, node: usize, topic: usize) {
        let feed = self.feed(node, topic);
        feed.repair = if feed.again { Repair::Wanted } else { Repair::Idle };
        feed.again = false;
    }

    /// What was delivered is compared with the log, and what is missing read.
    pub fn read_missing(&mut self, node: usize, topic: usize) {
        let (store, feed) = (&self.s.store, &self.s.nodes[node].feeds[topic]);
        let (high, head) = (feed.high, store.heads[topic]);
        if !store.holds(topic, high) && self.keeps(Rule::Verify) {
            self.feed(node, topic).repair = Repair::Fork { high, head };
        } else if store.offset(head) > store.offset(high) {
            let page = Page { after: store.offset(high), last: head };
            self.feed(node, topic).repair = Repair::Read(page);
        } else {
            self.end_repair(node, topic);
        }
    }

    /// What was read is acted on.
    pub fn repair(&mut self, node: usize, topic: usize) {
        match self.s.nodes[node].feeds[topic].repair {
            Repair::Idle | Repair::Wanted => {}
            Repair::Fork { high, head } => {
                if self.s.nodes[node].feeds[topic].high == high {
                    self.restart(node, topic, head);
                }
                self.end_repair(node, topic);
            }
            Repair::Read(page) => {
                self.audience_at(node, self.s.store.newest_stamp(page));
                for offset in page.after + 1..=self.s.store.offset(page.last) {
                    let Some(id) = self.s.store.at(page.last, offset) else { continue };
                    if !matches!(self.offer(node, topic, id), Verdict::Next | Verdict::Seen) {
                        self.feed(node, topic).again = true;
                        break;
                    }
                }
                self.end_repair(node, topic);
            }
        }
    }

    fn restart(&mut self, node: usize, topic: usize, head: Id) {
        let feed = self.feed(node, topic);
        let was = feed.high;
        (feed.high, feed.ring, feed.len, feed.early, feed.page) = (head, [START; RING], 0, START, None);
        for client in self.subscribers(node, topic) {
            if let Stand::On { place: Place::Ring(behind, _), .. } =
                &mut self.s.clients[client].subs[topic].stand
            {
                *behind = FALLEN;
            }
        }
        if self.keeps(Rule::Told) {
            self.s.nodes[node].restarts[topic].add(was);
        }
    }
}
