//! What an operation does not know is refused, in the query and in the body, and its description says so.

#![allow(clippy::unwrap_used, missing_docs)]

mod support;

use serde_json::{Value, json};
use support::{House, OPERATIONS};

async fn refused(house: &House, method: &str, path: &str, body: &str) -> String {
    let answer = house.api(method, path, body).await;
    answer.is_problem(400, "INVALID");
    answer.json()["detail"].as_str().unwrap().to_owned()
}

/// All operations, by their paths below `/api/v1`.
fn operations() -> impl Iterator<Item = (&'static str, String, &'static str)> {
    let elsewhere = [("GET", "/tenants", ""), ("GET", "/connections", "")];
    let elsewhere = elsewhere.map(|(method, path, body)| (method, path.to_owned(), body));
    let of_acme =
        OPERATIONS.iter().map(|(method, path, body, _)| (*method, format!("/tenants/acme{path}"), *body));
    of_acme.chain(elsewhere)
}

#[tokio::test(flavor = "multi_thread")]
async fn no_operation_takes_what_it_does_not_know() {
    let house = House::new().await;
    for (method, path, good) in operations() {
        let said = refused(&house, method, &format!("{path}?nonsense=1"), good).await;
        assert!(
            said.starts_with("the query: `nonsense` is not known here; there "),
            "{method} {path}: {said}"
        );
        let nonsense = match good.rfind('}') {
            Some(end) => format!("{},\"nonsense\":1{}", &good[..end], &good[end..]),
            None => r#"{"nonsense":1}"#.to_owned(),
        };
        let said = refused(&house, method, &path, &nonsense).await;
        assert!(said.contains("`nonsense` is not known here; there "), "{method} {path}: {said}");
        let twice = nonsense.replace("\"nonsense\":1", "\"nonsense\":1,\"nonsense\":1");
        let said = refused(&house, method, &path, &twice).await;
        assert!(said.contains("`nonsense` stands there twice"), "{method} {path}: {said}");
        let good = if good.is_empty() { "{}" } else { good };
        for more in ["x", "{}", "]"] {
            let said = refused(&house, method, &path, &format!("{good} {more}")).await;
            assert!(said.starts_with("the body: this is not JSON from line 1"), "{method} {path}: {said}");
        }
        for other in ["null", "5", "\"{}\""] {
            let said = refused(&house, method, &path, other).await;
            assert!(said.starts_with("the body: this must be an "), "{method} {path}: {said}");
        }
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn an_operation_without_a_body_takes_none_or_an_empty_object() {
    let house = House::new().await;
    for body in ["", " \n", "{}", " { } "] {
        for path in ["/tenants/acme", "/tenants/acme/users/ann", "/tenants/acme/projects/p1"] {
            let put = house.api("PUT", path, body).await;
            assert!(put.status.is_success(), "{path} {body:?}");
            house.api("GET", path, body).await.is(200);
        }
        house.api("DELETE", "/tenants/acme/projects/p1", body).await.is(204);
    }
    let said = refused(&house, "PUT", "/tenants/initech", r#"{"name":"Initech"}"#).await;
    assert_eq!(said, "the body: `name` is not known here; there is nothing to be said");
    house.api("GET", "/tenants/initech", "").await.is_problem(404, "NOT_FOUND");
}

#[tokio::test(flavor = "multi_thread")]
async fn the_document_says_which_fields_a_body_may_have_and_that_there_are_no_others() {
    let house = House::new().await;
    let document = house.ask("GET", "/api/openapi.json", "", "").await.is(200).json();
    let mut found = Vec::new();
    for (path, operations) in document["paths"].as_object().unwrap() {
        for (method, operation) in operations.as_object().unwrap() {
            let schema = &operation["requestBody"]["content"]["application/json"]["schema"];
            if schema.is_null() {
                continue;
            }
            let schema = if schema["type"] == "array" { &schema["items"] } else { schema };
            let named = schema["$ref"].as_str().and_then(|name| document.pointer(&name[1..])).unwrap();
            assert_eq!(named["additionalProperties"], false, "{method} {path}");
            let fields: Vec<&str> =
                named["properties"].as_object().unwrap().keys().map(String::as_str).collect();
            found.push((
                method.clone(),
                path.rsplit('/').next().unwrap().to_owned(),
                fields.join(" "),
                named,
            ));
        }
    }
    let fields = |method: &str, end: &str| -> Vec<(String, Value)> {
        let of = found.iter().filter(|(of, path, ..)| of == method && path == end);
        of.map(|(_, _, fields, schema)| (fields.clone(), schema["required"].clone())).collect()
    };
    let both = fields("post", "entries");
    assert!(both.contains(&("body key projectId text userId".to_owned(), Value::Null)), "{both:?}");
    assert!(
        both.contains(&("body key projectId text topic userId".to_owned(), json!(["topic"]))),
        "{both:?}"
    );
    assert_eq!(fields("post", "signals"), [("body projectId text userId".to_owned(), Value::Null)]);
    assert_eq!(fields("put", "members"), [("deliver push userId".to_owned(), json!(["userId"]))]);
    assert_eq!(fields("put", "{user}"), [("deliver push".to_owned(), Value::Null)]);
    assert_eq!(fields("put", "settings"), [("deliver push".to_owned(), Value::Null)]);
    assert_eq!(fields("post", "tokens"), [("ttlSeconds".to_owned(), Value::Null)]);
    assert_eq!(found.len(), 7);
    // A body may be any JSON: its schema has no type.
    let body = &document["components"]["schemas"]["NewEntry"]["properties"]["body"];
    assert!(body.get("type").is_none() && body.get("oneOf").is_none(), "{body}");
}
