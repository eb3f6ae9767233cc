//! The checker is trusted for this: it says nothing of a run that kept its promises, and finds each that was broken.
#![allow(clippy::unwrap_used)]

mod support;

use antiphon_checker::{Bounds, Event, History, Kind, Outcome, Place, check, fingerprint};
use support::{Rng, clean_history, plant};

const SEEDS: u64 = 40;
const BOUNDS: Bounds = Bounds { revoked_within: 20_000, stopped: 0, at_head_within: 10_000_000 };

fn base() -> u64 {
    std::env::var("TESTKIT_SEED").ok().and_then(|seed| seed.parse().ok()).unwrap_or(1)
}

#[test]
fn nothing_is_said_of_runs_that_kept_every_promise() {
    let (mut receptions, mut unknown, mut resets) = (0, 0, 0);
    for seed in base()..base() + 200 {
        let events = clean_history(seed);
        resets += events.iter().filter(|event| matches!(event, Event::Reset { .. })).count();
        let report = check(&events.into_iter().collect(), &BOUNDS);
        assert!(report.is_clean(), "TESTKIT_SEED={seed}: {report}");
        receptions += report.receptions;
        unknown += report.unknown;
    }
    println!("{receptions} receptions, {unknown} unknown answers, {resets} resets");
    assert!(receptions > 50_000 && unknown > 1_000 && resets > 100);
}

/// Plants one damage in many histories: exactly this kind is found, and nothing else.
#[track_caller]
fn finds(kind: Kind, damage: impl Fn(&mut Vec<Event>, &mut Rng) -> Option<()>) {
    let mut planted = 0;
    for seed in base()..base() + SEEDS {
        let mut events = clean_history(seed);
        if damage(&mut events, &mut Rng::new(seed ^ 0xdead)).is_none() {
            continue;
        }
        planted += 1;
        let report = check(&events.into_iter().collect(), &BOUNDS);
        let kinds: Vec<Kind> = report.counts.keys().copied().collect();
        assert_eq!(kinds, [kind], "TESTKIT_SEED={seed}: {report}");
    }
    println!("planted in {planted} of {SEEDS} histories, found in all");
    assert!(planted >= SEEDS / 8, "planted only {planted} times");
}

#[test]
fn an_acknowledged_row_that_is_not_in_the_log_is_found() {
    finds(Kind::Durable, plant::forget_a_row);
}

#[test]
fn a_key_that_is_answered_with_two_places_is_found() {
    finds(Kind::Durable, plant::acknowledge_twice);
}

#[test]
fn a_key_that_is_answered_as_new_twice_is_found() {
    finds(Kind::Durable, plant::acknowledge_as_new_twice);
}

#[test]
fn a_key_with_two_rows_is_found() {
    finds(Kind::Durable, plant::write_twice);
}

#[test]
fn a_refused_publish_that_is_in_the_log_is_found() {
    finds(Kind::Durable, plant::refuse_what_is_there);
}

#[test]
fn an_altered_byte_is_found() {
    finds(Kind::Invention, plant::alter_a_byte);
}

#[test]
fn an_altered_link_is_found() {
    finds(Kind::Invention, plant::alter_a_link);
}

#[test]
fn a_row_that_nobody_published_is_found() {
    finds(Kind::Invention, plant::invent_a_row);
}

#[test]
fn a_lost_entry_is_found() {
    finds(Kind::Loss, plant::drop_one);
}

#[test]
fn a_lost_last_entry_is_found() {
    finds(Kind::Loss, plant::drop_the_last);
}

#[test]
fn a_subscription_that_begins_too_late_is_found() {
    finds(Kind::Loss, plant::begin_too_late);
}

#[test]
fn a_doubled_entry_is_found() {
    finds(Kind::Duplicate, plant::double);
}

#[test]
fn two_entries_in_the_wrong_order_are_found() {
    finds(Kind::Order, plant::swap);
}

#[test]
fn a_publisher_whose_entries_stand_the_other_way_round_is_found() {
    finds(Kind::PublisherOrder, plant::reverse_a_publisher);
}

#[test]
fn an_entry_of_another_tenant_is_found() {
    finds(Kind::Leak, plant::cross_tenants);
}

