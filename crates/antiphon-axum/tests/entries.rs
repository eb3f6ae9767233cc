//! Publishing, reading back and signalling over HTTP.

#![allow(clippy::unwrap_used, missing_docs)]

mod support;

use serde_json::json;
use support::House;

const NEWS: &str = "/tenants/acme/topics/news/entries";

#[tokio::test(flavor = "multi_thread")]
async fn an_entry_is_made_once_and_its_repeat_says_so() {
    let house = House::new().await;
    let body = r#"{"text":"hi","key":"k1","userId":"ann"}"#;
    let made = house.api("POST", NEWS, body).await.is(201).json();
    assert_eq!(made["offset"], 1);
    assert!(made["id"].is_string() && made["position"].is_string() && made.get("duplicate").is_none());
    let again = house.api("POST", NEWS, body).await.is(200).json();
    assert_eq!(
        (&again["id"], &again["position"], &again["duplicate"]),
        (&made["id"], &made["position"], &json!(true))
    );
    house
        .api("POST", NEWS, r#"{"text":"other","key":"k1","userId":"ann"}"#)
        .await
        .is_problem(409, "CONFLICT");
    // The same key of another author is another key.
    house.api("POST", NEWS, r#"{"text":"other","key":"k1","userId":"bob"}"#).await.is(201);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_batch_is_published_whole_or_not_at_all() {
    let house = House::new().await;
    let batch =
        r#"[{"topic":"a","text":"1"},{"topic":"b","body":{"n":2},"key":"k"},{"topic":"a","text":"3"}]"#;
    let made = house.api("POST", "/tenants/acme/entries", batch).await.is(201).json();
    let offsets: Vec<_> =
        made.as_array().unwrap().iter().map(|one| one["offset"].as_u64().unwrap()).collect();
    assert_eq!(offsets, [1, 1, 2]);
    let conflict = r#"[{"topic":"a","text":"4"},{"topic":"b","text":"other","key":"k"}]"#;
    house.api("POST", "/tenants/acme/entries", conflict).await.is_problem(409, "CONFLICT");
    let page = house.api("GET", "/tenants/acme/topics/a/entries", "").await.is(200).json();
    assert_eq!(page["entries"].as_array().unwrap().len(), 2, "nothing of the refused batch is there");
    for bad in ["[]", r#"[{"text":"no topic"}]"#, "{}", r#"[{"topic":"a b","text":"1"}]"#] {
        house.api("POST", "/tenants/acme/entries", bad).await.is_problem(400, "INVALID");
    }
    let many = format!("[{}]", vec![r#"{"topic":"a","text":"1"}"#; 101].join(","));
    house.api("POST", "/tenants/acme/entries", &many).await.is_problem(400, "INVALID");
}

#[tokio::test(flavor = "multi_thread")]
async fn what_was_published_is_read_back_as_message_frames() {
    let house = House::new().await;
    house.api("PUT", "/tenants/acme/projects/p1/members/ann", "").await.is(201);
    for n in 1..=5 {
        let body = format!(r#"{{"body":{{"n":  {n}}},"projectId":"p1","userId":"ann","key":"k{n}"}}"#);
        house.api("POST", NEWS, &body).await.is(201);
    }
    let page = house.api("GET", &format!("{NEWS}?limit=2"), "").await.is(200).json();
    assert_eq!(page["more"], true);
    let offsets = |page: &serde_json::Value| -> Vec<u64> {
        page["entries"].as_array().unwrap().iter().map(|one| one["offset"].as_u64().unwrap()).collect()
    };
    assert_eq!(offsets(&page), [4, 5], "the newest page, oldest first");
    let frame = &page["entries"][0];
    assert_eq!((&frame["type"], &frame["body"]["n"]), (&json!("MESSAGE"), &json!(4)));
    assert_eq!(frame["project"]["id"], "p1");
    let entry = &frame["entry"];
    assert_eq!(
        (&entry["companyId"], &entry["topic"], &entry["userId"]),
        (&json!("acme"), &json!("news"), &json!("ann"))
    );
    assert!(frame.get("key").is_none(), "a key of somebody else's is not shown");
    let before = frame["position"].as_str().unwrap();
    let older = house.api("GET", &format!("{NEWS}?before={before}&limit=200"), "").await.is(200).json();
    assert_eq!((offsets(&older), &older["more"]), (vec![1, 2, 3], &json!(false)));
    let newer = house.api("GET", &format!("{NEWS}?after={before}"), "").await.is(200).json();
    assert_eq!(offsets(&newer), [5]);
    let id = entry["id"].as_str().unwrap();
    let one = house.api("GET", &format!("{NEWS}/{id}"), "").await.is(200);
    assert_eq!(&one.json(), frame);
    // Its author sees the key, and the content as it came.
    let ann = house.token("acme", "ann").await;
    let own = house.ask("GET", &format!("/api/v1{NEWS}/{id}"), &ann, "").await.is(200);
    assert_eq!(own.json()["key"], "k4");
    assert!(String::from_utf8(own.body).unwrap().contains(r#"{"n":  4}"#));
    // Bob is no member of p1.
    let bob = house.token("acme", "bob").await;
    house.ask("GET", &format!("/api/v1{NEWS}/{id}"), &bob, "").await.is_problem(404, "NOT_FOUND");
    let none = house.ask("GET", &format!("/api/v1{NEWS}"), &bob, "").await.is(200).json();
    assert_eq!(none["entries"], json!([]));
}

#[tokio::test(flavor = "multi_thread")]
async fn a_page_is_asked_for_with_what_a_page_can_be() {
    let house = House::new().await;
    for query in
        ["limit=0", "limit=x", "limit=-1", "before=x", "before=1&after=2", "afer=1", "limit=1&limit=2"]
    {
        house.api("GET", &format!("{NEWS}?{query}"), "").await.is_problem(400, "INVALID");
    }
    house.api("GET", &format!("{NEWS}?limit=100000"), "").await.is(200);
    house.api("GET", &format!("{NEWS}/no-uuid"), "").await.is_problem(400, "INVALID");
    house
        .api("GET", &format!("{NEWS}/0190a8e4-0000-7000-8000-000000000000"), "")
        .await
        .is_problem(404, "NOT_FOUND");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_wrong_body_is_refused_with_its_reason() {
    let house = House::new().await;
    let deep = format!(r#"{{"body":{}{}}}"#, "[".repeat(100_000), "]".repeat(100_000));
    for bad in [
        "",
        "nope",
        "[]",
        "5",
        "{",
        "{}",
        r#"{"text":5}"#,
        r#"{"text":"a","body":1}"#,
        r#"{"text":"a","text":"a"}"#,
        r#"{"text":"a","extra":1}"#,
        r#"["a"]"#,
        r#"{"text":"a","topic":"news"}"#,
        r#"{"text":"a","key":""}"#,
        r#"{"text":"a","key":"a\u0000b"}"#,
        r#"{"text":"a","userId":"a b"}"#,
        r#"{"text":"a","projectId":7}"#,
        r#"{"text":"\ud800"}"#,
        r#"{"body":NaN}"#,
        r#"{"text":"a"} {"text":"b"}"#,
        &deep,
    ] {
        house.api("POST", NEWS, bad).await.is_problem(400, "INVALID");
    }
    let request = axum::http::Request::post(format!("/api/v1{NEWS}"))
        .header("authorization", format!("Bearer {}", house.admin))
        .body(axum::body::Body::from(&b"{\"text\":\"\xff\"}"[..]))
        .unwrap();
    house.send(request).await.is_problem(400, "INVALID");
    house.api("POST", NEWS, r#"{"body":null}"#).await.is(201);
    house.api("POST", NEWS, r#"{"body":1e400}"#).await.is(201);
}

#[tokio::test(flavor = "multi_thread")]
async fn what_is_too_large_is_413() {
    let house = House::new().await;
    let text = |bytes: usize| format!(r#"{{"text":"{}"}}"#, "x".repeat(bytes));
    house.api("POST", NEWS, &text(64 * 1024)).await.is(201);
    house.api("POST", NEWS, &text(64 * 1024 + 1)).await.is_problem(413, "TOO_LARGE");
    house.api("POST", NEWS, &text(2 * 1024 * 1024)).await.is_problem(413, "TOO_LARGE");
    let signals = "/tenants/acme/topics/news/signals";
    house.api("POST", signals, &text(4096)).await.is(202);
    house.api("POST", signals, &text(4096 + 1)).await.is_problem(413, "TOO_LARGE");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_signal_has_neither_topic_nor_key_and_leaves_nothing() {
    let house = House::new().await;
    let signals = "/tenants/acme/topics/news/signals";
    let sent = house.api("POST", signals, r#"{"body":{"typing":true},"userId":"ann"}"#).await.is(202);
    assert!(sent.body.is_empty());
    house.api("POST", signals, r#"{"text":"x","key":"k"}"#).await.is_problem(400, "INVALID");
    house.api("POST", signals, r#"{"text":"x","topic":"news"}"#).await.is_problem(400, "INVALID");
    let page = house.api("GET", NEWS, "").await.is(200).json();
    assert_eq!(page["entries"], json!([]));
}

#[tokio::test(flavor = "multi_thread")]
async fn nothing_is_published_where_nothing_can_be() {
    let house = House::new().await;
    let text = r#"{"text":"x"}"#;
    house.api("POST", "/tenants/nobody/topics/news/entries", text).await.is_problem(404, "NOT_FOUND");
    house
        .api("POST", "/tenants/nobody/entries", r#"[{"topic":"a","text":"x"}]"#)
        .await
        .is_problem(404, "NOT_FOUND");
    house.api("POST", "/tenants/acme/topics/$antiphon:x/entries", text).await.is_problem(403, "FORBIDDEN");
    house.api("POST", "/tenants/acme/topics/a%20b/entries", text).await.is_problem(400, "INVALID");
    house.api("POST", "/tenants/acme/topics/a%ffb/entries", text).await.is_problem(400, "INVALID");
    let long = "x".repeat(256);
    house.api("POST", &format!("/tenants/acme/topics/{long}/entries"), text).await.is_problem(400, "INVALID");
    // A topic's name may have what a path has to encode.
    house.api("POST", "/tenants/acme/topics/a%2Fb%3Fc%23d%25/entries", text).await.is(201);
    let page = house.api("GET", "/tenants/acme/topics/a%2Fb%3Fc%23d%25/entries", "").await.is(200).json();
    assert_eq!(page["entries"][0]["entry"]["topic"], "a/b?c#d%");
}

#[tokio::test(flavor = "multi_thread")]
async fn of_a_tenant_or_project_that_is_not_there_nothing_is_read_and_nothing_goes_to_it() {
    let house = House::new().await;
    house.api("POST", NEWS, r#"{"text":"old"}"#).await.is(201);
    let id =
        house.api("GET", NEWS, "").await.json()["entries"][0]["entry"]["id"].as_str().unwrap().to_owned();
    house.api("PUT", "/tenants/globex/projects/p1", "").await.is(201);
    house.api("DELETE", "/tenants/acme", "").await.is(204);
    for tenant in ["acme", "nobody"] {
        for (method, path, body) in [
            ("GET", "/users", ""),
            ("GET", "/users?cursor=a", ""),
            ("GET", "/projects", ""),
            ("GET", "/projects/p1/members", ""),
            ("GET", "/topics/news/entries", ""),
            ("GET", &format!("/topics/news/entries/{id}"), ""),
            ("GET", "/topics/news/presence", ""),
            ("POST", "/topics/news/entries", r#"{"text":"x"}"#),
            ("POST", "/entries", r#"[{"topic":"news","text":"x"}]"#),
            ("POST", "/topics/news/signals", r#"{"text":"x"}"#),
        ] {
            let path = format!("/tenants/{tenant}{path}");
            house.api(method, &path, body).await.is_problem(404, "NOT_FOUND");
        }
    }
    // What is there, but empty, is empty: topics need no making.
    for path in ["/projects/p1/members", "/topics/never-used/entries", "/topics/project:p2/entries"] {
        house.api("GET", &format!("/tenants/globex{path}"), "").await.is(200);
    }
    house.api("GET", "/tenants/globex/projects/p2/members", "").await.is_problem(404, "NOT_FOUND");
    // A tenant that is made again is there again.
    house.api("PUT", "/tenants/acme", "").await.is(201);
    house.api("POST", NEWS, r#"{"text":"new"}"#).await.is(201);
    house.api("GET", NEWS, "").await.is(200);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_position_of_another_topic_is_no_place_to_read_from() {
    let house = House::new().await;
    house.api("POST", NEWS, r#"{"text":"x"}"#).await.is(201);
    let made =
        house.api("POST", "/tenants/acme/topics/sport/entries", r#"{"text":"x"}"#).await.is(201).json();
    let position = made["position"].as_str().unwrap();
    for side in ["before", "after"] {
        let answer = house.api("GET", &format!("{NEWS}?{side}={position}"), "").await;
        answer.is_problem(400, "INVALID");
        assert!(answer.json()["detail"].as_str().unwrap().contains("read without it"));
    }
}
