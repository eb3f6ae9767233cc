//! What the log of each engine does beyond the contract suite.

mod support;

use antiphon_core::{AppendRefusal, Retention, Store, TrimCursor};
use antiphon_protocol::Link;
use support::{append, draft, each, keyed, topic};

#[tokio::test]
async fn positions_follow_the_chain_and_are_read_back() {
    for fresh in each("positions_follow_the_chain_and_are_read_back").await {
        let (store, secret) = (&fresh.engines.store, &fresh.engines.secret);
        let origin = secret.origin(&topic("news"), secret.first_epoch(&topic("news")));
        assert_eq!(store.locate(&topic("news"), Some(0)).await.unwrap().link, Some(origin.link));
        let appended = append(&**store, vec![draft("news", "one"), draft("news", "two")]).await;
        let mut last = origin;
        for appended in &appended {
            last = secret.next(last, &appended.entry.id, &appended.entry.content);
            assert_eq!(appended.entry.position, last);
        }
        let read = store.read(&topic("news"), 0, 10, 1 << 20).await.unwrap();
        assert_eq!(
            read.iter().map(|entry| entry.position).collect::<Vec<_>>(),
            [appended[0].entry.position, last]
        );
        let located = store.locate(&topic("news"), Some(1)).await.unwrap();
        assert_eq!((located.head.position, located.link), (last, Some(appended[0].entry.position.link)));
        let heads = store.heads(&[topic("none"), topic("news")]).await.unwrap();
        assert_eq!((heads[0].offset, heads[1]), (0, last));
    }
}

#[tokio::test]
async fn a_key_is_unique_for_its_topic_and_author_where_no_author_counts_as_one() {
    for fresh in each("a_key_is_unique").await {
        let store = &fresh.engines.store;
        let first = append(
            &**store,
            vec![keyed("a", None, "k", "x"), keyed("a", Some("ann"), "k", "x"), keyed("b", None, "k", "y")],
        )
        .await;
        assert!(first.iter().all(|appended| !appended.duplicate));
        let again = append(&**store, vec![keyed("a", None, "k", "x"), keyed("b", None, "k", "y")]).await;
        assert!(again.iter().all(|appended| appended.duplicate));
        assert_eq!(again[0].entry.position, first[0].entry.position);
        let refused =
            store.append(&[(1, vec![draft("a", "z"), keyed("a", Some("ann"), "k", "other")])]).await.unwrap();
        assert_eq!(refused[0].as_ref().unwrap_err(), &AppendRefusal::Conflict(1));
        assert_eq!(store.heads(&[topic("a")]).await.unwrap()[0].offset, 2);
    }
}

#[tokio::test]
async fn trimming_takes_a_prefix_and_keeps_the_last_trimmed_link() {
    for fresh in each("trimming_takes_a_prefix").await {
        let store = &fresh.engines.store;
        let all = append(&**store, (0..4).map(|n| draft("a", &n.to_string())).collect()).await;
        append(&**store, vec![keyed("b", None, "k", "x")]).await;
        assert_eq!(support::trim_before(&**store, all[0].entry.created_at).await, 0);
        assert_eq!(support::trim_before(&**store, i64::MAX).await, 5);
        assert_eq!(support::trim_before(&**store, i64::MAX).await, 0);
        let located = store.locate(&topic("a"), Some(4)).await.unwrap();
        assert_eq!((located.head.trimmed, located.head.position), (4, all[3].entry.position));
        assert_eq!(located.link, Some(all[3].entry.position.link));
        assert_eq!(store.locate(&topic("a"), Some(3)).await.unwrap().link, None::<Link>);
        // The key went with its entry, and the log goes on where it was.
        let again = append(&**store, vec![keyed("b", None, "k", "other"), draft("a", "next")]).await;
        assert!(
            !again[0].duplicate && again[0].entry.position.offset == 2 && again[1].entry.position.offset == 5
        );
        assert_eq!(store.read(&topic("a"), 0, 10, 1).await.unwrap().len(), 1);
    }
}

#[tokio::test]
async fn a_page_ends_at_its_bytes_and_has_one_entry_at_least() {
    for fresh in each("a_page_ends_at_its_bytes").await {
        let store = &fresh.engines.store;
        append(&**store, (0..5).map(|_| draft("a", &"x".repeat(98))).collect()).await;
        for (bytes, entries) in [(0, 1), (1, 1), (100, 1), (101, 2), (250, 3), (1 << 20, 4)] {
            assert_eq!(store.read(&topic("a"), 0, 4, bytes).await.unwrap().len(), entries, "{bytes}");
        }
        let page = store.read_before(&topic("a"), Some(5), 3).await.unwrap();
        let offsets: Vec<u64> = page.entries.iter().map(|entry| entry.position.offset).collect();
        assert_eq!((offsets, page.more), (vec![2, 3, 4], true));
        assert!(!store.read_before(&topic("a"), None, 5).await.unwrap().more);
    }
}