#[test]
fn an_entry_of_a_project_that_reaches_one_who_never_was_its_member_is_found() {
    finds(Kind::Leak, plant::tell_a_stranger);
}

#[test]
fn an_entry_that_was_sent_after_a_removal_and_reaches_the_removed_is_found() {
    finds(Kind::Fence, plant::tell_the_removed);
}

#[test]
fn an_entry_after_an_unsubscribe_is_found() {
    finds(Kind::Fence, plant::talk_after_the_end);
}

#[test]
fn an_entry_long_after_a_revocation_is_found() {
    finds(Kind::Fence, |events, rng| plant::talk_to_the_revoked(events, rng, BOUNDS.revoked_within));
}

#[test]
fn a_reset_without_a_cause_is_found() {
    finds(Kind::Recovery, plant::reset_for_nothing);
}

#[test]
fn a_position_that_is_neither_recovered_nor_reset_is_found() {
    finds(Kind::Recovery, plant::forget_a_position);
}

#[test]
fn a_recovered_stream_that_goes_on_elsewhere_is_found() {
    finds(Kind::Recovery, plant::recover_elsewhere);
}

#[test]
fn a_subscription_that_the_server_ends_without_a_reason_is_found() {
    finds(Kind::Recovery, plant::end_for_nothing);
}

#[test]
fn a_client_that_comes_to_the_head_too_late_is_found() {
    finds(Kind::Bounded, |events, rng| plant::come_late(events, rng, BOUNDS.at_head_within));
}

#[test]
fn a_history_reads_back_as_it_was_written() {
    let history: History = clean_history(base()).into_iter().collect();
    let mut lines = Vec::new();
    history.write(&mut lines).unwrap();
    let read = History::read(&lines[..]).unwrap();
    assert!(read.len() > 500 && read.events().eq(history.events()));
    let error =
        History::read(&b"{\"event\":\"left\",\"client\":\"a\",\"at\":1}\n{\"event\":\"nonsense\"}\n"[..]);
    assert!(error.unwrap_err().to_string().starts_with("line 2 of the history is no event"));
}

/// The history of a second round in which nothing was published: what each log holds has been judged.
fn second_round(seed: u64) -> Vec<Event> {
    let first: History = clean_history(seed).into_iter().collect();
    let logs = first.events().filter_map(|event| match event {
        Event::Log { tenant, topic, head, .. } => Some(Event::Log { tenant, topic, head, trimmed: head }),
        _ => None,
    });
    first.successor().events().chain(logs).collect()
}

#[test]
fn nothing_is_said_of_a_second_round_in_which_nothing_happened() {
    for seed in base()..base() + 200 {
        let report = check(&second_round(seed).into_iter().collect(), &BOUNDS);
        assert!(report.is_clean() && report.streams > 0, "TESTKIT_SEED={seed}: {report}");
    }
}

#[test]
fn what_came_in_the_first_round_and_again_in_the_second_is_found() {
    let mut planted = 0;
    for seed in base()..base() + SEEDS {
        let mut events = second_round(seed);
        // Of a stream that came further than its beginning, the last entry once more.
        let Some(again) = clean_history(seed).into_iter().rev().find_map(|event| match event {
            Event::Received { ref client, ref topic, place, .. } => events
                .iter()
                .any(|next| {
                    matches!(next, Event::Subscribed { client: other, topic: of, from, .. }
                        if other == client && of == topic && from.offset == place.offset)
                })
                .then_some(event),
            _ => None,
        }) else {
            continue;
        };
        planted += 1;
        events.push(again);
        let report = check(&events.into_iter().collect(), &BOUNDS);
        assert_eq!(report.count(Kind::Duplicate), 1, "TESTKIT_SEED={seed}: {report}");
        let mut both = report.clone();
        both.merge(report);
        assert_eq!((both.count(Kind::Duplicate), both.violations.len()), (2, 2));
    }
    assert!(planted > SEEDS / 2, "planted only {planted} times");
}

