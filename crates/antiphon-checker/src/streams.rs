//! What each client heard of each topic, held against the log and against what it was entitled to.

use std::collections::{BTreeMap, HashSet};

use crate::event::{EndedBy, Event, Place};
use crate::ground::{Ground, Who};
use crate::history::{History, Reception, Record};
use crate::log::{Log, Row};
use crate::members::Standing;
use crate::report::{Bounds, Kind, Report, Violation};
use crate::segment::{Fit, Segment};

/// Checks every stream.
pub(crate) fn check(history: &History, ground: &Ground<'_>, bounds: &Bounds, report: &mut Report) {
    let (streams, left) = gather(history, ground, report);
    let empty = Log::default();
    report.streams = streams.len() as u64;
    for ((client, topic), records) in &streams {
        let Some(who) = ground.clients.get(client) else { continue };
        let log = ground.logs.get(&(who.tenant, *topic)).unwrap_or(&empty);
        let mut stream = Stream {
            client,
            topic,
            who: *who,
            log,
            ground,
            bounds,
            report: &mut *report,
            segment: None,
            owed_reset: None,
        };
        for index in records {
            stream.step(&history.records[*index as usize]);
        }
        stream.end(!left.contains(client));
    }
}

/// The indexes of records, for each client and topic.
type Streams<'a> = BTreeMap<(&'a str, &'a str), Vec<u32>>;

fn gather<'a>(
    history: &'a History,
    ground: &Ground<'_>,
    report: &mut Report,
) -> (Streams<'a>, HashSet<&'a str>) {
    let mut streams = Streams::new();
    let mut left = HashSet::new();
    for (index, record) in history.records.iter().enumerate() {
        let (client, topic) = match record {
            Record::Received(reception) => {
                let client = history.clients.name(reception.client).as_str();
                let (tenant, topic) = history.topics.name(reception.topic);
                report.receptions += 1;
                if let Some(who) = ground.clients.get(client).filter(|who| who.tenant != tenant) {
                    report.add(Violation {
                        kind: Kind::Leak,
                        client: Some(client.to_owned()),
                        tenant: tenant.clone(),
                        topic: topic.clone(),
                        offset: reception.place.offset,
                        at: Some(reception.at),
                        what: format!("it reached a client of the tenant {}", who.tenant),
                    });
                    continue;
                }
                (client, topic.as_str())
            }
            Record::Other(event) => match &**event {
                Event::Subscribed { client, topic, .. }
                | Event::Moved { client, topic, .. }
                | Event::Reset { client, topic, .. }
                | Event::Unsubscribed { client, topic, .. } => (client.as_str(), topic.as_str()),
                Event::Left { client, .. } => {
                    left.insert(client.as_str());
                    continue;
                }
                _ => continue,
            },
        };
        let index = u32::try_from(index).expect("a run has fewer than 2^32 events");
        streams.entry((client, topic)).or_default().push(index);
    }
    (streams, left)
}

/// One client and one topic.
struct Stream<'a> {
    client: &'a str,
    topic: &'a str,
    who: Who<'a>,
    log: &'a Log<'a>,
    ground: &'a Ground<'a>,
    bounds: &'a Bounds,
    report: &'a mut Report,
    segment: Option<Segment>,
    /// A position was given and not found good: the next thing is a reset. When, and which.
    owed_reset: Option<(u64, u64)>,
}

