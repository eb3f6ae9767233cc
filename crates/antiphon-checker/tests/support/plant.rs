//! Damages: each takes a clean history and breaks exactly one promise in it. They return none where the history has no
//! place for it.

// All damages have one form, whether they take something away or not.
#![allow(clippy::ptr_arg)]

use antiphon_checker::{Change, EndedBy, Event, Outcome, Place};

use super::Rng;

type Planted = Option<()>;

/// The client, topic, place and time of a reception.
fn reception(event: &Event) -> Option<(&str, &str, Place, u64)> {
    match event {
        Event::Received { client, topic, place, at, .. } => Some((client, topic, *place, *at)),
        _ => None,
    }
}

/// The client and topic of whatever belongs to a stream.
fn stream(event: &Event) -> Option<(&str, &str)> {
    match event {
        Event::Received { client, topic, .. }
        | Event::Subscribed { client, topic, .. }
        | Event::Moved { client, topic, .. }
        | Event::Reset { client, topic, .. }
        | Event::Unsubscribed { client, topic, .. } => Some((client, topic)),
        _ => None,
    }
}

fn tenant_of<'a>(events: &'a [Event], client: &str) -> &'a str {
    let found = events.iter().find_map(|event| match event {
        Event::Client { client: name, tenant, .. } if name == client => Some(tenant.as_str()),
        _ => None,
    });
    found.unwrap()
}

fn user_of(events: &[Event], client: &str) -> String {
    let found = events.iter().find_map(|event| match event {
        Event::Client { client: name, user, .. } if name == client => user.clone(),
        _ => None,
    });
    found.unwrap()
}

/// The next event of the same stream.
fn next(events: &[Event], index: usize) -> Option<usize> {
    let of = stream(&events[index]);
    (index + 1..events.len()).find(|other| stream(&events[*other]) == of)
}

/// Rows without a project: key, topic, tenant, place.
fn open_rows(events: &[Event]) -> Vec<(String, String, String, Place)> {
    let rows = events.iter().filter_map(|event| match event {
        Event::Row { tenant, topic, place, project: None, key: Some(key), .. } => {
            Some((key.clone(), topic.clone(), tenant.clone(), *place))
        }
        _ => None,
    });
    rows.collect()
}

/// Whether the entry of a reception is in the log still and meant for everybody.
fn is_open(events: &[Event], index: usize) -> bool {
    let Some((client, of, place, _)) = reception(&events[index]) else { return false };
    let of_tenant = tenant_of(events, client);
    events.iter().any(|event| {
        matches!(event, Event::Row { tenant, topic, place: row, project: None, .. }
            if tenant == of_tenant && topic == of && *row == place)
    })
}

/// Random pairs of receptions, one right after the other in its stream, both of entries for everybody.
fn pair(events: &[Event], rng: &mut Rng) -> Option<(usize, usize)> {
    for _ in 0..200 {
        let index = rng.below(events.len());
        if !is_open(events, index) {
            continue;
        }
        if let Some(next) = next(events, index).filter(|next| is_open(events, *next)) {
            return Some((index, next));
        }
    }
    None
}

fn any(events: &[Event], rng: &mut Rng, wanted: impl Fn(usize, &Event) -> bool) -> Option<usize> {
    let found: Vec<usize> = (0..events.len()).filter(|index| wanted(*index, &events[*index])).collect();
    rng.pick(&found).copied()
}

pub fn drop_one(events: &mut Vec<Event>, rng: &mut Rng) -> Planted {
    let (first, _) = pair(events, rng)?;
    events.remove(first);
    Some(())
}

/// The last reception of a stream that stays: only the head tells that it is missing.
pub fn drop_the_last(events: &mut Vec<Event>, rng: &mut Rng) -> Planted {
    let left: Vec<String> = events
        .iter()
        .filter_map(|event| match event {
            Event::Left { client, .. } => Some(client.clone()),
            _ => None,
        })
        .collect();
    let last = any(events, rng, |index, event| {
        reception(event).is_some_and(|(client, ..)| !left.iter().any(|gone| gone == client))
            && next(events, index).is_none()
            && is_open(events, index)
    })?;
    events.remove(last);
    Some(())
}

