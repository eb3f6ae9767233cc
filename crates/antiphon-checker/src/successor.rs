//! A long run is judged in rounds, so that its history does not grow without end: what is still true at the end of one
//! is the beginning of the next.

use std::collections::BTreeMap;

use crate::event::{Change, Event, Place};
use crate::history::{History, Record};

/// Client and topic.
type StreamName = (String, String);
/// Tenant, project and user.
type Membership = (String, String, String);

#[derive(Default)]
struct State {
    clients: BTreeMap<String, Event>,
    /// The last connection of each.
    connections: BTreeMap<String, Event>,
    /// How far each came, and over which connection.
    streams: BTreeMap<StreamName, (u32, Place)>,
    members: BTreeMap<Membership, Vec<Event>>,
    latest: u64,
}

impl History {
    /// What the history of the next round begins with: who is who and connected where, who is a member, and how far each
    /// stream has come.
    ///
    /// The cut has to be made at rest: after the answers of all publishes and changes of members, and when everybody
    /// has what was published. Each topic's [`Event::Log`] of the next round calls trimmed what this one has judged.
    #[must_use]
    pub fn successor(&self) -> Self {
        let mut state = State::default();
        for record in &self.records {
            match record {
                Record::Received(reception) => {
                    let (_, topic) = self.topics.name(reception.topic);
                    let client = self.clients.name(reception.client);
                    state.latest = state.latest.max(reception.at);
                    state.advance(client, topic, reception.place);
                }
                Record::Other(event) => state.take(event),
            }
        }
        state.begin()
    }
}

impl State {
    fn advance(&mut self, client: &str, topic: &str, to: Place) {
        let stream = self.streams.get_mut(&(client.to_owned(), topic.to_owned()));
        if let Some((_, place)) = stream.filter(|(_, place)| place.offset < to.offset) {
            *place = to;
        }
    }

    fn take(&mut self, event: &Event) {
        match event {
            Event::Client { client, .. } => {
                self.clients.insert(client.clone(), event.clone());
            }
            Event::Connected { client, .. } => {
                self.connections.insert(client.clone(), event.clone());
            }
            Event::Subscribed { client, connection, topic, given, from, recovered, at } => {
                let offset = given.filter(|_| *recovered).unwrap_or(from.offset);
                let place = Place { offset, ..*from };
                self.streams.insert((client.clone(), topic.clone()), (*connection, place));
                self.latest = self.latest.max(*at);
            }
            Event::Moved { client, topic, offset, .. } => {
                self.advance(client, topic, Place { offset: *offset, link: 0 });
            }
            Event::Reset { client, topic, to, .. } => {
                if let Some((_, place)) = self.streams.get_mut(&(client.clone(), topic.clone())) {
                    *place = *to;
                }
            }
            Event::Unsubscribed { client, topic, .. } => {
                self.streams.remove(&(client.clone(), topic.clone()));
            }
            Event::Left { client, .. } => {
                self.streams.retain(|(other, _), _| other != client);
                self.clients.remove(client);
                self.connections.remove(client);
            }
            Event::Member { tenant, project, user, change, answered, .. } => {
                let membership = (tenant.clone(), project.clone(), user.clone());
                let changes = self.members.entry(membership).or_default();
                // What was answered makes all that was answered before it history.
                if let (Some(_), Change::Added) = (answered, change) {
                    changes.retain(|other| matches!(other, Event::Member { answered: None, .. }));
                }
                changes.push(event.clone());
            }
            _ => {}
        }
    }

    fn begin(self) -> History {
        let Self { clients, connections, streams, members, latest } = self;
        let streams = streams.into_iter().map(|((client, topic), (connection, from))| Event::Subscribed {
            client,
            connection,
            topic,
            given: None,
            from,
            recovered: false,
            at: latest,
        });
        let people = clients.into_values().chain(connections.into_values());
        people.chain(members.into_values().flatten()).chain(streams).collect()
    }
}