#[test]
fn an_entry_of_the_second_round_that_does_not_reach_a_stream_of_the_first_is_found() {
    let first: History = large_history(100, 2, None);
    let mut second = first.successor();
    let place = Place { offset: 2, link: 7 };
    let (tenant, topic, key) = ("acme".to_owned(), "topic7".to_owned(), "late".to_owned());
    let hash = fingerprint(b"late");
    second.push(Event::Published {
        client: "client0".into(),
        connection: 1,
        node: "node0".into(),
        topic: topic.clone(),
        project: None,
        key: key.clone(),
        hash,
        sent: 2_000,
        answered: Some(2_001),
        outcome: Outcome::Accepted { place, duplicate: false },
    });
    let author = Some("client0".to_owned());
    let at = 2_002;
    let (client, key) = ("client0".to_owned(), Some(key));
    second.push(Event::Received {
        client,
        connection: 1,
        tenant: tenant.clone(),
        topic: topic.clone(),
        place,
        hash,
        at,
    });
    second.push(Event::Row {
        tenant: tenant.clone(),
        topic: topic.clone(),
        place,
        author,
        project: None,
        key,
        hash,
    });
    for number in 0..100 {
        let head = if number == 7 { 2 } else { 1 };
        let (tenant, topic) = (tenant.clone(), format!("topic{number}"));
        second.push(Event::Log { tenant, topic, head, trimmed: 1 });
    }
    let report = check(&second, &BOUNDS);
    assert_eq!((report.count(Kind::Loss), report.counts.len()), (1, 1), "{report}");
    assert_eq!(report.violations[0].client.as_deref(), Some("client1"));
}

/// How much a long run may be: `CHECKER_ENTRIES` (100,000), each received by ten clients.
#[test]
fn one_reception_that_is_missing_among_a_million_is_found() {
    let entries: u64 =
        std::env::var("CHECKER_ENTRIES").ok().map_or(100_000, |entries| entries.parse().unwrap());
    let begun = std::time::Instant::now();
    let history = large_history(entries, 10, Some((3, entries / 2)));
    let recorded = begun.elapsed();
    let report = check(&history, &BOUNDS);
    println!("{entries} entries: recorded in {recorded:?}, checked by {:?}", begun.elapsed());
    assert_eq!((report.receptions, report.count(Kind::Loss)), (entries * 10 - 1, 1), "{report}");
    assert_eq!(report.counts.len(), 1);
}

/// A hundred topics in turn; all clients get all but one reception.
fn large_history(entries: u64, clients: u64, missing: Option<(u64, u64)>) -> History {
    let mut history = History::new();
    let name = |client: u64| format!("client{client}");
    let place = |number: u64| Place { offset: number / 100 + 1, link: number };
    let topics = 100.min(entries);
    let topic = |number: u64| format!("topic{}", number % topics);
    for client in 0..clients {
        let user = Some(name(client));
        history.push(Event::Client { client: name(client), tenant: "acme".into(), user });
        for number in 0..topics {
            let from = Place { offset: 0, link: 0 };
            let (client, topic) = (name(client), topic(number));
            history.push(Event::Subscribed {
                client,
                connection: 1,
                topic,
                given: None,
                from,
                recovered: false,
                at: 1,
            });
        }
    }
    for number in 0..entries {
        let (sent, hash, key) =
            (10 * number + 10, fingerprint(&number.to_le_bytes()), format!("key{number}"));
        let outcome = Outcome::Accepted { place: place(number), duplicate: false };
        history.push(Event::Published {
            client: name(0),
            connection: 1,
            node: "node0".into(),
            topic: topic(number),
            project: None,
            key: key.clone(),
            hash,
            sent,
            answered: Some(sent + 5),
            outcome,
        });
        history.push(Event::Row {
            tenant: "acme".into(),
            topic: topic(number),
            place: place(number),
            author: Some(name(0)),
            project: None,
            key: Some(key),
            hash,
        });
        for client in (0..clients).filter(|client| missing != Some((*client, number))) {
            let (tenant, topic) = ("acme".into(), topic(number));
            let client = name(client);
            let place = place(number);
            history.push(Event::Received { client, connection: 1, tenant, topic, place, hash, at: sent + 6 });
        }
    }
    for number in 0..topics {
        let head = (entries + topics - 1 - number) / topics;
        history.push(Event::Log { tenant: "acme".into(), topic: topic(number), head, trimmed: 0 });
    }
    history
}