#[tokio::test]
async fn an_old_entry_behind_a_younger_one_stays_until_that_one_goes() {
    for fresh in each("an_old_entry_behind_a_younger_one").await {
        let store = &fresh.engines.store;
        append(&**store, (0..6).map(|n| draft("a", &n.to_string())).collect()).await;
        append(&**store, vec![draft("young", "x")]).await;
        // As clocks that disagree would stamp them: 10, 10, 100, 10, 100, 200.
        fresh
            .say(
                r#"update entries set created_at = case when "offset" in (1, 2, 4) then 10 when "offset" = 6 then 200
                else 100 end where "offset" > 1 or content = '"0"'"#,
            )
            .await;
        fresh.say("update topics set oldest_at = 10 where name = 'a'").await;
        for (before, gone, trimmed) in
            [(10, 0, 0), (50, 2, 2), (50, 0, 2), (150, 3, 5), (200, 0, 5), (201, 1, 6)]
        {
            assert_eq!(support::trim_before(&**store, before).await, gone, "{before}");
            assert_eq!(store.locate(&topic("a"), None).await.unwrap().head.trimmed, trimmed, "{before}");
        }
        // An empty log's age begins with its next entry.
        append(&**store, vec![draft("a", "new")]).await;
        assert_eq!(
            (support::trim_before(&**store, 250).await, support::trim_before(&**store, i64::MAX).await),
            (0, 2)
        );
    }
}

#[tokio::test]
async fn one_call_of_trim_has_a_bound_and_the_next_goes_on() {
    for fresh in each("one_call_of_trim").await {
        let store = &fresh.engines.store;
        for _ in 0..6 {
            append(&**store, (0..1000).map(|_| draft("a", "x")).collect()).await;
        }
        assert_eq!(support::trim_before(&**store, i64::MAX).await, 5000);
        assert_eq!(store.read(&topic("a"), 0, 1, 1).await.unwrap()[0].position.offset, 5001);
        assert_eq!(
            (support::trim_before(&**store, i64::MAX).await, support::trim_before(&**store, i64::MAX).await),
            (1000, 0)
        );
    }
}

/// Steps of a round until its end: how many there were, and what went with them.
async fn round(store: &dyn Store, keep: &Retention) -> (usize, u64) {
    let (mut steps, mut removed, mut from) = (0, 0, Some(TrimCursor::default()));
    while let Some(cursor) = from {
        let trimmed = store.trim(keep, cursor).await.expect("the store is there");
        assert!(trimmed.removed <= 5000, "a step has a bound");
        (steps, removed, from) = (steps + 1, removed + trimmed.removed, trimmed.next);
    }
    (steps, removed)
}

#[tokio::test]
async fn a_log_that_was_never_counted_is_brought_within_its_bytes_step_by_step() {
    for fresh in each("a_log_that_was_never_counted").await {
        let store = &*fresh.engines.store;
        for _ in 0..12 {
            append(store, (0..1000).map(|_| draft("a", "12345678")).collect()).await;
        }
        append(store, (0..3).map(|_| draft("b", "12345678")).collect()).await;
        let keep = Retention { bytes: Some(25_000), ..Retention::default() };
        let (steps, removed) = round(store, &keep).await;
        assert_eq!(removed, 9500);
        assert!(steps > 3, "{steps}");
        assert_eq!(store.locate(&topic("a"), None).await.unwrap().head.trimmed, 9500);
        assert_eq!(store.locate(&topic("b"), None).await.unwrap().head.trimmed, 0);
        // A round over what has not grown is a look at each topic's row.
        assert_eq!(round(store, &keep).await, (2, 0));
        append(store, (0..10).map(|_| draft("a", "12345678")).collect()).await;
        assert_eq!(round(store, &keep).await.1, 10);
        // By count the same log is cut in steps of a bounded size.
        assert_eq!(round(store, &Retention { entries: Some(1), ..Retention::default() }).await.1, 2501);
        append(store, (0..2).map(|_| draft("a", "12345678")).collect()).await;
        assert_eq!(round(store, &Retention { bytes: Some(20), ..keep }).await.1, 1);
    }
}

#[tokio::test]
async fn a_thousand_topics_are_each_brought_within_their_bounds_by_one_round() {
    for fresh in each("a_thousand_topics").await {
        let store = &*fresh.engines.store;
        for part in 0..25 {
            let names: Vec<String> = (part * 100..(part + 1) * 100).map(|n| format!("t{n}")).collect();
            append(store, names.iter().flat_map(|name| (0..3).map(|_| draft(name, "x"))).collect()).await;
        }
        let keep = Retention { entries: Some(2), bytes: Some(6), ..Retention::default() };
        assert_eq!(round(store, &keep).await.1, 2500);
        assert_eq!(round(store, &keep).await, (3, 0), "the walk over 2500 rows has two steps");
        assert_eq!(store.read(&topic("t2499"), 0, 10, 100).await.unwrap().len(), 2);
    }
}

#[tokio::test]
async fn what_came_by_sql_counts_like_what_a_node_appended() {
    let Some(fresh) = support::postgres("what_came_by_sql_counts").await else { return };
    let store = &*fresh.engines.store;
    fresh.engines.directory.put_user(&support::tenant("acme"), &support::user("ann")).await.unwrap();
    append(store, vec![draft("a", "12345678")]).await;
    let keep = Retention { bytes: Some(25), ..Retention::default() };
    assert_eq!(round(store, &keep).await.1, 0);
    fresh.say("select publish('acme', 'a', text => '12345678') from generate_series(1, 4)").await;
    assert_eq!(round(store, &keep).await.1, 3);
    let located = store.locate(&topic("a"), Some(3)).await.unwrap();
    assert!(located.link.is_some() && located.head.trimmed == 3);
}
