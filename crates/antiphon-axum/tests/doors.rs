//! The doors that are not the API: health, metrics, the document, the page, and what is not there.

#![allow(clippy::unwrap_used, missing_docs)]

mod support;

use antiphon_axum::HttpOptions;
use antiphon_core::Scope;
use axum::{body::Body, http::Request};
use serde_json::Value;
use support::{House, Plan};
use tower::ServiceExt;

#[tokio::test(flavor = "multi_thread")]
async fn nothing_on_the_public_port_answers_a_stranger_but_what_is_meant_for_one() {
    let house = House::new().await;
    let open =
        ["/health/live", "/health/ready", "/api", "/api/openapi.json", "/api/page.js", "/api/page.css"];
    let (mut scanned, mut answered) = (0, Vec::new());
    let stems = [
        "",
        "admin",
        "actuator",
        "actuator/env",
        "actuator/heapdump",
        "api",
        "api/v1",
        "api/v2",
        "api/openapi.json",
        "api/page.js",
        "api/page.css",
        "api/v1/tenants",
        "api/v1/tenants/acme",
        "api/v1/tenants/acme/users",
        "api/v1/tenants/acme/projects",
        "api/v1/tenants/acme/topics/news/entries",
        "api/v1/connections",
        "api/v1/keys",
        "api/v1/tokens",
        "api/v1/metrics",
        "backup.zip",
        "config",
        "config.json",
        "console",
        "debug",
        "debug/pprof",
        "debug/vars",
        "docs",
        "env",
        ".env",
        ".git/config",
        ".git/HEAD",
        "favicon.ico",
        "graphql",
        "health",
        "health/live",
        "health/ready",
        "healthz",
        "index.html",
        "info",
        "internal",
        "jolokia",
        "login",
        "metrics",
        "metrics/prometheus",
        "openapi.json",
        "phpinfo.php",
        "private",
        "readyz",
        "robots.txt",
        "server-status",
        "socket",
        "sse",
        "stats",
        "status",
        "swagger",
        "swagger-ui",
        "trace",
        "users",
        "v1",
        "vars",
        "version",
        "wp-login.php",
        "ws",
        "ws/echo",
        "conformance/echo",
        "demo",
    ];
    for stem in stems {
        for path in [
            format!("/{stem}"),
            format!("/{stem}/"),
            format!("//{stem}"),
            format!("/{stem}?x=../../etc/passwd"),
        ] {
            scanned += 1;
            let answer = house.ask("GET", &path, "", "").await;
            if answer.status.is_success() {
                answered.push(path.split('?').next().unwrap().to_owned());
            } else if path == "/api/" {
                assert_eq!((answer.status.as_u16(), answer.header("location")), (308, "../api"));
            } else {
                assert!(answer.status.is_client_error(), "{path}: {}", answer.status);
                assert_eq!(answer.header("content-type"), "application/problem+json", "{path}");
            }
        }
    }
    assert!(scanned >= 200, "{scanned}");
    answered.sort();
    answered.dedup();
    assert!(answered.iter().all(|path| open.contains(&path.as_str())), "{answered:?}");
    assert_eq!(answered.len(), open.len());
}

