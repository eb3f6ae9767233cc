//! The directory over HTTP: tenants, users, projects, members, settings, tokens.

#![allow(clippy::unwrap_used, missing_docs)]

mod support;

use antiphon_axum::HttpOptions;
use antiphon_core::Directory;
use antiphon_protocol::now_ms;
use serde_json::json;
use support::{House, Plan, project, tenant, user};

#[tokio::test(flavor = "multi_thread")]
async fn puts_may_be_repeated_and_make_what_is_missing_above_them() {
    let house = House::new().await;
    for path in [
        "/tenants/initech",
        "/tenants/initech/users/ian",
        "/tenants/initech/projects/p1",
        "/tenants/hooli/users/gavin",
        "/tenants/umbrella/projects/p1",
        "/tenants/wonka/projects/p1/members/willy",
    ] {
        house.api("GET", path, "").await.is_problem(404, "NOT_FOUND");
        let made = house.api("PUT", path, "").await.is(201).json();
        let again = house.api("PUT", path, "{}").await.is(200).json();
        assert_eq!(made, again);
        assert_eq!(house.api("GET", path, "").await.is(200).json(), made);
    }
    house.api("GET", "/tenants/wonka/users/willy", "").await.is(200);
    house.api("PUT", "/tenants/initech/users/a%20b", "").await.is_problem(400, "INVALID");
    let odd = house.api("PUT", "/tenants/initech/users/auth0%7C6a%2F%C3%BC", "").await;
    odd.is_problem(400, "INVALID");
    let odd = house.api("PUT", "/tenants/initech/users/auth0%7C6a%2Fx", "").await.is(201).json();
    assert_eq!(odd["id"], "auth0|6a/x");
}

