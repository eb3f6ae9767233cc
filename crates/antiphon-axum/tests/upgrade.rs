//! The upgrade over real sockets: who gets in, and that the conversation works however the socket came.

#![allow(clippy::unwrap_used, missing_docs)]

mod support;

use std::time::Duration;

use antiphon_axum::HttpOptions;
use antiphon_core::Limits;
use antiphon_ws::{Opcode, client};
use bytes::Bytes;
use http_body_util::Empty;
use hyper_util::rt::{TokioExecutor, TokioIo};
use serde_json::json;
use support::{
    House, Plan,
    line::{Line, request, served, status, upgraded},
};
use tokio::{io::AsyncWriteExt, net::TcpStream};

#[tokio::test(flavor = "multi_thread")]
async fn a_plain_socket_converses_and_what_came_with_the_upgrade_is_not_lost() {
    let house = House::new().await;
    let token = house.token("acme", "ann").await;
    let address = served(house.router.clone()).await;
    let (mut line, head) = upgraded(address, &[]).await;
    assert_eq!(status(&head), 101, "{head}");
    assert!(head.contains("sec-websocket-accept: s3pplmbitxaq9kygzzhzrbk+xoo="), "{head}");
    line.converse(Some(&token)).await;
    // A client in a hurry: its first frame is in the same packet as the request.
    let mut hasty = Line::new(TcpStream::connect(address).await.unwrap());
    let mut bytes = request(&[]).into_bytes();
    let ping = json!({"type": "PING", "token": token, "ref": "first"});
    bytes.extend(client::frame(Opcode::Text, ping.to_string().as_bytes()));
    hasty.io.write_all(&bytes).await.unwrap();
    assert_eq!(status(&hasty.head().await), 101);
    assert_eq!(hasty.expect("PONG").await["ref"], "first");
    hasty.converse(None).await;
    assert_eq!(house.api("GET", "/connections", "").await.json()["node"], 2);
    let present = house.api("GET", "/tenants/acme/topics/acme/presence", "").await.is(200).json();
    assert_eq!(present, json!({"users": [{"id": "ann", "connections": 2}]}));
}

