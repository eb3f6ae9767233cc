//! All that is known apart from what single clients saw: the logs, who is who, who was removed and revoked when.

use std::collections::{BTreeMap, HashMap};

use crate::event::{Event, Plant};
use crate::history::{History, Record};
use crate::log::{Log, Row};
use crate::members::Members;

/// Whom a client speaks for.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Who<'a> {
    pub tenant: &'a str,
    pub user: Option<&'a str>,
}

/// A revocation: asked and answered.
pub(crate) type Revocation = (u64, u64);

#[derive(Debug, Default)]
pub(crate) struct Ground<'a> {
    pub clients: HashMap<&'a str, Who<'a>>,
    /// By tenant and name.
    pub logs: BTreeMap<(&'a str, &'a str), Log<'a>>,
    pub members: Members<'a>,
    pub revocations: HashMap<(&'a str, &'a str), Vec<Revocation>>,
    /// By connection: when its token was made.
    pub issued: HashMap<u32, u64>,
    pub healed: Option<u64>,
}

impl<'a> Ground<'a> {
    pub(crate) fn read(history: &'a History) -> Self {
        let mut ground = Self::default();
        for record in &history.records {
            if let Record::Other(event) = record {
                ground.add(event);
            }
        }
        for log in ground.logs.values_mut() {
            log.rows.sort_by_key(|row| row.place.offset);
        }
        ground
    }

    fn add(&mut self, event: &'a Event) {
        match event {
            Event::Client { client, tenant, user } => {
                self.clients.insert(client, Who { tenant, user: user.as_deref() });
            }
            Event::Connected { connection, issued, .. } => {
                self.issued.insert(*connection, *issued);
            }
            Event::Member { tenant, project, user, change, asked, answered } => {
                self.members.push((tenant, project, user), *change, *asked, *answered);
            }
            Event::Revoked { tenant, user, asked, answered: Some(answered) } => {
                self.revocations.entry((tenant, user)).or_default().push((*asked, *answered));
            }
            Event::Planted { tenant, topic, plant, at } => {
                let log = self.logs.entry((tenant, topic)).or_default();
                match plant {
                    Plant::Retention => log.retentions.push(*at),
                    Plant::Restore => log.restores.push(*at),
                }
            }
            Event::Healed { at } => self.healed = Some(*at),
            Event::Row { tenant, topic, place, author, project, key, hash } => {
                let (author, project, key) = (author.as_deref(), project.as_deref(), key.as_deref());
                let row =
                    Row { place: *place, author, project, key, hash: *hash, sent: 0, answered: u64::MAX };
                self.logs.entry((tenant, topic)).or_default().rows.push(row);
            }
            Event::Log { tenant, topic, head, trimmed } => {
                let log = self.logs.entry((tenant, topic)).or_default();
                (log.head, log.trimmed) = (*head, *trimmed);
            }
            _ => {}
        }
    }
}