/// A subscription begins behind an entry that was sent only after its answer.
pub fn begin_too_late(events: &mut Vec<Event>, rng: &mut Rng) -> Planted {
    let sent = |index: usize| {
        let (client, of, place, _) = reception(&events[index])?;
        let of_tenant = tenant_of(events, client);
        let key = events.iter().find_map(|event| match event {
            Event::Row { tenant, topic, place: row, key, .. }
                if tenant == of_tenant && topic == of && *row == place =>
            {
                key.clone()
            }
            _ => None,
        })?;
        let attempts = events.iter().filter_map(|event| match event {
            Event::Published { key: other, sent, .. } if *other == key => Some(*sent),
            _ => None,
        });
        attempts.min()
    };
    let begun = any(events, rng, |index, event| {
        let Event::Subscribed { given: None, at, .. } = event else { return false };
        next(events, index)
            .is_some_and(|next| is_open(events, next) && sent(next).is_some_and(|sent| sent > *at))
    })?;
    let skipped = next(events, begun)?;
    let place = reception(&events[skipped])?.2;
    if let Event::Subscribed { from, .. } = &mut events[begun] {
        *from = place;
    }
    events.remove(skipped);
    Some(())
}

pub fn double(events: &mut Vec<Event>, rng: &mut Rng) -> Planted {
    let (first, second) = pair(events, rng)?;
    let again = events[first].clone();
    events.insert(if rng.percent(50) { first } else { second } + 1, again);
    Some(())
}

pub fn swap(events: &mut Vec<Event>, rng: &mut Rng) -> Planted {
    let (first, second) = pair(events, rng)?;
    let (Event::Received { place: a, hash: x, .. }, Event::Received { place: b, hash: y, .. }) =
        (events[first].clone(), events[second].clone())
    else {
        return None;
    };
    for (index, place_now, hash_now) in [(first, b, y), (second, a, x)] {
        if let Event::Received { place, hash, .. } = &mut events[index] {
            (*place, *hash) = (place_now, hash_now);
        }
    }
    Some(())
}

pub fn alter_a_byte(events: &mut Vec<Event>, rng: &mut Rng) -> Planted {
    let index = any(events, rng, |index, _| is_open(events, index))?;
    let Event::Received { hash, .. } = &mut events[index] else { return None };
    *hash ^= 1 << rng.below(64);
    Some(())
}

pub fn alter_a_link(events: &mut Vec<Event>, rng: &mut Rng) -> Planted {
    let index = any(events, rng, |index, _| is_open(events, index))?;
    let Event::Received { place, .. } = &mut events[index] else { return None };
    place.link ^= 1 << rng.below(64);
    Some(())
}

/// A row that nobody wrote.
pub fn invent_a_row(events: &mut Vec<Event>, rng: &mut Rng) -> Planted {
    let (key, ..) = rng.pick(&open_rows(events))?.clone();
    events.retain(|event| !matches!(event, Event::Published { key: other, .. } if *other == key));
    Some(())
}

/// An entry of another tenant.
pub fn cross_tenants(events: &mut Vec<Event>, rng: &mut Rng) -> Planted {
    let index = any(events, rng, |_, event| reception(event).is_some())?;
    let mut foreign = events[index].clone();
    let Event::Received { client, tenant, .. } = &mut foreign else { return None };
    let other =
        any(events, rng, |_, event| matches!(event, Event::Client { tenant: of, .. } if of != tenant))?;
    let Event::Client { client: name, .. } = &events[other] else { return None };
    *client = name.clone();
    events.insert(index + 1, foreign);
    Some(())
}

