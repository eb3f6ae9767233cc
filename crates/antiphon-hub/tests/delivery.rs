//! What a feed and its pass promise.

#![allow(missing_docs, clippy::unwrap_used)]

mod support;

use antiphon_hub::{Delivery, Verdict};
use antiphon_protocol::{ClusterSecret, Link, Position, ResetReason, UserId};
use support::{House, at, entry, keyed_entry, state, topic};

#[test]
fn a_feed_delivers_in_order_and_once() {
    let mut house = House::new(16);
    house.subscribe(0, "ann", state(&[]), 0);
    let feed = house.feed();
    assert_eq!(feed.offer(1, entry(1, None)), Verdict::Next);
    assert_eq!(feed.offer(1, entry(1, None)), Verdict::Seen);
    assert_eq!(feed.offer(1, entry(2, None)), Verdict::Next);
    assert_eq!(feed.offer(1, entry(1, None)), Verdict::Seen);
    house.pass();
    assert_eq!(house.sockets.frames(0), ["{1}", "{2}"]);
    assert_eq!(house.sockets.writes, 1, "what has gathered leaves in one write");
}

#[test]
fn what_overtook_others_waits_for_them_and_all_leave_in_order() {
    let mut house = House::new(16);
    house.subscribe(0, "ann", state(&[]), 0);
    let feed = house.feed();
    assert_eq!(feed.offer(1, entry(3, None)), Verdict::Early(true));
    assert_eq!(feed.offer(1, entry(5, None)), Verdict::Early(false));
    assert_eq!(feed.offer(1, entry(3, None)), Verdict::Early(false));
    assert_eq!(feed.offer(1, entry(1, None)), Verdict::Next);
    assert!(feed.is_waiting());
    house.pass();
    assert_eq!(house.sockets.frames(0), ["{1}"]);
    assert_eq!(feed.offer(1, entry(2, None)), Verdict::Next);
    assert_eq!(feed.offer(1, entry(4, None)), Verdict::Next);
    assert!(!feed.is_waiting());
    assert_eq!(feed.offer(1, entry(3, None)), Verdict::Seen);
    house.pass();
    assert_eq!(house.sockets.frames(0), ["{1}", "{2}", "{3}", "{4}", "{5}"]);
}

#[test]
fn what_waits_is_bounded_and_a_newer_stamp_holds_it_back() {
    let mut house = House::new(16);
    house.subscribe(0, "ann", state(&[("p", true)]), 0);
    let feed = house.feed();
    for number in 2..66 {
        assert_eq!(feed.offer(1, entry(number, None)), Verdict::Early(number == 2));
    }
    assert_eq!(feed.offer(1, entry(66, None)), Verdict::Gap);
    assert_eq!(feed.offer(1, entry(1, None)), Verdict::Next);
    assert_eq!(feed.high().map(|high| high.offset), Some(65));
    assert_eq!(feed.offer(2, entry(67, Some("p"))), Verdict::Early(true));
    assert_eq!(feed.offer(1, entry(66, None)), Verdict::Stale, "what follows was sent after a change");
    assert_eq!(feed.high().map(|high| high.offset), Some(66));
    let ann = UserId::parse("ann").unwrap();
    house.audience.update(2, vec![(ann, state(&[]))], |_| {});
    assert_eq!(feed.offer(2, entry(67, Some("p"))), Verdict::Next);
    house.pass();
    assert!(!house.sockets.frames(0).contains(&"{67}".to_owned()), "no member any more");
}

#[test]
fn another_history_at_the_same_offset_is_a_fork() {
    let mut house = House::new(16);
    house.subscribe(0, "ann", state(&[]), 5);
    let mut other = entry(5, None);
    other.position = Some(antiphon_protocol::Position { link: antiphon_protocol::Link(1), ..at(5) });
    assert_eq!(house.feed().offer(1, other), Verdict::Fork);
}

