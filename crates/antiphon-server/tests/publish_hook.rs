//! The program with a publish hook: an application's endpoint, real users, and what becomes of their messages.
#![allow(clippy::unwrap_used)]

mod support;

use std::{
    net::SocketAddr,
    process::{Child, Command, Stdio},
    sync::{Arc, Mutex},
};

use antiphon_client::Raw;
use antiphon_testkit::skipped;
use axum::{
    Router,
    body::Bytes,
    extract::State,
    http::{HeaderMap, StatusCode, header},
    response::{IntoResponse, Redirect, Response},
    routing::post,
};
use serde_json::{Value, json};
use support::{
    antiphon,
    node::{Node, PATIENCE, eventually, exchange},
    sql::{Ear, Place, Psql},
};

const SECRET: &str = "whsec_MfKQ9r8GKYqrTwjUPD8ILPZIo2LaLaSw";

/// An application that does what a message's first word says.
struct Application {
    address: SocketAddr,
    house: Arc<House>,
}

#[derive(Default)]
struct House {
    calls: Mutex<Vec<(HeaderMap, Value)>>,
    /// Its connection to the database, where it has one.
    database: Option<Mutex<Psql>>,
}

impl Application {
    async fn open(database: Option<Psql>) -> Self {
        let house = Arc::new(House { database: database.map(Mutex::new), ..House::default() });
        let router = Router::new().route("/hook", post(hook)).with_state(house.clone());
        let listener = tokio::net::TcpListener::bind("127.0.0.1:0").await.unwrap();
        let address = listener.local_addr().unwrap();
        tokio::spawn(async move { axum::serve(listener, router).await });
        Self { address, house }
    }

    fn config(&self) -> String {
        config(self.address)
    }

    fn calls(&self) -> Vec<(HeaderMap, Value)> {
        self.house.calls.lock().unwrap().clone()
    }
}

fn config(address: SocketAddr) -> String {
    format!(
        "publish_hook = 'http://app:canary@{address}/hook'\npublish_hook_secret = '{SECRET}'\n\
         [limits]\npublish_hook_timeout = '1s'\n"
    )
}

async fn hook(State(house): State<Arc<House>>, headers: HeaderMap, body: Bytes) -> Response {
    let message: Value = serde_json::from_slice(&body).unwrap();
    let text = message["text"].as_str().unwrap().to_owned();
    house.calls.lock().unwrap().push((headers, message.clone()));
    match text.split(' ').next().unwrap() {
        "allow" => axum::Json(json!({})).into_response(),
        "refuse" => {
            let problem = json!({"title": "Forbidden", "detail": "not\u{7} at night"}).to_string();
            (StatusCode::FORBIDDEN, [(header::CONTENT_TYPE, "application/problem+json")], problem)
                .into_response()
        }
        "plain" => (StatusCode::FORBIDDEN, "é".repeat(600)).into_response(),
        "broken" => (StatusCode::INTERNAL_SERVER_ERROR, "secret-inner-cause").into_response(),
        "busy" => (StatusCode::SERVICE_UNAVAILABLE, [(header::RETRY_AFTER, "7")]).into_response(),
        "moved" => Redirect::temporary("/hook?allow").into_response(),
        "garbage" => "secret-inner-cause".into_response(),
        "huge" => " ".repeat(17 * 1024).into_response(),
        "endless" => {
            // The head comes, and never the body.
            let never = futures_util::stream::pending::<Result<Bytes, std::io::Error>>();
            Response::new(axum::body::Body::from_stream(never))
        }
        "hang" => std::future::pending().await,
        "lie" => {
            let position = "0000000000000001-1-0000000000000001";
            axum::Json(json!({"id": "0190a8e4-0000-7000-8000-000000000000", "position": position}))
                .into_response()
        }
        "mine" | "forget" => {
            let said = tokio::task::block_in_place(|| house.publish(&message));
            // The answer of the first one is lost, though its transaction is committed.
            let first =
                house.calls.lock().unwrap().iter().filter(|(_, one)| one["text"] == text.as_str()).count()
                    == 1;
            if text.starts_with("forget") && first {
                return StatusCode::BAD_GATEWAY.into_response();
            }
            axum::Json(said).into_response()
        }
        other => panic!("{other}"),
    }
}