/// Slips an entry of a project into the stream of a client that it is not for, where `refused` says so by user, time of
/// sending and time of reception.
fn slip_in(
    events: &mut Vec<Event>,
    rng: &mut Rng,
    refused: impl Fn(&[Event], &str, &str, u64, u64) -> bool,
) -> Planted {
    for _ in 0..400 {
        let index = rng.below(events.len());
        let Some((client, of, place, at)) = reception(&events[index]) else { continue };
        let Some(next) = next(events, index) else { continue };
        let Some((.., until, _)) = reception(&events[next]) else { continue };
        let (of_tenant, user) = (tenant_of(events, client), user_of(events, client));
        for offset in place.offset + 1..until.offset {
            let row = events.iter().find_map(|event| match event {
                Event::Row { tenant, topic, place, project: Some(_), hash, key: Some(key), .. }
                    if tenant == of_tenant && topic == of && place.offset == offset =>
                {
                    Some((*place, *hash, key.clone()))
                }
                _ => None,
            });
            let Some((slipped, slipped_hash, key)) = row else { continue };
            let sent = events
                .iter()
                .filter_map(|event| match event {
                    Event::Published { key: other, sent, .. } if *other == key => Some(*sent),
                    _ => None,
                })
                .min()?;
            if refused(events, of_tenant, &user, sent, at) {
                let mut foreign = events[index].clone();
                if let Event::Received { place, hash, .. } = &mut foreign {
                    (*place, *hash) = (slipped, slipped_hash);
                }
                events.insert(index + 1, foreign);
                return Some(());
            }
        }
    }
    None
}

pub fn tell_a_stranger(events: &mut Vec<Event>, rng: &mut Rng) -> Planted {
    slip_in(events, rng, |_, _, user, _, _| user == "dan")
}

pub fn tell_the_removed(events: &mut Vec<Event>, rng: &mut Rng) -> Planted {
    slip_in(events, rng, |events, of_tenant, of_user, sent, at| {
        let mut removed = None;
        for event in events {
            let Event::Member { tenant, user, change, asked, answered, .. } = event else { continue };
            if tenant == of_tenant && user == of_user && *asked <= at {
                // What was asked for and not answered may come true at any time.
                if *change == Change::Added && answered.is_none() {
                    return false;
                }
                removed = answered.filter(|answered| *change == Change::Removed && *answered <= sent);
            }
        }
        removed.is_some()
    })
}

pub fn talk_after_the_end(events: &mut Vec<Event>, rng: &mut Rng) -> Planted {
    let ended =
        any(events, rng, |_, event| matches!(event, Event::Unsubscribed { by: EndedBy::Client, .. }))?;
    let Event::Unsubscribed { client: gone, topic: of, at: ended_at, .. } = events[ended].clone() else {
        return None;
    };
    let tenant = tenant_of(events, &gone);
    let other = any(events, rng, |index, event| {
        reception(event).is_some_and(|(client, topic, ..)| topic == of && tenant_of(events, client) == tenant)
            && is_open(events, index)
    })?;
    let mut late = events[other].clone();
    if let Event::Received { client, at, .. } = &mut late {
        (*client, *at) = (gone, ended_at);
    }
    events.insert(ended + 1, late);
    Some(())
}

/// Something comes on a connection whose token was revoked long ago.
pub fn talk_to_the_revoked(events: &mut Vec<Event>, rng: &mut Rng, within: u64) -> Planted {
    let revoked = any(events, rng, |_, event| matches!(event, Event::Revoked { .. }))?;
    let Event::Revoked { tenant, user, asked, answered: Some(answered) } = events[revoked].clone() else {
        return None;
    };
    let late = any(events, rng, |index, event| {
        reception(event).is_some_and(|(client, .., at)| {
            at > answered + within && tenant_of(events, client) == tenant && user_of(events, client) == user
        }) && is_open(events, index)
    })?;
    let of = reception(&events[late])?.0.to_owned();
    let old = events.iter().rev().find_map(|event| match event {
        Event::Connected { client, connection, issued, .. } if *client == of && *issued < asked => {
            Some(*connection)
        }
        _ => None,
    })?;
    if let Event::Received { connection, .. } = &mut events[late] {
        *connection = old;
    }
    Some(())
}

/// An acknowledged row is gone.
pub fn forget_a_row(events: &mut Vec<Event>, rng: &mut Rng) -> Planted {
    let (key, ..) = rng.pick(&acknowledged(events))?.clone();
    events.retain(|event| !matches!(event, Event::Row { key: Some(other), .. } if *other == key));
    Some(())
}