impl Stream<'_> {
    fn found(&mut self, kind: Kind, offset: u64, at: Option<u64>, what: impl Into<String>) {
        self.report.add(Violation {
            kind,
            client: Some(self.client.to_owned()),
            tenant: self.who.tenant.to_owned(),
            topic: self.topic.to_owned(),
            offset,
            at,
            what: what.into(),
        });
    }

    fn step(&mut self, record: &Record) {
        let is_reset = matches!(record, Record::Other(event) if matches!(**event, Event::Reset { .. }));
        if let Some((at, given)) = self.owed_reset.take().filter(|_| !is_reset) {
            self.found(
                Kind::Recovery,
                given,
                Some(at),
                "the position was not recovered, and no reset followed",
            );
        }
        match record {
            Record::Received(reception) => self.receive(reception),
            Record::Other(event) => match &**event {
                Event::Subscribed { given, from, recovered, at, .. } => {
                    self.subscribe(*given, *from, *recovered, *at);
                }
                Event::Moved { offset, at, .. } => {
                    if let Some(segment) = &mut self.segment {
                        segment.move_to(*offset, *at);
                    }
                }
                Event::Reset { reason, to, at, .. } => self.reset(reason, *to, *at),
                Event::Unsubscribed { by, at, .. } => self.unsubscribe(*by, *at),
                _ => {}
            },
        }
    }

    fn subscribe(&mut self, given: Option<u64>, mut from: Place, recovered: bool, at: u64) {
        match given {
            Some(given) if recovered && given != from.offset => {
                let what = format!("a stream that was recovered at {given} goes on from here");
                self.found(Kind::Recovery, from.offset, Some(at), what);
                // That is told; whether anything was lost by it shows in what comes.
                from.offset = given;
            }
            Some(given) if !recovered => self.owed_reset = Some((at, given)),
            Some(_) => self.report.recoveries += 1,
            None => {}
        }
        if self.log.youngest_until(from.offset) > at {
            let what =
                "an entry that was sent only after the answer stands before the position that it named";
            self.found(Kind::Loss, from.offset, Some(at), what);
        }
        if from.offset > self.log.head && !self.log.was_restored_after(at) {
            self.found(Kind::Recovery, from.offset, Some(at), "the answer names a position behind the head");
        }
        // Where the position lies further than what was seen, the stream has been told so or loses what is between.
        match &mut self.segment {
            Some(segment) if recovered && given.is_some_and(|given| given >= segment.reached()) => {
                segment.move_to(from.offset, at);
            }
            _ => {
                self.close(None);
                self.segment = Some(Segment::new(from.offset));
            }
        }
    }

    fn receive(&mut self, reception: &Reception) {
        let (offset, at) = (reception.place.offset, reception.at);
        if let Some((_, answered)) = self.revoked(reception) {
            let what = format!("it came though the token had been revoked at {answered}");
            self.found(Kind::Fence, offset, Some(at), what);
        }
        let Some(segment) = &mut self.segment else {
            return self.found(Kind::Fence, offset, Some(at), "it came without a subscription");
        };
        match segment.take(offset, at) {
            Fit::Next => {}
            Fit::Again => self.found(Kind::Duplicate, offset, Some(at), "it had been received before"),
            Fit::Late => self.found(Kind::Order, offset, Some(at), "a later one had been received before"),
        }
        match self.log.row(offset) {
            Some(row) if row.hash == reception.hash && row.place.link == reception.place.link => {
                let row = *row;
                self.check_right(&row, at);
            }
            Some(_) if self.log.was_restored_after(at) => {}
            Some(row) if row.hash == reception.hash => {
                self.found(Kind::Invention, offset, Some(at), "its link is not that of the log");
            }
            Some(_) => self.found(Kind::Invention, offset, Some(at), "its content is not that of the log"),
            None => {
                let excused = offset <= self.log.trimmed
                    || self.log.was_restored_after(at)
                    || self.log.is_missing(offset, reception.hash);
                if !excused {
                    self.found(Kind::Invention, offset, Some(at), "the log has no such entry");
                }
            }
        }
    }

    fn revoked(&self, reception: &Reception) -> Option<(u64, u64)> {
        let of_user = self.ground.revocations.get(&(self.who.tenant, self.who.user?))?;
        let issued = self.ground.issued.get(&reception.connection)?;
        let sent = self.log.row(reception.place.offset).map_or(u64::MAX, |row| row.sent);
        let over = |answered: u64| {
            let stopped = if sent < answered { self.bounds.stopped } else { 0 };
            reception.at > answered.saturating_add(self.bounds.revoked_within).saturating_add(stopped)
        };
        of_user.iter().copied().find(|(asked, answered)| issued < asked && over(*answered))
    }

    fn standing(&self, row: &Row<'_>, until: u64) -> Standing {
        match (row.project, self.who.user) {
            (Some(project), Some(user)) => {
                self.ground.members.standing((self.who.tenant, project, user), row.sent, until)
            }
            _ => Standing::Member,
        }
    }

    fn check_right(&mut self, row: &Row<'_>, at: u64) {
        let project = row.project.unwrap_or_default();
        match self.standing(row, at) {
            Standing::Member | Standing::Open => {}
            Standing::Stranger => {
                let what = format!("it is for members of {project}, which this user never was");
                self.found(Kind::Leak, row.place.offset, Some(at), what);
            }
            Standing::Removed => {
                let what =
                    format!("it was sent at {}, when this user had been removed from {project}", row.sent);
                self.found(Kind::Fence, row.place.offset, Some(at), what);
            }
        }
    }

    fn reset(&mut self, reason: &str, to: Place, at: u64) {
        let causes = if reason == "RETENTION" { &self.log.retentions } else { &self.log.restores };
        if !causes.iter().any(|cause| *cause <= at) {
            self.found(
                Kind::Recovery,
                to.offset,
                Some(at),
                format!("a reset for {reason}, which was not so"),
            );
        }
        self.close(None);
        self.segment = Some(Segment::new(to.offset));
    }

    fn unsubscribe(&mut self, by: EndedBy, at: u64) {
        let removed = || {
            let project = self.topic.strip_prefix("project:")?;
            let membership = (self.who.tenant, project, self.who.user?);
            self.ground.members.removal_begun(membership, at).then_some(())
        };
        if by == EndedBy::Server && removed().is_none() {
            let offset = self.segment.as_ref().map_or(0, Segment::reached);
            self.found(Kind::Recovery, offset, Some(at), "the server ended it, and nobody had been removed");
        }
        self.close(None);
    }

    fn end(&mut self, stays: bool) {
        if let Some((at, given)) = self.owed_reset.take() {
            self.found(
                Kind::Recovery,
                given,
                Some(at),
                "the position was not recovered, and no reset followed",
            );
        }
        self.close(stays.then_some(self.log.head));
    }

    /// Ends the segment: nothing that was meant for this client is missing, up to `head` where it stays until the end.
    fn close(&mut self, head: Option<u64>) {
        let Some(segment) = self.segment.take() else { return };
        let log = self.log;
        for row in log.between(segment.from, head.unwrap_or_else(|| segment.reached())) {
            let offset = row.place.offset;
            if segment.has(offset) {
                continue;
            }
            let passed = segment.passed(offset);
            if self.standing(row, passed) == Standing::Member {
                let at = Some(passed).filter(|at| *at < u64::MAX);
                let what = format!("it never came; the stream began behind {}", segment.from);
                self.found(Kind::Loss, offset, at, what);
            }
        }
        if let (Some(healed), Some(_)) = (self.ground.healed, head) {
            self.check_lateness(&segment, healed);
        }
    }

    fn check_lateness(&mut self, segment: &Segment, healed: u64) {
        let log = self.log;
        let begin = segment.seen().partition_point(|(_, at)| *at <= healed);
        for (offset, at) in &segment.seen()[begin..] {
            let answered = log.row(*offset).map_or(0, |row| row.answered);
            if answered == u64::MAX {
                continue;
            }
            let late = at.saturating_sub(healed.max(answered));
            self.report.time_to_head = self.report.time_to_head.max(late);
            if late > self.bounds.at_head_within {
                let what = format!("it came {:.1} s after the last fault", late as f64 / 1e6);
                self.found(Kind::Bounded, *offset, Some(*at), what);
            }
        }
    }
}