impl House {
    /// Writes the message to its own table and publishes it, in one transaction.
    fn publish(&self, message: &Value) -> Value {
        let mut database = self.database.as_ref().unwrap().lock().unwrap();
        let said = |field: &str| message[field].as_str().unwrap().to_owned();
        let (text, key) = (said("text"), said("key"));
        database.say("begin");
        database.say("insert into app.orders values ((select count(*) from app.orders))");
        let row = database.say(&format!(
            "select id || ' ' || position || ' ' || duplicate from antiphon.publish(tenant => 'acme', \
             topic => '{}', text => '{text}', user_id => '{}', key => '{key}')",
            said("topic"),
            said("userId"),
        ));
        database.say("commit");
        let [id, position, duplicate] = row.split(' ').collect::<Vec<_>>()[..] else { panic!("{row}") };
        json!({"id": id, "position": position, "duplicate": duplicate == "true"})
    }
}

/// Says these texts at once, each with a key, and gives the answers.
async fn say(raw: &mut Raw, token: &str, texts: &[&str]) -> Vec<Value> {
    for text in texts {
        let frame = json!({"type": "MESSAGE", "token": token, "topic": "news", "text": text, "ref": text, "key": text});
        raw.send_json(&frame).await.unwrap();
    }
    let mut answers = Vec::new();
    while answers.len() < texts.len() {
        let frame = raw.frame().await.unwrap();
        if frame["type"] == "ACCEPTED" || frame["type"] == "ERROR" {
            answers.push(frame);
        }
    }
    for (text, answer) in texts.iter().zip(&answers) {
        assert_eq!(answer["ref"], *text, "{answers:?}");
    }
    answers
}

async fn connect(node: &Node) -> Raw {
    Raw::connect(&node.ws()).await.unwrap().deadline(PATIENCE)
}

#[tokio::test(flavor = "multi_thread")]
async fn a_message_is_posted_as_the_guide_says_and_the_answer_decides() {
    let application = Application::open(None).await;
    let node = Node::serve_with(&application.config(), &[]);
    let (token, mut raw) = (node.token(), connect(&node).await);
    let texts = [
        "allow 1", "refuse", "plain", "broken", "moved", "garbage", "huge", "endless", "hang", "lie", "busy",
        "allow 2",
    ];
    let answers = say(&mut raw, &token, &texts).await;
    let codes: Vec<&str> = answers.iter().map(|answer| answer["code"].as_str().unwrap_or("")).collect();
    let away = "UNAVAILABLE";
    assert_eq!(codes, ["", "FORBIDDEN", "FORBIDDEN", away, away, away, away, away, away, away, away, ""]);
    assert_eq!((&answers[0]["offset"], &answers[11]["offset"]), (&json!(1), &json!(2)));
    assert_eq!(answers[1]["text"], "not at night");
    assert_eq!(answers[2]["text"].as_str().unwrap().chars().count(), 512);
    for answer in &answers {
        assert_eq!(answer["retryAfterMs"].as_u64().is_some(), answer["code"] == away, "{answer}");
        assert!(!answer.to_string().contains("secret-inner-cause"), "{answer}");
    }
    assert!(answers[10]["retryAfterMs"].as_u64().unwrap() >= 7000, "{}", answers[10]);
    let calls = application.calls();
    assert_eq!(calls.len(), texts.len(), "a redirect is not followed, and nothing is asked twice");
    let (headers, message) = &calls[0];
    let id = headers["webhook-id"].to_str().unwrap();
    assert_eq!(
        *message,
        json!({"type": "publish", "id": id, "tenant": "acme", "userId": "ann", "topic": "news", "text": "allow 1", "key": "allow 1"})
    );
    assert_eq!(headers["authorization"], "Basic YXBwOmNhbmFyeQ==");
    node.signal("TERM");
    let log = node.end_with_log();
    assert!(!log.contains("canary") && !log.contains("MfKQ9r8GKYqrTwjUPD8ILPZIo2LaLaSw"), "{log}");
    assert!(!log.contains("secret-inner-cause") && log.contains("the publish hook"), "{log}");
}