fn acknowledged(events: &[Event]) -> Vec<(String, String, String, Place)> {
    let mut rows = open_rows(events);
    rows.retain(|(key, ..)| {
        events.iter().any(|event| {
            matches!(event, Event::Published { key: other, outcome: Outcome::Accepted { .. }, .. } if other == key)
        })
    });
    rows
}

/// A retry is answered with another place.
pub fn acknowledge_twice(events: &mut Vec<Event>, rng: &mut Rng) -> Planted {
    let (key, ..) = rng.pick(&acknowledged(events))?.clone();
    let index = any(
        events,
        rng,
        |_, event| matches!(event, Event::Published { key: other, outcome: Outcome::Accepted { .. }, .. } if *other == key),
    )?;
    let mut again = events[index].clone();
    if let Event::Published { outcome, .. } = &mut again {
        let Outcome::Accepted { place, .. } = *outcome else { return None };
        let place = Place { offset: place.offset + 1, link: place.link ^ 5 };
        *outcome = Outcome::Accepted { place, duplicate: true };
    }
    events.insert(index + 1, again);
    Some(())
}

/// A key was used before, and the answer says that it was not.
pub fn acknowledge_as_new_twice(events: &mut Vec<Event>, rng: &mut Rng) -> Planted {
    let index = any(events, rng, |_, event| {
        matches!(event, Event::Published { outcome: Outcome::Accepted { duplicate: false, .. }, .. })
    })?;
    let again = events[index].clone();
    events.insert(index + 1, again);
    Some(())
}

/// One key has two rows, and everybody got both.
pub fn write_twice(events: &mut Vec<Event>, rng: &mut Rng) -> Planted {
    let rows = open_rows(events);
    let (key, topic, tenant, place) = rng.pick(&rows)?.clone();
    let (other, ..) =
        rows.iter().find(|row| row.1 == topic && row.2 == tenant && row.3.offset > place.offset)?.clone();
    let content = |key: &str| {
        events.iter().find_map(|event| match event {
            Event::Row { key: Some(of), author, hash, .. } if of == key => Some((author.clone(), *hash)),
            _ => None,
        })
    };
    let (author_now, hash_now) = content(&key)?;
    let place = rows.iter().find(|row| row.0 == other)?.3;
    replace(events, &tenant, &topic, place, |of, author, hash| {
        (*of, *author, *hash) = (key.clone(), author_now.clone(), hash_now);
    });
    Some(())
}

/// Changes a row and all its receptions.
fn replace(
    events: &mut [Event],
    tenant: &str,
    topic: &str,
    place: Place,
    change: impl Fn(&mut String, &mut Option<String>, &mut u64),
) {
    for event in events {
        match event {
            Event::Row { tenant: t, topic: n, place: p, key: Some(key), author, hash, .. }
                if t == tenant && n == topic && *p == place =>
            {
                change(key, author, hash);
            }
            Event::Received { tenant: t, topic: n, place: p, hash, .. }
                if t == tenant && n == topic && *p == place =>
            {
                change(&mut String::new(), &mut None, hash);
            }
            _ => {}
        }
    }
}

pub fn refuse_what_is_there(events: &mut Vec<Event>, rng: &mut Rng) -> Planted {
    let (key, ..) = rng.pick(&open_rows(events))?.clone();
    for event in events {
        if let Event::Published { key: other, outcome, .. } = event
            && *other == key
        {
            *outcome = Outcome::Refused;
        }
    }
    Some(())
}