#[test]
fn an_entry_waits_for_an_audience_as_new_as_its_stamp() {
    let mut house = House::new(16);
    house.subscribe(0, "ann", state(&[("p", true)]), 0);
    let feed = house.feed();
    assert_eq!(feed.offer(2, entry(1, Some("p"))), Verdict::Stale);
    house.pass();
    assert!(house.sockets.frames(0).is_empty());
    let ann = UserId::parse("ann").unwrap();
    house.audience.update(2, vec![(ann, state(&[]))], |_| {});
    assert_eq!(feed.offer(2, entry(1, Some("p"))), Verdict::Next);
    house.pass();
    assert!(house.sockets.frames(0).is_empty(), "no member any more");
}

#[test]
fn each_audience_class_gets_what_is_meant_for_it() {
    let mut house = House::new(16);
    house.subscribe(0, "ann", state(&[("p", true), ("q", true)]), 0);
    house.subscribe(1, "bob", state(&[("p", false), ("q", true)]), 0);
    house.subscribe(2, "cleo", state(&[]), 0);
    let feed = house.feed();
    for delivery in [entry(1, None), entry(2, Some("p")), entry(3, Some("q"))] {
        assert_eq!(feed.offer(1, delivery), Verdict::Next);
    }
    house.pass();
    assert_eq!(house.sockets.frames(0), ["{1}", "{2}", "{3}"]);
    assert_eq!(house.sockets.frames(1), ["{1}", "{3}"]);
    assert_eq!(house.sockets.frames(2), ["{1}"]);
}

