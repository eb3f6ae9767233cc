//! Who may ask for what, and that other tenants can't be told from ones that do not exist.

#![allow(clippy::unwrap_used, missing_docs)]

mod support;

use std::sync::Arc;

use antiphon_auth::KeyRing;
use antiphon_core::{Access, AuthError, Authenticator, Authorizer, Identity, Limits, Scope, SeamError};
use axum::{body::Body, http::Request};
use support::{House, OPERATIONS, Plan};

#[tokio::test(flavor = "multi_thread")]
async fn a_key_may_do_what_its_scopes_say_and_nothing_else() {
    let house = House::new().await;
    house.api("PUT", "/tenants/acme/projects/p1/members/bob", "").await.is(201);
    for scope in Scope::ALL {
        let key = house.key(&[scope], None).await;
        for (method, path, body, needed) in OPERATIONS {
            if *method == "DELETE" && (scope == *needed || scope == Scope::Admin) {
                continue;
            }
            let path = format!("/api/v1/tenants/acme{path}");
            let answer = house.ask(method, &path, &key, body).await;
            let is_refused = answer.status == 403;
            assert_eq!(is_refused, scope != *needed && scope != Scope::Admin, "{scope:?} {method} {path}");
        }
        for path in ["/metrics", "/api/v1/connections"] {
            let is_allowed = house.ask("GET", path, &key, "").await.status == 200;
            assert_eq!(is_allowed, matches!(scope, Scope::Metrics | Scope::Admin), "{scope:?} {path}");
        }
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_user_may_publish_read_and_see_who_is_there_and_nothing_else() {
    let house = House::new().await;
    let ann = house.token("acme", "ann").await;
    let allowed = ["/topics/news/entries", "/entries", "/topics/news/presence"];
    for (method, path, body, _) in OPERATIONS {
        let answer = house.ask(method, &format!("/api/v1/tenants/acme{path}"), &ann, body).await;
        if allowed.contains(path) {
            assert!(answer.status.is_success(), "{method} {path}: {}", answer.status);
        } else if path.starts_with("/topics/news/entries/") {
            answer.is_problem(404, "NOT_FOUND");
        } else {
            answer.is_problem(403, "FORBIDDEN");
        }
    }
    for path in ["/metrics", "/api/v1/connections", "/api/v1/tenants"] {
        house.ask("GET", path, &ann, "").await.is_problem(403, "FORBIDDEN");
    }
    let news = "/api/v1/tenants/acme/topics/news/entries";
    house.ask("POST", news, &ann, r#"{"text":"x","userId":"ann"}"#).await.is(201);
    house.ask("POST", news, &ann, r#"{"text":"x","userId":"bob"}"#).await.is_problem(403, "FORBIDDEN");
    house.ask("POST", news, &ann, r#"{"text":"x","projectId":"p1"}"#).await.is_problem(403, "FORBIDDEN");
    house
        .ask("POST", "/api/v1/tenants/acme/topics/user:ann/entries", &ann, r#"{"text":"x"}"#)
        .await
        .is_problem(403, "FORBIDDEN");
    house
        .ask("GET", "/api/v1/tenants/acme/topics/user:bob/entries", &ann, "")
        .await
        .is_problem(403, "FORBIDDEN");
    let page = house.ask("GET", news, &ann, "").await.is(200).json();
    assert!(page["entries"].as_array().unwrap().iter().all(|one| one["entry"]["userId"] == "ann"));
}

#[tokio::test(flavor = "multi_thread")]
async fn another_tenant_answers_byte_for_byte_as_one_that_does_not_exist() {
    let house = House::new().await;
    house.api("PUT", "/tenants/globex/projects/p1/members/bob", "").await.is(201);
    house.api("POST", "/tenants/globex/topics/news/entries", r#"{"text":"canary-7f3a"}"#).await.is(201);
    let all = [house.key(&Scope::ALL, Some("acme")).await, house.token("acme", "ann").await];
    for bearer in all {
        for (method, path, body, _) in OPERATIONS {
            let there = house.ask(method, &format!("/api/v1/tenants/globex{path}"), &bearer, body).await;
            let nowhere = house.ask(method, &format!("/api/v1/tenants/nowhere{path}"), &bearer, body).await;
            assert_eq!(
                (there.status, &there.headers, &there.body),
                (nowhere.status, &nowhere.headers, &nowhere.body)
            );
            assert!(there.status.is_client_error(), "{method} {path}: {}", there.status);
            assert!(!String::from_utf8_lossy(&there.body).contains("canary-7f3a"));
        }
    }
    house.api("GET", "/tenants/globex/users/gus", "").await.is(200);
    house.api("GET", "/tenants/nowhere", "").await.is_problem(404, "NOT_FOUND");
}

#[tokio::test(flavor = "multi_thread")]
async fn what_is_of_no_single_tenant_is_not_for_a_key_of_one() {
    let house = House::new().await;
    let key = house.key(&[], Some("acme")).await;
    for path in ["/metrics", "/api/v1/connections", "/api/v1/tenants"] {
        house.ask("GET", path, &key, "").await.is_problem(403, "FORBIDDEN");
    }
    house.ask("GET", "/api/v1/tenants/acme/users", &key, "").await.is(200);
}

#[tokio::test(flavor = "multi_thread")]
async fn who_shows_nothing_good_is_401_before_anything_else_is_looked_at() {
    let house = House::new().await;
    let ring = KeyRing::new(house.directory.clone());
    let (revoked, row) = ring.issue(&[], None, None).await.unwrap();
    ring.revoke(&row.id).await.unwrap();
    let (expired, _) = ring.issue(&[], None, Some(std::time::Duration::ZERO)).await.unwrap();
    let almost = format!("{}x", house.admin);
    let token = house.token("acme", "ann").await;
    let cut = &token[..token.len() - 1];
    for bearer in ["", "x", "antkey_", "ant_", &revoked, &expired, &almost, cut] {
        for (method, path, body, _) in OPERATIONS {
            let path = format!("/api/v1/tenants/acme{path}");
            for body in [body, "{", "{\"unknown\":1}"] {
                let answer = house.ask(method, &path, bearer, body).await;
                answer.is_problem(401, "UNAUTHORIZED");
                assert!(answer.header("www-authenticate").starts_with("Bearer"));
            }
        }
    }
    for value in ["", "Bearer", "Bearer ", "Basic YTpi", "bearer", &format!("Token {}", house.admin)] {
        let request = Request::get("/api/v1/tenants").header("authorization", value);
        house.send(request.body(Body::empty()).unwrap()).await.is_problem(401, "UNAUTHORIZED");
    }
    let twice = Request::get("/api/v1/tenants")
        .header("authorization", format!("Bearer {}", house.admin))
        .header("authorization", format!("Bearer {}", house.admin));
    house.send(twice.body(Body::empty()).unwrap()).await.is_problem(401, "UNAUTHORIZED");
    let lower = Request::get("/api/v1/tenants").header("authorization", format!("bearer {}", house.admin));
    house.send(lower.body(Body::empty()).unwrap()).await.is(200);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_user_over_its_rate_is_429_and_neither_another_nor_a_key_is() {
    let limits = Limits { rate_per_second: 1, rate_burst_seconds: 3, ..Limits::default() };
    let house = House::of(Plan { limits, ..Plan::default() }).await;
    let (ann, bob) = (house.token("acme", "ann").await, house.token("acme", "bob").await);
    let news = "/api/v1/tenants/acme/topics/news/entries";
    let mut answered = 0;
    let refused = loop {
        // A second token is not a second rate.
        let bearer = if answered % 2 == 0 { ann.clone() } else { house.token("acme", "ann").await };
        let answer = house.ask("GET", news, &bearer, "").await;
        if answer.status != 200 {
            break answer;
        }
        answered += 1;
    };
    assert!((3..10).contains(&answered), "{answered}");
    refused.is_problem(429, "RATE_LIMITED");
    assert!(refused.header("retry-after").parse::<u64>().unwrap() >= 1);
    house.ask("GET", news, &bob, "").await.is(200);
    for _ in 0..20 {
        house.ask("GET", news, &house.admin, "").await.is(200);
    }
}

struct Away;

#[async_trait::async_trait]
impl Authenticator for Away {
    async fn authenticate(&self, tokens: &[&str]) -> Vec<Result<Identity, AuthError>> {
        let away = || SeamError::unavailable("tokens", "postgres://secret@db is away");
        tokens.iter().map(|_| Err(away().into())).collect()
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn an_engine_that_is_away_is_503_with_a_time_and_without_a_cause() {
    let house = House::of(Plan { authenticator: Some(Arc::new(Away)), ..Plan::default() }).await;
    let answer = house.ask("GET", "/api/v1/tenants/acme/topics/news/entries", "ant_x", "").await;
    answer.is_problem(503, "UNAVAILABLE");
    assert!(answer.header("retry-after").parse::<u64>().unwrap() >= 1);
    assert!(!String::from_utf8_lossy(&answer.body).contains("secret"));
}

struct Panics;

impl Authorizer for Panics {
    fn allows(&self, _: &Access<'_>) -> bool {
        panic!("on purpose: of a test")
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_panic_is_an_answer_and_the_next_request_is_served() {
    let house = House::of(Plan { authorizer: Arc::new(Panics), ..Plan::default() }).await;
    let ann = house.token("acme", "ann").await;
    let news = "/api/v1/tenants/acme/topics/news/entries";
    let answer = house.ask("GET", news, &ann, "").await;
    answer.is_problem(500, "INTERNAL");
    assert!(!String::from_utf8_lossy(&answer.body).contains("on purpose"));
    house.ask("GET", news, &house.admin, "").await.is(200);
}
