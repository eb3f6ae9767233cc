//! Publishes: answered in the order in which they came.

use antiphon_node::{Node, Published};
use antiphon_protocol::{Key, ServerFrame, TopicName};

use crate::{drive::Act, in_flight::InFlight, session::Session};

impl Session {
    /// One more is under way; its number.
    pub(crate) fn flies(
        &mut self,
        reference: Option<Box<str>>,
        topic: Option<TopicName>,
        key: Option<Key>,
    ) -> u64 {
        let number = self.next_number;
        self.next_number += 1;
        self.in_flight.push_back(InFlight { number, reference, topic, key, outcome: None });
        number
    }

    pub(crate) fn published(
        &mut self,
        node: &Node,
        number: u64,
        published: Published,
        now_ms: i64,
        acts: &mut Vec<Act>,
    ) {
        if let Some(flight) = self.in_flight.iter_mut().find(|flight| flight.number == number) {
            flight.outcome = Some(published);
        }
        while self.in_flight.front().is_some_and(|first| first.outcome.is_some()) {
            let Some(first) = self.in_flight.pop_front() else { break };
            self.tell(first, acts);
        }
        if self.in_flight.is_empty() {
            // A burst is over: an idle connection holds no memory for it.
            self.in_flight.shrink_to(0);
            self.go_on(node, now_ms, acts);
        }
    }

    fn tell(&self, flight: InFlight, acts: &mut Vec<Act>) {
        let reference = flight.reference.as_deref();
        match flight.outcome {
            Some(Ok(appended)) => {
                // A signal has no answer, and nothing was appended for it.
                for one in &appended {
                    let frame = ServerFrame::Accepted {
                        reference,
                        position: one.entry.position,
                        offset: one.entry.position.offset,
                        entry: antiphon_protocol::EntryRef { id: one.entry.id },
                        duplicate: one.duplicate,
                        key: flight.key.as_ref(),
                    };
                    acts.push(Act::Send(frame.encode()));
                }
            }
            Some(Err(refusal)) => {
                self.refuse(reference, flight.topic.as_ref().map(TopicName::as_str), refusal, acts)
            }
            None => {}
        }
    }
}