#[test]
fn only_the_author_sees_the_key() {
    let mut house = House::new(16);
    house.subscribe(0, "ann", state(&[]), 0);
    house.subscribe(1, "bob", state(&[]), 0);
    house.feed().offer(1, keyed_entry(1, "ann"));
    house.pass();
    assert_eq!(house.sockets.frames(0), [r#"{1,"key":"k"}"#]);
    assert_eq!(house.sockets.frames(1), ["{1}"]);
}

#[test]
fn a_blocked_connection_keeps_its_place_and_misses_nothing() {
    let mut house = House::new(16);
    let key = house.subscribe(0, "ann", state(&[]), 0);
    house.subscribe(1, "bob", state(&[]), 0);
    let feed = house.feed();
    house.sockets.blocked = vec![0];
    for offset in 1..=5 {
        feed.offer(1, entry(offset, None));
        house.pass();
    }
    assert_eq!(house.sockets.frames(1).len(), 5, "others are not held up");
    house.sockets.blocked.clear();
    assert!(!house.shard.go_on(key, &mut house.sockets).unwrap());
    assert_eq!(house.sockets.frames(0), ["{1}", "{2}", "{3}", "{4}", "{5}"]);
    feed.offer(1, entry(6, None));
    house.pass();
    assert_eq!(house.sockets.frames(0).len(), 6);
}

#[test]
fn one_that_the_ring_has_passed_by_reads_the_log_and_comes_back() {
    let mut house = House::new(4);
    let key = house.subscribe(0, "ann", state(&[]), 0);
    let feed = house.feed();
    house.sockets.blocked = vec![0];
    for offset in 1..=10 {
        feed.offer(1, entry(offset, None));
        house.pass();
    }
    house.sockets.blocked.clear();
    assert!(house.shard.go_on(key, &mut house.sockets).unwrap(), "the ring has only the last four");
    assert_eq!(house.shard.reads_log(key), Some(at(0)));
    let page: Vec<_> = (1..=8).map(|offset| std::sync::Arc::new(entry(offset, None))).collect();
    assert!(house.shard.give_page(key, &page, at(0), at(8), &mut house.sockets));
    assert_eq!(house.shard.reads_log(key), None, "the ring covers the rest");
    assert!(!house.shard.go_on(key, &mut house.sockets).unwrap());
    let all: Vec<String> = (1..=10).map(|offset| format!("{{{offset}}}")).collect();
    assert_eq!(house.sockets.frames(0), all);
}

#[test]
fn one_who_resumes_within_the_ring_reads_no_log() {
    let mut house = House::new(16);
    house.subscribe(0, "ann", state(&[]), 0);
    let feed = house.feed();
    for offset in 1..=5 {
        feed.offer(1, entry(offset, None));
    }
    house.pass();
    let key = house.subscribe(1, "bob", state(&[]), 3);
    assert!(!house.shard.go_on(key, &mut house.sockets).unwrap());
    assert_eq!(house.sockets.frames(1), ["{4}", "{5}"]);
}

#[test]
fn a_filtered_client_is_told_its_position_once() {
    let mut house = House::new(16);
    house.subscribe(0, "ann", state(&[]), 0);
    house.feed().offer(1, entry(1, Some("p")));
    house.pass();
    let mut told = Vec::new();
    house.shard.untold(|_, _, _| false);
    for _ in 0..2 {
        house.shard.untold(|connection, _, position| {
            told.push((connection, position.offset));
            true
        });
    }
    assert_eq!(told, [(0, 1)]);
}

#[test]
fn nothing_is_written_after_a_change_before_the_change_was_looked_after() {
    let mut house = House::new(16);
    house.subscribe(0, "ann", state(&[]), 0);
    let feed = house.feed();
    let ann = UserId::parse("ann").unwrap();
    let gone = antiphon_hub::MemberState::default();
    let hub = house.hub.clone();
    house.audience.update(2, vec![(ann, gone)], |member| hub.member_changed(&member));
    feed.offer(2, entry(1, None));
    let passed = house.shard.pass(&feed, &mut house.sockets, &mut house.fallen);
    assert!(passed.is_err() && house.sockets.writes == 0);
    let (members, _) = house.shard.mailbox().take_changes();
    assert_eq!(members.len(), 1);
    assert!(house.shard.pass(&feed, &mut house.sockets, &mut house.fallen).is_ok());
    assert_eq!(house.sockets.writes, 0, "a deleted user gets nothing");
}

#[test]
fn one_that_was_blocked_goes_on_only_after_changes_were_looked_after() {
    let mut house = House::new(16);
    let key = house.subscribe(0, "ann", state(&[]), 0);
    let feed = house.feed();
    house.sockets.blocked = vec![0];
    feed.offer(1, entry(1, None));
    house.pass();
    house.sockets.blocked.clear();
    // The change ends a right that is not the hub's to know: a topic's own rule, or a token.
    let hub = house.hub.clone();
    house.audience.update(2, vec![(UserId::parse("ann").unwrap(), state(&[("p", true)]))], |member| {
        hub.member_changed(&member);
    });
    feed.offer(2, entry(2, None));
    assert!(house.shard.go_on(key, &mut house.sockets).is_err() && house.sockets.writes == 0);
    assert_eq!(house.shard.mailbox().take_changes().0.len(), 1);
    house.shard.remove(key);
    assert!(!house.shard.go_on(key, &mut house.sockets).unwrap(), "it has left meanwhile");
    assert_eq!(house.sockets.writes, 0);
}

#[test]
fn when_the_last_subscriber_has_gone_nothing_of_the_topic_stays() {
    let mut house = House::new(16);
    let key = house.subscribe(0, "ann", state(&[]), 0);
    house.feed().offer(1, entry(1, None));
    house.shard.remove(key);
    house.logins.clear();
    let mut ignored = Vec::new();
    house.hub.sweep(std::time::Duration::ZERO, |topic| ignored.push(topic.clone()));
    assert_eq!((house.hub.feed_count(), ignored.len(), house.audience.is_empty()), (0, 1, true));
    house.pass();
}

const SECRET: [u8; 32] = [1; 32];

/// Entries behind a position that follow each other, as a log has them.
fn chain(after: Position, texts: &[&str]) -> Vec<Delivery> {
    let secret = ClusterSecret::new(SECRET);
    let mut last = after;
    let entry = |text: &&str| {
        let id = uuid::Uuid::new_v4();
        last = secret.next_of(last, &id, text.as_bytes());
        let json = format!("{{{text}}}");
        Delivery::entry(last, None, None, None, json.as_bytes()).chained(
            id,
            1..1 + text.len(),
            json.as_bytes(),
        )
    };
    texts.iter().map(entry).collect()
}

#[test]
fn an_entry_of_another_history_is_a_fork_even_where_its_number_is_the_next() {
    let mut house = House::new(8);
    house.subscribe(0, "ann", state(&[]), 0);
    let feed = house.feed();
    let delivered = chain(at(0), &["1", "2", "3"]);
    let places: Vec<Position> = delivered.iter().map(|entry| entry.position.unwrap()).collect();
    for entry in delivered {
        assert_eq!(feed.offer(1, entry), Verdict::Next);
    }
    // A backup of the first entry was restored, and others were appended.
    let others = chain(places[0], &["other 2", "other 3", "other 4", "other 5"]);
    let mut others = others.into_iter();
    assert_eq!(feed.offer(1, others.next().unwrap()), Verdict::Fork, "there is another one here");
    assert_eq!(feed.offer(1, others.next().unwrap()), Verdict::Fork, "there is another one here");
    let fourth = others.next().unwrap();
    assert_eq!(feed.offer(1, fourth), Verdict::Fork, "it follows another one");
    // The same for one that came early.
    assert_eq!(feed.offer(1, others.next().unwrap()), Verdict::Early(true));
    let mut rest = chain(places[2], &["4", "5"]).into_iter();
    assert_eq!(feed.offer(1, rest.next().unwrap()), Verdict::Fork, "what is kept does not follow it");
    assert_eq!(feed.high().map(|high| high.offset), Some(4));
    assert_eq!(feed.offer(1, rest.next().unwrap()), Verdict::Next);
    house.pass();
    assert_eq!(house.sockets.frames(0), ["{1}", "{2}", "{3}", "{4}", "{5}"]);
}

#[test]
fn nothing_of_a_new_log_reaches_one_who_has_not_been_told_of_it() {
    let mut house = House::new(8);
    let (live, slow) = (house.subscribe(0, "ann", state(&[]), 0), house.subscribe(1, "bob", state(&[]), 0));
    let feed = house.feed();
    for entry in chain(at(0), &["1", "2"]) {
        feed.offer(1, entry);
    }
    house.sockets.blocked = vec![1];
    house.pass();
    let head = Position { link: Link(99), ..at(1) };
    assert!(!feed.restart(at(7), head, ResetReason::Fork), "it is not there");
    assert!(feed.restart(feed.high().unwrap(), head, ResetReason::Fork));
    for entry in chain(head, &["new 2"]) {
        assert_eq!(feed.offer(1, entry), Verdict::Next);
    }
    house.sockets.blocked.clear();
    // Whatever comes first: the socket that takes something again, or the pass.
    assert!(house.shard.go_on(slow, &mut house.sockets).unwrap(), "the ring does not cover it");
    assert!(house.shard.go_on(live, &mut house.sockets).unwrap(), "the ring does not cover it");
    assert_eq!((house.sockets.frames(0).len(), house.sockets.frames(1).len()), (2, 0));
    let page: Vec<_> = chain(at(0), &["1", "2"]).into_iter().map(std::sync::Arc::new).collect();
    let upto = page[1].position.unwrap();
    // They are told; a page that was read before is not theirs any more.
    let (_, restarted) = house.shard.mailbox().take_changes();
    let (feed, restart) = &restarted[0];
    assert_eq!(house.shard.restarted(feed, restart).len(), 2);
    assert_eq!(house.shard.owed_reset(live), Some((ResetReason::Fork, feed.high().unwrap())));
    assert_eq!(house.shard.owed_reset(slow), None, "what it has may be of the new log: that tells");
    assert_eq!(house.shard.reads_log(slow), Some(at(0)));
    for key in [slow, live] {
        house.shard.reset(key, head);
        assert!(house.shard.give_page(key, &page, at(0), upto, &mut house.sockets));
        assert!(!house.shard.go_on(key, &mut house.sockets).unwrap());
    }
    assert_eq!(house.sockets.frames(0), ["{1}", "{2}", "{new 2}"]);
    assert_eq!(house.sockets.frames(1), ["{new 2}"]);
}

#[test]
fn one_who_is_ahead_of_its_feed_is_doubted_where_the_feed_has_another_entry() {
    for is_of_this_history in [true, false] {
        let mut house = House::new(8);
        house.subscribe(0, "ann", state(&[]), 0);
        let feed = house.feed();
        let log = chain(at(0), &["1", "2", "3", "4"]);
        let strangers = chain(at(0), &["other 1", "other 2", "other 3"]);
        let has = if is_of_this_history { log[2].position } else { strangers[2].position }.unwrap();
        let login = house.audience.login(&UserId::parse("bob").unwrap(), 1, state(&[]));
        let (subscription, _) = house.hub.subscribe(&topic(), &house.audience, login.member());
        let key = house.shard.add(1, subscription, has);
        assert_eq!(house.shard.reads_log(key), None, "the feed will tell");
        // Delivered apart and together: the entry that tells is the last or in the midst of what has gathered.
        for (number, entry) in log.into_iter().enumerate() {
            assert_eq!(feed.offer(1, entry), Verdict::Next);
            if number == 0 {
                house.pass();
            }
        }
        house.pass();
        assert_eq!(house.sockets.frames(0).len(), 4);
        if is_of_this_history {
            assert_eq!(house.sockets.frames(1), ["{4}"]);
            assert!(house.fallen.is_empty());
        } else {
            assert!(house.sockets.frames(1).is_empty(), "{:?}", house.sockets.frames(1));
            assert_eq!(house.shard.reads_log(key), Some(has), "only the log tells");
            assert_eq!(house.fallen, [(1, key)]);
        }
    }
}

#[test]
fn who_stays_ahead_of_a_feed_is_doubted_when_it_is_looked_at() {
    let mut house = House::new(8);
    let live = house.subscribe(0, "ann", state(&[]), 2);
    let login = house.audience.login(&UserId::parse("bob").unwrap(), 1, state(&[]));
    let (subscription, _) = house.hub.subscribe(&topic(), &house.audience, login.member());
    let key = house.shard.add(1, subscription, at(3));
    assert_eq!((house.shard.reads_log(live), house.shard.reads_log(key)), (None, None));
    assert_eq!(house.shard.doubt_who_is_ahead(), [(1, key)]);
    assert_eq!((house.shard.reads_log(live), house.shard.reads_log(key)), (None, Some(at(3))));
    assert!(house.shard.doubt_who_is_ahead().is_empty(), "once");
}

#[test]
fn one_who_comes_with_a_position_of_another_history_does_not_go_on_in_the_ring() {
    let mut house = House::new(8);
    house.subscribe(0, "ann", state(&[]), 0);
    let feed = house.feed();
    for entry in chain(at(0), &["1", "2", "3"]) {
        feed.offer(1, entry);
    }
    let strangers = chain(at(0), &["other 1", "other 2", "other 3"]);
    for (connection, stranger) in strangers.iter().enumerate() {
        let place = stranger.position.unwrap();
        let login = house.audience.login(&UserId::parse("bob").unwrap(), 1, state(&[]));
        let (subscription, _) = house.hub.subscribe(&topic(), &house.audience, login.member());
        let key = house.shard.add(connection + 1, subscription, place);
        assert_eq!(house.shard.reads_log(key), Some(place), "only the log tells");
    }
}