#[tokio::test(flavor = "multi_thread")]
async fn over_http_a_users_entry_is_asked_about_and_a_keys_is_not() {
    let application = Application::open(None).await;
    let node = Node::serve_with(&application.config(), &[]);
    let (token, key) = (node.token(), node.key("publish"));
    let post = |path: &str, bearer: &str, body: &str| {
        let head = format!(
            "POST /api/v1/tenants/acme/{path} HTTP/1.1\r\nhost: a\r\nconnection: close\r\n\
             authorization: Bearer {bearer}\r\ncontent-type: application/json\r\ncontent-length: {}\r\n\r\n{body}",
            body.len()
        );
        tokio::task::block_in_place(|| exchange(node.connect(), &head))
    };
    let entry =
        |bearer: &str, text: &str| post("topics/news/entries", bearer, &json!({"text": text}).to_string());
    assert!(entry(&token, "allow").starts_with("HTTP/1.1 201"));
    let refused = entry(&token, "refuse");
    assert!(refused.starts_with("HTTP/1.1 403") && refused.contains("not at night"), "{refused}");
    let broken = entry(&token, "broken").to_ascii_lowercase();
    assert!(broken.starts_with("http/1.1 503") && broken.contains("retry-after"), "{broken}");
    assert!(entry(&key, "refuse").starts_with("HTTP/1.1 201"));
    let batch = |texts: [&str; 3]| {
        let entries = texts.map(|text| json!({"topic": "news", "text": text}));
        post("entries", &token, &json!(entries).to_string())
    };
    assert!(batch(["allow a", "refuse b", "allow c"]).starts_with("HTTP/1.1 403"));
    let all = batch(["allow a", "allow b", "allow c"]);
    assert!(
        all.starts_with("HTTP/1.1 201") && all.contains("\"offset\":3") && all.contains("\"offset\":5"),
        "{all}"
    );
    assert_eq!(application.calls().len(), 3 + 2 + 3);
}

#[tokio::test(flavor = "multi_thread")]
async fn what_the_application_publishes_in_its_own_transaction_is_answered_as_accepted_and_a_repeat_is_safe()
{
    let Some(place) = Place::new("what_the_application_publishes_in_its_own_transaction") else { return };
    let application = Application::open(Some(place.app())).await;
    let node = Node::serve_with(&application.config(), &["--database", &place.database.url()]);
    eventually("the other nodes are heard", || node.get("/health/ready").contains("\"broker\":true"));
    let (ann, bob) = (place.token("acme", "ann"), place.token("acme", "bob"));
    let mut ear = Ear::at(&node, &bob, &["news"]).await;
    let mut raw = connect(&node).await;
    let answers = say(&mut raw, &ann, &["allow 1", "mine 2", "allow 3", "forget 4", "mine 5"]).await;
    let offsets: Vec<Option<u64>> = answers.iter().map(|answer| answer["offset"].as_u64()).collect();
    assert_eq!(offsets, [Some(1), Some(2), Some(3), None, Some(5)], "{answers:?}");
    assert_eq!((&answers[3]["code"], answers[3]["retryAfterMs"].is_u64()), (&json!("UNAVAILABLE"), true));
    let again = say(&mut raw, &ann, &["forget 4"]).await.remove(0);
    assert_eq!((&again["offset"], &again["duplicate"]), (&json!(4), &json!(true)), "{again}");
    for (text, answer) in ["allow 1", "mine 2", "allow 3", "forget 4", "mine 5"].into_iter().zip(1..) {
        let heard = ear.hear().await;
        assert_eq!((&heard["text"], &heard["offset"]), (&json!(text), &json!(answer)), "{heard}");
        assert_eq!(heard["entry"]["userId"], "ann");
        if text == "mine 2" {
            assert_eq!(
                (&heard["position"], &heard["entry"]["id"]),
                (&answers[1]["position"], &answers[1]["entry"]["id"])
            );
        }
    }
    // The repeat of the lost one had the same id, and was committed twice as a call, once as an entry.
    let calls = application.calls();
    let ids: Vec<&HeaderMap> =
        calls.iter().filter(|(_, call)| call["text"] == "forget 4").map(|(headers, _)| headers).collect();
    assert_eq!((ids.len(), &ids[0]["webhook-id"]), (2, &ids[1]["webhook-id"]));
    assert_eq!(place.database.sql("select count(*) from antiphon.entries"), "5");
    drop(application);
}

#[tokio::test(flavor = "multi_thread")]
async fn an_endpoint_that_is_not_there_refuses_for_now_and_a_drain_does_not_wait_for_one_that_hangs() {
    let gone = std::net::TcpListener::bind("127.0.0.1:0").unwrap().local_addr().unwrap();
    let node = Node::serve_with(&config(gone), &[]);
    let (token, mut raw) = (node.token(), connect(&node).await);
    let answer = say(&mut raw, &token, &["allow"]).await.remove(0);
    assert_eq!((&answer["code"], answer["retryAfterMs"].is_u64()), (&json!("UNAVAILABLE"), true));
    let application = Application::open(None).await;
    let patient = application.config().replace("'1s'", "'10m'");
    let node = Node::serve_with(&patient, &["--drain", "100ms"]);
    let (token, mut raw) = (node.token(), connect(&node).await);
    raw.send_json(&json!({"type": "MESSAGE", "token": token, "text": "hang"})).await.unwrap();
    tokio::task::block_in_place(|| eventually("it is asked", || !application.calls().is_empty()));
    node.signal("TERM");
    assert_eq!(tokio::task::block_in_place(|| node.end()).0, 0);
}