/// Two publishes, one sent after the other's answer, stand the other way round, for everybody alike.
pub fn reverse_a_publisher(events: &mut Vec<Event>, rng: &mut Rng) -> Planted {
    let rows = open_rows(events);
    let times = |key: &str| {
        let mut times = (u64::MAX, u64::MAX);
        for event in &*events {
            if let Event::Published { key: of, sent, answered, outcome, .. } = event
                && of == key
            {
                times.0 = times.0.min(*sent);
                if matches!(outcome, Outcome::Accepted { .. }) {
                    times.1 = times.1.min(answered.unwrap_or(u64::MAX));
                }
            }
        }
        times
    };
    let pairs: Vec<_> = rows
        .iter()
        .filter_map(|first| {
            let second = rows
                .iter()
                .find(|row| row.1 == first.1 && row.2 == first.2 && row.3.offset == first.3.offset + 1)?;
            let begins_between = events.iter().any(|event| {
                matches!(event, Event::Subscribed { from, .. } | Event::Reset { to: from, .. }
                    if from.offset == first.3.offset)
            });
            (!begins_between && times(&first.0).1 < times(&second.0).0)
                .then(|| (first.clone(), second.clone()))
        })
        .collect();
    let (first, second) = rng.pick(&pairs)?.clone();
    let content = |key: &str| {
        events.iter().find_map(|event| match event {
            Event::Row { key: Some(of), author, hash, .. } if of == key => Some((author.clone(), *hash)),
            _ => None,
        })
    };
    let (of_first, of_second) = (content(&first.0)?, content(&second.0)?);
    for (to, content, key) in [(&first, &of_second, &second.0), (&second, &of_first, &first.0)] {
        replace(events, &to.2, &to.1, to.3, |of, author, hash| {
            (*of, *author, *hash) = (key.clone(), content.0.clone(), content.1);
        });
    }
    for event in events {
        let Event::Published { key, outcome: Outcome::Accepted { place, .. }, .. } = event else { continue };
        if *key == first.0 {
            *place = second.3;
        } else if *key == second.0 {
            *place = first.3;
        }
    }
    Some(())
}

pub fn reset_for_nothing(events: &mut Vec<Event>, rng: &mut Rng) -> Planted {
    let index = any(events, rng, |index, _| is_open(events, index))?;
    let (client, topic, to, at) = reception(&events[index])?;
    let (client, topic) = (client.to_owned(), topic.to_owned());
    let reason = rng.pick(&["EPOCH", "FORK", "AHEAD"])?.to_string();
    events.insert(index + 1, Event::Reset { client, topic, reason, to, at });
    Some(())
}

/// A position is neither recovered nor reset.
pub fn forget_a_position(events: &mut Vec<Event>, rng: &mut Rng) -> Planted {
    let index = any(events, rng, |_, event| matches!(event, Event::Subscribed { recovered: true, .. }))?;
    if let Event::Subscribed { recovered, .. } = &mut events[index] {
        *recovered = false;
    }
    Some(())
}

/// A recovered stream goes on elsewhere.
pub fn recover_elsewhere(events: &mut Vec<Event>, rng: &mut Rng) -> Planted {
    let index = any(events, rng, |index, event| {
        matches!(event, Event::Subscribed { recovered: true, given, .. }
            if (0..index).rev().find(|before| stream(&events[*before]) == stream(event))
                .and_then(|before| reception(&events[before]))
                .is_some_and(|(_, _, place, _)| Some(place.offset) == *given))
    })?;
    if let Event::Subscribed { from, .. } = &mut events[index] {
        from.offset += 1;
    }
    Some(())
}

/// The server ends a subscription without a reason.
pub fn end_for_nothing(events: &mut Vec<Event>, rng: &mut Rng) -> Planted {
    let index = any(
        events,
        rng,
        |_, event| matches!(event, Event::Unsubscribed { by: EndedBy::Client, topic, .. } if !topic.starts_with("project:")),
    )?;
    if let Event::Unsubscribed { by, .. } = &mut events[index] {
        *by = EndedBy::Server;
    }
    Some(())
}

/// The last entry of a stream comes long after everything was healed.
pub fn come_late(events: &mut Vec<Event>, rng: &mut Rng, within: u64) -> Planted {
    let healed = events.iter().position(|event| matches!(event, Event::Healed { .. }))?;
    let last = any(events, rng, |index, _| {
        index > healed && is_open(events, index) && next(events, index).is_none()
    })?;
    if let Event::Received { at, .. } = &mut events[last] {
        *at += within + 1;
    }
    Some(())
}