#[tokio::test(flavor = "multi_thread")]
async fn a_path_that_is_not_there_says_where_the_api_and_the_sockets_are() {
    let house = House::new().await;
    for path in ["/", "/index.html", "/api/v2"] {
        let answer = house.ask("GET", path, "", "").await.is(404).json();
        let detail = answer["detail"].as_str().unwrap();
        assert!(detail.contains("/api ") && detail.contains("/ws"), "{path}: {detail}");
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn what_the_page_fills_in_for_a_publish_is_taken_as_it_is() {
    let house = House::new().await;
    let document = house.ask("GET", "/api/openapi.json", "", "").await.is(200).json();
    for (path, status) in [
        ("/api/v1/tenants/{tenant}/topics/{topic}/entries", 201),
        ("/api/v1/tenants/{tenant}/entries", 201),
        ("/api/v1/tenants/{tenant}/topics/{topic}/signals", 202),
    ] {
        let content = &document["paths"][path]["post"]["requestBody"]["content"]["application/json"];
        let filled = path["/api/v1".len()..].replace("{tenant}", "acme").replace("{topic}", "news");
        house.api("POST", &filled, &content["example"].to_string()).await.is(status);
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn metrics_take_a_key_on_the_public_port_and_none_on_the_admins() {
    let house = House::new().await;
    house.ask("GET", "/metrics", "", "").await.is_problem(401, "UNAUTHORIZED");
    let key = house.key(&[Scope::Metrics], None).await;
    let shown = house.ask("GET", "/metrics", &key, "").await.is(200);
    assert!(shown.header("content-type").starts_with("application/openmetrics-text"));
    let text = String::from_utf8(shown.body).unwrap();
    assert!(text.ends_with("# EOF\n"));
    assert!(!text.contains("acme") && !text.contains("news"), "no label names a tenant or a topic");
    let admin = antiphon_axum::admin_router(&house.doors);
    let request = Request::get("/metrics").body(Body::empty()).unwrap();
    assert_eq!(admin.oneshot(request).await.unwrap().status(), 200);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_node_is_ready_without_a_broker_and_not_once_it_drains() {
    let house = House::new().await;
    let ready = house.ask("GET", "/health/ready", "", "").await.is(200).json();
    assert_eq!((&ready["ready"], &ready["broker"]), (&true.into(), &true.into()));
    assert!(ready.get("reason").is_none());
    house.bus.set_down(true);
    let ready = house.ask("GET", "/health/ready", "", "").await.is(200).json();
    assert_eq!((&ready["ready"], &ready["broker"]), (&true.into(), &false.into()));
    assert!(ready["reason"].as_str().unwrap().contains("broker"));
    house.doors.node().begin_drain();
    let ready = house.ask("GET", "/health/ready", "", "").await.is(503);
    assert_eq!(ready.header("retry-after"), "1");
    let ready = ready.json();
    assert_eq!((&ready["ready"], &ready["draining"]), (&false.into(), &true.into()));
    house.ask("GET", "/health/live", "", "").await.is(200);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_wrong_method_and_an_unknown_path_are_problem_documents() {
    let house = House::new().await;
    for (method, path) in [
        ("PATCH", "/api/v1/tenants/acme"),
        ("POST", "/api/v1/tenants"),
        ("DELETE", "/api/v1/connections"),
        ("POST", "/api/openapi.json"),
        ("PUT", "/health/live"),
        ("POST", "/ws"),
    ] {
        house.ask(method, path, &house.admin, "").await.is_problem(405, "METHOD_NOT_ALLOWED");
    }
    for path in ["/api/v1", "/api/v1/nothing", "/api/v1/tenants/acme/nothing", "/api/v1/tenants//users"] {
        let answer = house.ask("GET", path, &house.admin, "").await;
        assert!(answer.status == 404 || answer.status == 400, "{path}: {}", answer.status);
        assert_eq!(answer.header("content-type"), "application/problem+json");
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn only_allowed_origins_may_read_answers() {
    let allowed_origins = vec![url::Url::parse("https://app.example.com").unwrap().origin()];
    let options = HttpOptions { shards: 1, allowed_origins, ..HttpOptions::default() };
    let house = House::of(Plan { options, ..Plan::default() }).await;
    for (origin, is_allowed) in [
        ("https://app.example.com", true),
        ("https://app.example.com.evil", false),
        ("http://app.example.com", false),
        ("null", false),
    ] {
        let preflight = Request::options("/api/v1/tenants/acme/topics/news/entries")
            .header("origin", origin)
            .header("access-control-request-method", "POST")
            .header("access-control-request-headers", "authorization,content-type");
        let answer = house.send(preflight.body(Body::empty()).unwrap()).await.is(200);
        let shown = answer.header("access-control-allow-origin");
        assert_eq!(shown == origin, is_allowed, "{origin}: {shown}");
        assert_ne!(shown, "*");
        assert_eq!(answer.header("access-control-allow-credentials"), "");
        // What went wrong may be read too.
        let refused = Request::get("/api/v1/tenants").header("origin", origin).body(Body::empty()).unwrap();
        let answer = house.send(refused).await;
        answer.is_problem(401, "UNAUTHORIZED");
        assert_eq!(answer.header("access-control-allow-origin") == origin, is_allowed);
    }
}

/// The table of the specification.
const PATHS: &[(&str, &str)] = &[
    ("/connections", "get"),
    ("/tenants", "get"),
    ("/tenants/{tenant}", "delete get put"),
    ("/tenants/{tenant}/entries", "post"),
    ("/tenants/{tenant}/projects", "get"),
    ("/tenants/{tenant}/projects/{project}", "delete get put"),
    ("/tenants/{tenant}/projects/{project}/members", "get put"),
    ("/tenants/{tenant}/projects/{project}/members/{user}", "delete get put"),
    ("/tenants/{tenant}/projects/{project}/members/{user}/settings", "get put"),
    ("/tenants/{tenant}/topics/{topic}/entries", "get post"),
    ("/tenants/{tenant}/topics/{topic}/entries/{id}", "get"),
    ("/tenants/{tenant}/topics/{topic}/presence", "get"),
    ("/tenants/{tenant}/topics/{topic}/signals", "post"),
    ("/tenants/{tenant}/users", "get"),
    ("/tenants/{tenant}/users/{user}", "delete get put"),
    ("/tenants/{tenant}/users/{user}/connections", "delete"),
    ("/tenants/{tenant}/users/{user}/tokens", "delete post"),
];

#[tokio::test(flavor = "multi_thread")]
async fn the_document_has_the_specifications_paths_and_every_reference_leads_somewhere() {
    let house = House::new().await;
    let document = house.ask("GET", "/api/openapi.json", "", "").await.is(200).json();
    assert!(document["openapi"].as_str().unwrap().starts_with("3.1"));
    let mut paths: Vec<(String, String)> = Vec::new();
    for (path, methods) in document["paths"].as_object().unwrap() {
        let mut methods: Vec<&str> = methods.as_object().unwrap().keys().map(String::as_str).collect();
        methods.sort_unstable();
        paths.push((path.strip_prefix("/api/v1").unwrap().to_owned(), methods.join(" ")));
        for name in path.split('{').skip(1).map(|rest| rest.split('}').next().unwrap()) {
            for operation in document["paths"][path].as_object().unwrap().values() {
                let parameters = operation["parameters"].as_array().unwrap();
                assert!(
                    parameters.iter().any(|one| one["name"] == name && one["in"] == "path"),
                    "{path} {name}"
                );
                assert!(operation["summary"].is_string() || operation["description"].is_string(), "{path}");
            }
        }
    }
    paths.sort();
    let expected: Vec<(String, String)> =
        PATHS.iter().map(|(path, methods)| ((*path).to_owned(), (*methods).to_owned())).collect();
    assert_eq!(paths, expected);
    let mut waiting = vec![&document];
    while let Some(value) = waiting.pop() {
        match value {
            Value::Object(fields) => {
                if let Some(reference) = fields.get("$ref").and_then(Value::as_str) {
                    assert!(document.pointer(&reference[1..]).is_some(), "{reference}");
                }
                waiting.extend(fields.values());
            }
            Value::Array(items) => waiting.extend(items),
            _ => {}
        }
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn the_page_has_no_script_from_elsewhere_and_none_inside() {
    let house = House::new().await;
    let page = house.ask("GET", "/api", "", "").await.is(200);
    let policy = page.header("content-security-policy").to_owned();
    assert!(
        policy.starts_with("default-src 'none'; script-src 'self';") && !policy.contains("unsafe"),
        "{policy}"
    );
    let text = String::from_utf8(page.body).unwrap();
    assert!(!text.contains("http://") && !text.contains("https://") && !text.contains(" on"), "{text}");
    for script in ["/api/page.js", "/api/page.css"] {
        let file = house.ask("GET", script, "", "").await.is(200);
        let text = String::from_utf8(file.body).unwrap();
        assert!(!text.contains("://") && !text.contains("innerHTML") && !text.contains("eval("), "{script}");
    }
}
