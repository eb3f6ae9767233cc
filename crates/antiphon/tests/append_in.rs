//! Publishing in the application's own transaction, on a real PostgreSQL, with sockets at two nodes. No tick helps here,
//! and where it is about rings, no tail.
#![allow(clippy::unwrap_used, missing_docs)]

mod support;

use antiphon::{
    Antiphon, AppendError, AppendInError,
    sqlx::{self, Connection},
};
use support::{Company, Healing, PATIENCE, Place, draft, keyed, project};

#[tokio::test(flavor = "multi_thread")]
async fn what_is_rung_for_after_the_commit_is_heard_at_both_nodes_at_once() {
    let Some(place) = Place::new("what_is_rung_for", Healing::Nothing, None).await else { return };
    let mut ears = place.ears(["ann", "ben"]).await;
    for id in 0..10 {
        let receipt = place.order(id, draft("news", &format!("order {id}"))).await;
        assert!(receipt.ring().await);
        for ear in &mut ears {
            let frame = ear.hear().await;
            assert_eq!(frame["text"], format!("order {id}"));
            assert_eq!(frame["position"], receipt.position.to_string());
            assert_eq!(frame["entry"]["id"], receipt.id.to_string());
        }
        // However often it is rung for.
        assert!(receipt.ring().await);
    }
    assert_eq!(place.meet(&mut ears).await, [Vec::<String>::new(), Vec::new()]);
    assert_eq!(place.database.sql("select count(*) from orders"), "10");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_ring_before_the_commit_or_after_a_rollback_delivers_nothing_and_its_offset_is_used_again() {
    let Some(place) = Place::new("a_ring_before_the_commit", Healing::Nothing, None).await else { return };
    let mut ears = place.ears(["ann", "ben"]).await;
    let mut app = place.app().await;
    let mut tx = app.begin().await.unwrap();
    let undone = place.nodes[0].append_in(&mut tx, draft("news", "never")).await.unwrap();
    assert!(!undone.ring().await, "it is not committed");
    tx.rollback().await.unwrap();
    assert!(!undone.ring().await, "it never will be");
    let mut tx = app.begin().await.unwrap();
    let mut savepoint = tx.begin().await.unwrap();
    drop(place.nodes[0].append_in(&mut savepoint, draft("news", "never")).await.unwrap());
    savepoint.rollback().await.unwrap();
    let kept = place.nodes[0].append_in(&mut tx, draft("news", "kept")).await.unwrap();
    tx.commit().await.unwrap();
    assert_eq!(kept.position.offset, undone.position.offset);
    assert!(!undone.ring().await, "another entry stands at its offset");
    assert!(kept.ring().await);
    assert_eq!(place.meet(&mut ears).await, [["kept"], ["kept"]]);
}

#[tokio::test(flavor = "multi_thread")]
async fn what_nobody_rings_for_is_found_by_the_tail_and_what_both_tell_is_heard_once() {
    for company in [None, Some(Company::default())] {
        let Some(place) = Place::new("what_nobody_rings_for", Healing::Tail, company).await else { return };
        let mut ears = place.ears(["ann", "ben"]).await;
        let mut wanted = Vec::new();
        for id in 0..20 {
            let text = format!("order {id}");
            let receipt = place.order(id, draft("news", &text)).await;
            if id % 2 == 0 {
                assert!(receipt.ring().await);
            }
            wanted.push(text);
        }
        for ear in &mut ears {
            for text in &wanted {
                assert_eq!(ear.text().await, *text);
            }
        }
        assert_eq!(place.meet(&mut ears).await, [Vec::<String>::new(), Vec::new()]);
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn where_the_application_keeps_its_members_the_removed_do_not_hear_what_is_committed_after() {
    for (healing, rings) in [(Healing::Nothing, true), (Healing::Tail, false), (Healing::Tick, false)] {
        let company = Company::default();
        let test = "where_the_application_keeps_its_members";
        let Some(place) = Place::new(test, healing, Some(company.clone())).await else { return };
        let mut ears = place.ears(["ann", "ben"]).await;
        let mut app = place.app().await;
        for round in 0..5 {
            company.change(|members| members.extend(["ann".to_owned(), "ben".to_owned()]));
            // Both nodes have heard of it.
            place.meet(&mut ears).await;
            let mut tx = app.begin().await.unwrap();
            let of_project =
                antiphon::Draft { named_project: Some(project()), ..draft("news", "for members") };
            let receipt = place.nodes[0].append_in(&mut tx, of_project).await.unwrap();
            // Removed between the append and the commit, and nobody is told.
            company.change(|members| members.retain(|member| member != "ben"));
            tx.commit().await.unwrap();
            if rings {
                assert!(receipt.ring().await);
            }
            assert_eq!(ears[0].text().await, "for members", "{round}");
            assert_eq!(place.meet(&mut ears).await, [Vec::<String>::new(), Vec::new()], "{round}");
        }
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_repeat_with_its_key_is_a_duplicate_and_another_content_a_conflict() {
    let Some(place) = Place::new("a_repeat_with_its_key", Healing::Nothing, None).await else { return };
    let mut ears = place.ears(["ann", "ben"]).await;
    let first = place.order(1, keyed("news", "x", "order-1")).await;
    let again = place.order(2, keyed("news", "x", "order-1")).await;
    assert!(!first.duplicate && again.duplicate);
    assert_eq!((again.id, again.position), (first.id, first.position));
    assert!(first.ring().await && !again.ring().await);
    // What a node published is the same key.
    place.nodes[1].publish(keyed("news", "y", "order-3")).await.unwrap();
    assert!(place.order(3, keyed("news", "y", "order-3")).await.duplicate);
    assert_eq!(place.meet(&mut ears).await, [["x", "y"], ["x", "y"]]);
    let mut app = place.app().await;
    let error = place.nodes[0].append_in(&mut app, keyed("news", "other", "order-1")).await.unwrap_err();
    assert!(matches!(error, AppendError::Sql(AppendInError::Conflict)), "{error}");
    assert!(!error.is_worth_a_repeat());
}

#[tokio::test(flavor = "multi_thread")]
async fn a_held_topic_and_a_deadlock_are_errors_in_words_that_are_worth_a_repeat() {
    let Some(place) = Place::new("a_held_topic_and_a_deadlock", Healing::Tail, None).await else { return };
    let _ears = place.ears(["ann", "ben"]).await;
    let node = &place.nodes[0];
    let (mut one, mut two) = (place.app().await, place.app().await);
    let mut held = one.begin().await.unwrap();
    drop(node.append_in(&mut held, draft("a", "held")).await.unwrap());
    for own_bound in [true, false] {
        let mut waits = two.begin().await.unwrap();
        if own_bound {
            sqlx::query("set local lock_timeout = '50ms'").execute(&mut *waits).await.unwrap();
        }
        // Without a bound of its own too.
        let append = node.append_in(&mut waits, draft("a", "waits"));
        let error = tokio::time::timeout(PATIENCE, append).await.unwrap().unwrap_err();
        assert!(matches!(error, AppendError::Sql(AppendInError::Locked)), "{error}");
        assert!(error.is_worth_a_repeat() && error.to_string().contains("repeat"), "{error}");
        waits.rollback().await.unwrap();
        // It delays that topic alone.
        node.publish(draft("news", "goes on")).await.unwrap();
    }
    let mut other = two.begin().await.unwrap();
    drop(node.append_in(&mut other, draft("b", "x")).await.unwrap());
    let (first, second) =
        tokio::join!(node.append_in(&mut held, draft("b", "x")), node.append_in(&mut other, draft("a", "x")));
    let errors: Vec<AppendError> = [first, second].into_iter().filter_map(Result::err).collect();
    assert_eq!(errors.len(), 1, "PostgreSQL ends one of the two");
    assert!(matches!(errors[0], AppendError::Sql(AppendInError::Interrupted(_))), "{}", errors[0]);
    assert!(errors[0].is_worth_a_repeat() && errors[0].to_string().contains("order of their names"));
}

#[tokio::test(flavor = "multi_thread")]
async fn what_can_not_be_appended_says_why_and_a_refusal_leaves_the_transaction_as_it_was() {
    let Some(place) = Place::new("what_can_not_be_appended", Healing::Tail, None).await else { return };
    let _ears = place.ears(["ann", "ben"]).await;
    let node = &place.nodes[0];
    let mut app = place.app().await;
    let mut tx = app.begin().await.unwrap();
    let nobody = antiphon::TenantId::parse("nobody").unwrap();
    let to_nobody = antiphon::Draft { topic: antiphon::Topic::of_tenant(&nobody), ..draft("news", "x") };
    let refused = node.append_in(&mut tx, to_nobody).await.unwrap_err();
    assert!(matches!(&refused, AppendError::Refused(_)) && !refused.is_worth_a_repeat(), "{refused}");
    drop(node.append_in(&mut tx, draft("news", "after it")).await.unwrap());
    let zero = node.append_in(&mut tx, draft("news", "a\0b")).await.unwrap_err();
    assert!(matches!(zero, AppendError::Sql(AppendInError::Invalid(_))), "{zero}");
    tx.commit().await.unwrap();

    let role = antiphon_testkit::unique("app");
    place.database.sql(&["create role ", &role, " nologin"].concat());
    let mut tx = app.begin().await.unwrap();
    sqlx::query("select set_config('role', $1, true)").bind(&role).execute(&mut *tx).await.unwrap();
    let error = node.append_in(&mut tx, draft("news", "x")).await.unwrap_err();
    assert!(error.to_string().contains("antiphon_publisher"), "{error}");
    tx.rollback().await.unwrap();
    place.database.sql(&["grant antiphon_publisher to ", &role].concat());
    let mut tx = app.begin().await.unwrap();
    sqlx::query("select set_config('role', $1, true)").bind(&role).execute(&mut *tx).await.unwrap();
    assert!(node.append_in(&mut tx, draft("news", "x")).await.is_ok());
    tx.rollback().await.unwrap();
    place.database.sql(&["drop role ", &role].concat());

    let elsewhere = antiphon_testkit::shared_postgres("what_can_not_be_appended").unwrap();
    let mut other = sqlx::PgConnection::connect(&elsewhere.url()).await.unwrap();
    let error = node.append_in(&mut other, draft("news", "x")).await.unwrap_err();
    assert!(matches!(error, AppendError::Sql(AppendInError::NotHere(_))), "{error}");

    let folder = tempfile::tempdir().unwrap();
    let url = format!("sqlite:{}", folder.path().join("a.db").display());
    let on_sqlite = Antiphon::builder().database(url).start().await.unwrap();
    let error = on_sqlite.append_in(&mut app, draft("news", "x")).await.unwrap_err();
    assert!(matches!(error, AppendError::NotPostgres), "{error}");
}