#[tokio::test(flavor = "multi_thread")]
async fn a_socket_that_is_no_tcp_is_pumped() {
    let house = House::new().await;
    let token = house.token("acme", "ann").await;
    let name = format!("/tmp/antiphon-axum-{}.socket", std::process::id());
    let listener = tokio::net::UnixListener::bind(&name).unwrap();
    let router = house.router.clone();
    tokio::spawn(async move { axum::serve(listener, router).await });
    let mut line = Line::new(tokio::net::UnixStream::connect(&name).await.unwrap());
    std::fs::remove_file(&name).unwrap();
    line.io.write_all(request(&[]).as_bytes()).await.unwrap();
    assert_eq!(status(&line.head().await), 101);
    line.converse(Some(&token)).await;
    house.api("DELETE", "/tenants/acme/users/ann/tokens", "").await.is(204);
    assert_eq!(line.expect("TERMINATE_CONNECTION").await["text"], "TOKEN_REVOKED");
    let (opcode, close) = line.hear().await.unwrap();
    assert_eq!((opcode, &close[..2]), (8, &4401u16.to_be_bytes()[..]));
    assert_eq!(line.hear().await, None, "closed after the close frame");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_connect_over_http_2_is_pumped() {
    let house = House::new().await;
    let token = house.token("acme", "ann").await;
    let address = served(house.router.clone()).await;
    let io = TokioIo::new(TcpStream::connect(address).await.unwrap());
    let (mut send, connection) =
        hyper::client::conn::http2::Builder::new(TokioExecutor::new()).handshake(io).await.unwrap();
    tokio::spawn(connection);
    let ask = |origin: &str, version: &str| {
        http::Request::connect("http://chat.example.com/ws")
            .extension(hyper::ext::Protocol::from_static("websocket"))
            .header("sec-websocket-version", version)
            .header("origin", origin)
            .body(Empty::<Bytes>::new())
            .unwrap()
    };
    // Whether extended CONNECT is spoken is known once the server's settings have come.
    send.ready().await.unwrap();
    let probe = http::Request::get("http://chat.example.com/health/live").body(Empty::new()).unwrap();
    assert_eq!(send.send_request(probe).await.unwrap().status(), 200);
    assert_eq!(send.send_request(ask("https://evil.example", "13")).await.unwrap().status(), 403);
    assert_eq!(send.send_request(ask("http://chat.example.com", "12")).await.unwrap().status(), 426);
    let mut answer = send.send_request(ask("http://chat.example.com", "13")).await.unwrap();
    assert_eq!(answer.status(), 200);
    let io = hyper::upgrade::on(&mut answer).await.unwrap();
    Line::new(TokioIo::new(io)).converse(Some(&token)).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_foreign_origin_is_refused_before_the_upgrade() {
    let allowed_origins = vec![url::Url::parse("https://app.example.com").unwrap().origin()];
    let options = HttpOptions { shards: 1, allowed_origins, ..HttpOptions::default() };
    let house = House::of(Plan { options, ..Plan::default() }).await;
    let address = served(house.router.clone()).await;
    for good in ["https://app.example.com", "https://chat.example.com", "http://chat.example.com"] {
        assert_eq!(status(&upgraded(address, &[("origin", good)]).await.1), 101, "{good}");
    }
    assert_eq!(status(&upgraded(address, &[]).await.1), 101, "no browser, no origin");
    for bad in [
        "null",
        "https://app.example.com.evil",
        "https://app.example.com.evil.test",
        "https://evil-app.example.com",
        "https://app.example.comevil",
        "https://example.com",
        "https://sub.app.example.com",
        "http://app.example.com",
        "https://app.example.com:8443",
        "https://app.example.com:443",
        "https://app.example.com:",
        "https://app.example.com:0443",
        "https://app.example.com.",
        "https://app.example.com/",
        "https://app.example.com/x",
        "https://app.example.com?x",
        "https://app.example.com#x",
        "https://APP.EXAMPLE.COM",
        "HTTPS://app.example.com",
        "https://user@app.example.com",
        "https://app.example.com@evil.test",
        "https://app.example.com:443@evil.test",
        "https://аpp.example.com",
        "https://xn--pp-6kc.example.com",
        "https://app.example.com\\.evil.test",
        "https://app.example.com%2eevil.test",
        "https://app.example.com https://evil.test",
        "https://app.example.com,https://evil.test",
        "ws://app.example.com",
        "file://",
        "chrome-extension://abcdef",
        "app.example.com",
        "*",
        "https://chat.example.com:8080",
        "https://127.0.0.1",
        "https://[::1]",
    ] {
        let (_, head) = upgraded(address, &[("origin", bad)]).await;
        assert_eq!(status(&head), 403, "{bad}");
        assert!(head.contains("application/problem+json"), "{bad}");
    }
    let two = [("origin", "https://app.example.com"), ("origin", "https://app.example.com")];
    assert_eq!(status(&upgraded(address, &two).await.1), 403, "two Origin headers");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_token_on_the_upgrade_is_checked_there() {
    let house = House::new().await;
    let bearer = format!("Bearer {}", house.token("acme", "ann").await);
    let address = served(house.router.clone()).await;
    let (mut line, head) = upgraded(address, &[("authorization", &bearer)]).await;
    assert_eq!(status(&head), 101);
    line.converse(None).await;
    let admin = format!("Bearer {}", house.admin);
    for wrong in ["Bearer ant_wrong", "Bearer", "Basic YTpi", &format!("{bearer}x"), &admin] {
        let (_, head) = upgraded(address, &[("authorization", wrong)]).await;
        assert_eq!(status(&head), 401, "{wrong}");
        assert!(head.contains("www-authenticate: bearer"), "{head}");
    }
    let twice = [("authorization", bearer.as_str()), ("authorization", bearer.as_str())];
    assert_eq!(status(&upgraded(address, &twice).await.1), 401);
}

#[tokio::test(flavor = "multi_thread")]
async fn an_application_may_say_itself_who_it_is() {
    let house = House::new().await;
    let identity = antiphon_core::Identity {
        tenant: support::tenant("acme"),
        user: support::user("ann"),
        expires_at: None,
        revocations: 0,
    };
    let router = antiphon_axum::sockets_router(&house.doors).layer(axum::Extension(identity));
    let (mut line, head) = upgraded(served(router).await, &[]).await;
    assert_eq!(status(&head), 101);
    line.converse(None).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn what_asks_for_no_websocket_gets_a_reason() {
    let house = House::new().await;
    let address = served(house.router.clone()).await;
    for (good, bad, expected) in [
        ("upgrade: websocket", "upgrade: h2c", 426),
        ("connection: Upgrade", "connection: keep-alive", 426),
        ("version: 13", "version: 8", 426),
        ("dGhlIHNhbXBsZSBub25jZQ==", "short", 400),
        ("GET /ws", "POST /ws", 405),
    ] {
        let text = request(&[]).replace(good, bad);
        let mut line = Line::new(TcpStream::connect(address).await.unwrap());
        line.io.write_all(text.as_bytes()).await.unwrap();
        let head = line.head().await;
        assert_eq!(status(&head), expected, "{bad}");
        if expected == 426 {
            assert!(
                head.contains("sec-websocket-version: 13") && head.contains("upgrade: websocket"),
                "{head}"
            );
        }
    }
}

async fn refused_with_a_time(house: &House) {
    let (_, head) = upgraded(served(house.router.clone()).await, &[]).await;
    assert_eq!(status(&head), 503, "{head}");
    assert!(head.contains("retry-after: "), "{head}");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_full_node_says_when_to_come_back() {
    let limits = Limits { connections: 1, ..Limits::default() };
    let house = House::of(Plan { limits, ..Plan::default() }).await;
    let token = house.token("acme", "ann").await;
    let (mut line, head) = upgraded(served(house.router.clone()).await, &[]).await;
    assert_eq!(status(&head), 101);
    line.converse(Some(&token)).await;
    refused_with_a_time(&house).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_node_that_drains_accepts_until_its_clients_are_moved_away() {
    let house = House::new().await;
    let token = house.token("acme", "ann").await;
    house.doors.node().begin_drain();
    let late = house.ask("GET", "/health/ready", "", "").await.is(503);
    assert_eq!(late.header("retry-after"), "1");
    let (mut line, head) = upgraded(served(house.router.clone()).await, &[]).await;
    assert_eq!(status(&head), 101, "{head}");
    line.converse(Some(&token)).await;
    let reactor = house.doors.reactor().clone();
    let moving = tokio::task::spawn_blocking(move || reactor.drain(Duration::from_millis(500)));
    line.expect("RECONNECT").await;
    refused_with_a_time(&house).await;
    drop(line);
    moving.await.unwrap();
}
