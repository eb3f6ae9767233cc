//! What is said of wrong requests: what is wrong, where, in plain words.

#![allow(clippy::unwrap_used, missing_docs)]

mod support;

use support::House;

const NEWS: &str = "/tenants/acme/topics/news/entries";

async fn said(house: &House, method: &str, path: &str, body: &str) -> String {
    let answer = house.api(method, path, body).await;
    answer.is_problem(400, "INVALID");
    answer.json()["detail"].as_str().unwrap().to_owned()
}

#[tokio::test(flavor = "multi_thread")]
async fn a_wrong_body_is_told_what_is_wrong_and_where() {
    let house = House::new().await;
    for (body, expected) in [
        ("[]", "the body: this must be an object"),
        ("5", "the body: this must be an object"),
        ("{\n  \"text\": nope}", "the body: this is not JSON from line 2, column 12 on"),
        ("{", "the body: this is not JSON from line 1, column 1 on"),
        (
            r#"{"text":"a","extra":1}"#,
            "the body: `extra` is not known here; there are `text`, `body`, `projectId`, `userId`, `key`",
        ),
        (r#"{"text":"a","a\u0000\u202e\"":1}"#, "the body: `a\\0\\u{202e}\\\"` is not known here; there are"),
        (r#"{"text":"a","text":"a"}"#, "the body: `text` stands there twice"),
        (r#"{"text":"a","projectId":7}"#, "the body: `projectId` must be a string of valid Unicode"),
        (r#"{"text":"a","userId":"\ud800"}"#, "the body: `userId` must be a string of valid Unicode"),
        (
            r#"{"text":"a","userId":"a b"}"#,
            "the body: `userId`: a user's id may only have printable ASCII characters without space",
        ),
        (r#"{"text":5}"#, "`text` must be a string of valid Unicode"),
        (r#"{"key":"k"}"#, "one of `text` and `body` is needed, and only one"),
    ] {
        let said = said(&house, "POST", NEWS, body).await;
        assert!(said.starts_with(expected), "{body}: {said}");
    }
    let members = "/tenants/acme/projects/p1/members";
    for (path, body, expected) in [
        (members, "{}", "the body: this must be an array"),
        (members, r#"[{"userId":"ann"},{"deliver":true}]"#, "the body: item 2: `userId` is missing"),
        (members, r#"[{"userId":"ann","push":"no"}]"#, "the body: item 1: `push` must be true or false"),
        (members, r#"[5]"#, "the body: item 1: this must be an object"),
    ] {
        assert_eq!(said(&house, "PUT", path, body).await, expected, "{body}");
    }
    for (body, expected) in [
        (r#"[{"topic":"a","text":"1"},{"text":"2"}]"#, "the body: item 2: `topic` is missing"),
        (r#"[{"topic":"a"}]"#, "item 1: one of `text` and `body` is needed, and only one"),
    ] {
        assert_eq!(said(&house, "POST", "/tenants/acme/entries", body).await, expected, "{body}");
    }
    let tokens = said(&house, "POST", "/tenants/acme/users/ann/tokens", r#"{"ttlSeconds":1.5}"#).await;
    assert_eq!(tokens, "the body: `ttlSeconds` must be a whole number from 1 to 315360000");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_wrong_query_is_told_what_is_wrong() {
    let house = House::new().await;
    for (query, expected) in [
        ("limit=x", "`limit` must be a whole number from 1 to 200"),
        ("limit=", "`limit` must be a whole number from 1 to 200"),
        ("limit=inf", "`limit` must be a whole number from 1 to 200"),
        ("limit=1&limit=2", "the query: `limit` stands there twice"),
        ("afer=1", "the query: `afer` is not known here; there are `before`, `after`, `limit`"),
        ("before=x", "`before`: a position must be handed back as it was given"),
        ("before=%zz", "in a path or query a `%` must be followed by two hexadecimal digits"),
    ] {
        assert_eq!(said(&house, "GET", &format!("{NEWS}?{query}"), "").await, expected, "{query}");
    }
    let users = said(&house, "GET", "/tenants/acme/users?limit=0", "").await;
    assert_eq!(users, "`limit` must be a whole number from 1 to 1000");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_limit_over_the_most_is_the_most_however_large() {
    let house = House::new().await;
    for n in 0..201 {
        house.api("POST", NEWS, &format!(r#"{{"text":"{n}"}}"#)).await.is(201);
    }
    for (limit, taken) in [("1.0", 1), ("201", 200), ("18446744073709551616", 200), ("1e400", 200)] {
        let page = house.api("GET", &format!("{NEWS}?limit={limit}"), "").await.is(200).json();
        assert_eq!(page["entries"].as_array().unwrap().len(), taken, "{limit}");
    }
    house.api("GET", "/tenants?limit=18446744073709551616", "").await.is(200);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_percent_sign_that_escapes_nothing_is_refused() {
    let house = House::new().await;
    let bad = ["%zz", "%", "a%2", "%%41", "%C3%zz"];
    for id in bad {
        for (method, path) in [
            ("PUT", format!("/tenants/{id}")),
            ("PUT", format!("/tenants/acme/users/{id}")),
            ("GET", format!("/tenants/acme/topics/{id}/entries")),
        ] {
            let said = said(&house, method, &path, "").await;
            assert!(said.contains("two hexadecimal digits"), "{path}: {said}");
        }
    }
    assert_eq!(said(&house, "PUT", "/tenants/acme/users/%ff", "").await, "the path's escapes are not UTF-8");
    let odd = house.api("PUT", "/tenants/acme/users/%25zz", "").await.is(201).json();
    assert_eq!(odd["id"], "%zz");
}