#[tokio::test(flavor = "multi_thread")]
async fn what_was_deleted_is_gone_with_all_below_it() {
    let house = House::new().await;
    house.api("PUT", "/tenants/acme/projects/p1/members/ann", "").await.is(201);
    house.api("PUT", "/tenants/acme/projects/p1/members/bob", "").await.is(201);
    house.api("DELETE", "/tenants/acme/projects/p1/members/bob", "").await.is(204);
    house.api("DELETE", "/tenants/acme/projects/p1/members/bob", "").await.is_problem(404, "NOT_FOUND");
    house.api("DELETE", "/tenants/acme/users/ann", "").await.is(204);
    house.api("GET", "/tenants/acme/projects/p1/members/ann", "").await.is_problem(404, "NOT_FOUND");
    house.api("DELETE", "/tenants/acme/projects/p1", "").await.is(204);
    house.api("GET", "/tenants/acme/projects/p1", "").await.is_problem(404, "NOT_FOUND");
    house.api("DELETE", "/tenants/acme", "").await.is(204);
    house.api("GET", "/tenants/acme/users/bob", "").await.is_problem(404, "NOT_FOUND");
    house.api("DELETE", "/tenants/acme", "").await.is_problem(404, "NOT_FOUND");
    house.api("GET", "/tenants/globex/users/gus", "").await.is(200);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_list_is_read_to_its_end_page_by_page() {
    let house = House::new().await;
    let ids: Vec<String> = (0..25).map(|n| format!("u{n:02}")).collect();
    for id in &ids {
        house.directory.put_user(&tenant("many"), &user(id)).await.unwrap();
    }
    let (mut seen, mut cursor) = (Vec::new(), String::new());
    loop {
        let path = format!("/tenants/many/users?limit=10{cursor}");
        let page = house.api("GET", &path, "").await.is(200).json();
        seen.extend(
            page["items"].as_array().unwrap().iter().map(|one| one["id"].as_str().unwrap().to_owned()),
        );
        let Some(next) = page["next"].as_str() else { break };
        cursor = format!("&cursor={next}");
    }
    assert_eq!(seen, ids);
    let tenants = house.api("GET", "/tenants", "").await.is(200).json();
    assert_eq!(tenants, json!({"items": [{"id": "acme"}, {"id": "globex"}, {"id": "many"}], "next": null}));
    for query in ["limit=0", "limit=x", "cursor=%00", "cursor=a%20b", "curser=a"] {
        house.api("GET", &format!("/tenants/many/users?{query}"), "").await.is_problem(400, "INVALID");
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn members_come_in_bulk_and_settings_that_are_not_named_stay() {
    let house = House::new().await;
    let members = "/tenants/acme/projects/p1/members";
    let bulk = r#"[{"userId":"ann","deliver":false},{"userId":"bob","push":false},{"userId":"new"}]"#;
    assert_eq!(house.api("PUT", members, bulk).await.is(200).json(), json!({"made": 3}));
    let ann = r#"[{"userId":"ann","push":false}]"#;
    assert_eq!(house.api("PUT", members, ann).await.is(200).json(), json!({"made": 0}));
    let listed = house.api("GET", members, "").await.is(200).json();
    let expected = json!([
        {"userId": "ann", "deliver": false, "push": false},
        {"userId": "bob", "deliver": true, "push": false},
        {"userId": "new", "deliver": true, "push": true},
    ]);
    assert_eq!(listed["items"], expected);
    let settings = house.api("GET", &format!("{members}/bob/settings"), "").await.is(200).json();
    assert_eq!(settings, json!({"deliver": true, "push": false}));
    for bad in [
        "{}",
        "5",
        "[5]",
        "[{}]",
        r#"[["ann",true]]"#,
        r#"[{"userId":"a b"}]"#,
        r#"[{"userId":"ann","x":1}]"#,
        r#"[{"userId":"ann"},{"userId":"ann","deliver":true}]"#,
        r#"[{"userId":"ann","deliver":"yes"}]"#,
    ] {
        house.api("PUT", members, bad).await.is_problem(400, "INVALID");
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_user_keeps_its_own_settings_and_makes_itself_no_member() {
    let house = House::new().await;
    let ann = house.token("acme", "ann").await;
    let own = "/api/v1/tenants/acme/projects/p1/members/ann/settings";
    house.ask("GET", own, &ann, "").await.is_problem(404, "NOT_FOUND");
    house.ask("PUT", own, &ann, r#"{"deliver":true}"#).await.is_problem(404, "NOT_FOUND");
    assert_eq!(house.directory.member(&tenant("acme"), &project("p1"), &user("ann")).await.unwrap(), None);
    house
        .api("PUT", "/tenants/acme/projects/p1/members", r#"[{"userId":"ann"},{"userId":"bob"}]"#)
        .await
        .is(200);
    let set = house.ask("PUT", own, &ann, r#"{"deliver":false}"#).await.is(200).json();
    assert_eq!(set, json!({"deliver": false, "push": true}));
    assert_eq!(house.ask("GET", own, &ann, "").await.is(200).json(), set);
    let of_bob = "/api/v1/tenants/acme/projects/p1/members/bob/settings";
    house.ask("GET", of_bob, &ann, "").await.is_problem(403, "FORBIDDEN");
    house.ask("PUT", of_bob, &ann, r#"{"deliver":false}"#).await.is_problem(403, "FORBIDDEN");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_keys_put_of_settings_makes_the_member_and_says_so() {
    let house = House::new().await;
    let settings = "/tenants/initech/projects/p1/members/ian/settings";
    house.api("GET", settings, "").await.is_problem(404, "NOT_FOUND");
    let made = house.api("PUT", settings, r#"{"push":false}"#).await.is(201).json();
    assert_eq!(made, json!({"deliver": true, "push": false}));
    assert_eq!(house.api("PUT", settings, "{}").await.is(200).json(), made);
    let member = house.api("GET", "/tenants/initech/projects/p1/members/ian", "").await.is(200).json();
    assert_eq!(member, json!({"userId": "ian", "deliver": true, "push": false}));
}

#[tokio::test(flavor = "multi_thread")]
async fn a_token_is_good_until_it_is_revoked_and_the_next_one_at_once() {
    let house = House::new().await;
    let tokens = "/tenants/acme/users/ann/tokens";
    let presence = "/api/v1/tenants/acme/topics/news/presence";
    let issued = house.api("POST", tokens, r#"{"ttlSeconds":60}"#).await.is(201);
    assert_eq!(issued.header("cache-control"), "no-store");
    let first = issued.json();
    let left = first["expiresAt"].as_i64().unwrap() - now_ms();
    assert!((50_000..=60_000).contains(&left), "{left}");
    let first = first["token"].as_str().unwrap();
    house.ask("GET", presence, first, "").await.is(200);
    house.api("DELETE", tokens, "").await.is(204);
    house.ask("GET", presence, first, "").await.is_problem(401, "UNAUTHORIZED");
    let next = house.api("POST", tokens, r#"{"ttlSeconds":60}"#).await.is(201).json();
    house.ask("GET", presence, next["token"].as_str().unwrap(), "").await.is(200);
    house.api("DELETE", "/tenants/acme/users/nobody/tokens", "").await.is_problem(404, "NOT_FOUND");
    house.api("DELETE", "/tenants/acme/users/nobody/connections", "").await.is_problem(404, "NOT_FOUND");
    house.api("DELETE", "/tenants/acme/users/ann/connections", "").await.is(204);
    for bad in
        [r#"{"ttlSeconds":0}"#, r#"{"ttlSeconds":-1}"#, r#"{"ttlSeconds":1e99}"#, r#"{"ttl":60}"#, "[]"]
    {
        house.api("POST", tokens, bad).await.is_problem(400, "INVALID");
    }
    house.api("DELETE", "/tenants/acme/users/ann", "").await.is(204);
    house.ask("GET", presence, next["token"].as_str().unwrap(), "").await.is_problem(401, "UNAUTHORIZED");
}

#[tokio::test(flavor = "multi_thread")]
async fn where_tokens_know_only_seconds_a_revocation_answers_in_the_next_one() {
    let options = HttpOptions { shards: 1, tokens_by_the_second: true, ..HttpOptions::default() };
    let house = House::of(Plan { options, ..Plan::default() }).await;
    let before = now_ms() / 1000;
    house.api("DELETE", "/tenants/acme/users/ann/tokens", "").await.is(204);
    assert!(
        now_ms() / 1000 > before,
        "a token of this second, issued before, could not be told from one after"
    );
}

#[tokio::test(flavor = "multi_thread")]
async fn what_is_not_there_is_named() {
    let house = House::new().await;
    house.api("PUT", "/tenants/acme/projects/apollo", "").await.is(201);
    for (method, path, what) in [
        ("DELETE", "/users/nobody", "user"),
        ("GET", "/users/nobody", "user"),
        ("DELETE", "/users/nobody/tokens", "user"),
        ("DELETE", "/users/nobody/connections", "user"),
        ("DELETE", "/projects/none", "project"),
        ("GET", "/projects/none/members", "project"),
        ("DELETE", "/projects/apollo/members/nobody", "member"),
        ("GET", "/projects/apollo/members/nobody/settings", "member"),
        ("GET", "/topics/news/entries/00000000-0000-0000-0000-000000000000", "entry"),
    ] {
        let answer = house.api(method, &format!("/tenants/acme{path}"), "").await.is(404).json();
        assert_eq!(answer["detail"], format!("there is no such {what}"), "{method} {path}");
    }
    let answer = house.api("DELETE", "/tenants/nobodys", "").await.is(404).json();
    assert_eq!(answer["detail"], "there is no such tenant");
}