#[test]
fn a_hook_without_its_secret_is_refused_with_what_to_set_and_neither_is_ever_shown() {
    let url = "https://canary@hook.example/publish";
    let check = |variables: &[(&str, &str)]| {
        let program = antiphon(&["config", "check"]);
        variables.iter().fold(program, |program, (name, value)| program.env(name, value)).run()
    };
    let (hook, secret) = ("ANTIPHON_PUBLISH_HOOK", "ANTIPHON_PUBLISH_HOOK_SECRET");
    let refused = check(&[(hook, url)]);
    assert!(
        refused.code == 2 && refused.stderr.contains("ANTIPHON_PUBLISH_HOOK_SECRET_FILE"),
        "{}",
        refused.stderr
    );
    let refused = check(&[(secret, SECRET)]);
    assert!(refused.code == 2 && refused.stderr.contains("needs `publish_hook`"), "{}", refused.stderr);
    for wrong in ["canary", "whsec_canary", "whsec_Y2FuYXJ5"] {
        let refused = check(&[(hook, url), (secret, wrong)]);
        assert!(refused.code == 2 && refused.stderr.contains("24 to 64 random bytes"), "{}", refused.stderr);
        assert!(
            !refused.stderr.contains("canary") && !refused.stderr.contains("Y2FuYXJ5"),
            "{}",
            refused.stderr
        );
    }
    let refused = check(&[(hook, "ftp://hook.example"), (secret, SECRET)]);
    assert!(refused.code == 2 && refused.stderr.contains("`publish_hook`"), "{}", refused.stderr);
    let folder = support::folder();
    let file = folder.path().join("secret");
    std::fs::write(&file, format!("{SECRET}\n")).unwrap();
    let show =
        antiphon(&["config", "show", "--publish-hook", url]).env("ANTIPHON_PUBLISH_HOOK_SECRET_FILE", &file);
    let shown = show.run();
    assert_eq!(shown.code, 0, "{}", shown.stderr);
    assert!(shown.stdout.contains("publish_hook_secret = \"***\"  # ANTIPHON_PUBLISH_HOOK_SECRET_FILE"));
    assert!(!shown.stdout.contains("canary") && !shown.stdout.contains(&SECRET[6..]), "{}", shown.stdout);
    assert!(!antiphon(&["serve", "--help"]).run().stdout.contains("--publish-hook-secret"));
}

/// A receiver of the guide, as it is printed there.
struct Receiver(Child, SocketAddr);

impl Receiver {
    fn of_guide(language: &str, program: &str) -> Option<Self> {
        let page = include_str!("../../../docs/guide/publish-hook.md");
        let (_, rest) = page.split_once(&format!("```{language}\n")).unwrap();
        let code = rest.split_once("```").unwrap().0;
        let address = std::net::TcpListener::bind("127.0.0.1:0").unwrap().local_addr().unwrap();
        let flag = if program == "node" { "-e" } else { "-c" };
        let child = Command::new(program)
            .args([flag, code])
            .env("HOOK_SECRET", SECRET)
            .env("PORT", address.port().to_string())
            .stderr(Stdio::null())
            .spawn();
        let Ok(child) = child else {
            skipped("the receivers of the guide", &format!("{program} is not here"));
            return None;
        };
        eventually("the receiver listens", || std::net::TcpStream::connect(address).is_ok());
        Some(Self(child, address))
    }
}

impl Drop for Receiver {
    fn drop(&mut self) {
        let _ = self.0.kill();
        let _ = self.0.wait();
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn the_receivers_of_the_guide_take_our_signature_and_no_other() {
    for (language, program) in [("python", "python3"), ("javascript", "node")] {
        let Some(receiver) = Receiver::of_guide(language, program) else { continue };
        let node = Node::serve_with(&config(receiver.1), &[]);
        let (token, mut raw) = (node.token(), connect(&node).await);
        let answers = say(&mut raw, &token, &["hello", "spam", "again"]).await;
        let types: Vec<&str> = answers.iter().map(|answer| answer["type"].as_str().unwrap()).collect();
        assert_eq!(types, ["ACCEPTED", "ERROR", "ACCEPTED"], "{answers:?}");
        assert_eq!(answers[1]["text"], "no advertisements, please");
        let other = config(receiver.1).replace("whsec_M", "whsec_N");
        let node = Node::serve_with(&other, &[]);
        let (token, mut raw) = (node.token(), connect(&node).await);
        assert_eq!(say(&mut raw, &token, &["hello"]).await[0]["code"], "UNAVAILABLE");
    }
}
