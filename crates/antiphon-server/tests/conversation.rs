//! A client's conversation with the program that was built, from the upgrade to the end of a drain.

mod support;

use std::{
    io::{Read, Write},
    time::Duration,
};

use antiphon_client::{Client, Content, Draft, Event, Raw};
use serde_json::json;
use support::{
    node::{Node, eventually, exchange},
    tls::Certificate,
};

const UPGRADE: &str = "GET /ws HTTP/1.1\r\nhost: a\r\nconnection: upgrade\r\nupgrade: websocket\r\n\
                       sec-websocket-version: 13\r\nsec-websocket-key: AAAAAAAAAAAAAAAAAAAAAA==\r\n\r\n";

#[tokio::test(flavor = "multi_thread")]
async fn a_client_is_told_to_leave_before_it_is_closed_with_1012_at_the_end_of_a_drain() {
    let node = Node::serve(&["--drain", "1s"]);
    let mut client = Raw::connect(&node.ws()).await.unwrap();
    client.send_json(&json!({"type": "SUBSCRIBE", "token": node.token()})).await.unwrap();
    let subscribed = client.frame_of("SUBSCRIPTION_SUCCESSFUL").await.unwrap();
    assert_eq!((subscribed["text"].as_str(), subscribed["userId"].as_str()), (Some("acme"), Some("ann")));
    client.send_json(&json!({"type": "MESSAGE", "text": "hello"})).await.unwrap();
    assert_eq!(client.frame_of("MESSAGE").await.unwrap()["text"], "hello");
    node.signal("TERM");
    client.frame_of("RECONNECT").await.unwrap();
    assert_eq!(client.closed().await.unwrap().1, Some(1012));
    assert_eq!(node.end().0, 0);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_node_without_a_drain_delay_answers_new_connections_until_its_last_client_has_left() {
    let node = Node::serve(&["--drain", "3s", "--admin-listen", "127.0.0.1:0"]);
    let line = node.logged("health and metrics on");
    let admin: std::net::SocketAddr = line.rsplit_once("//").unwrap().1.parse().unwrap();
    let key = node.key("metrics");
    let mut client = Raw::connect(&node.ws()).await.unwrap();
    client.send_json(&json!({"type": "SUBSCRIBE", "token": node.token()})).await.unwrap();
    client.frame_of("SUBSCRIPTION_SUCCESSFUL").await.unwrap();
    node.signal("TERM");
    node.logged("draining");
    eventually("not ready", || node.status("/health/ready") == Some(503));
    client.frame_of("RECONNECT").await.unwrap();

    let ready = node.get("/health/ready").to_lowercase();
    assert!(ready.starts_with("http/1.1 503") && ready.contains("\r\nretry-after: "), "{ready}");
    assert_eq!(node.status("/health/live"), Some(200));
    let ask = format!(
        "GET /metrics HTTP/1.1\r\nhost: a\r\nauthorization: Bearer {key}\r\nconnection: close\r\n\r\n"
    );
    let metrics = exchange(node.connect(), &ask);
    assert!(metrics.starts_with("HTTP/1.1 200") && metrics.contains("# EOF"), "{metrics}");
    let ask = "GET /metrics HTTP/1.1\r\nhost: a\r\nconnection: close\r\n\r\n";
    let metrics = exchange(std::net::TcpStream::connect(admin).unwrap(), ask);
    assert!(metrics.starts_with("HTTP/1.1 200"), "{metrics}");
    let refused = exchange(node.connect(), UPGRADE).to_lowercase();
    assert!(refused.starts_with("http/1.1 503") && refused.contains("\r\nretry-after: "), "{refused}");

    assert_eq!(client.closed().await.unwrap().1, Some(1012));
    assert_eq!(node.end().0, 0);
}

#[tokio::test(flavor = "multi_thread")]
async fn entries_outlive_the_process() {
    let folder = support::folder();
    let database = format!("sqlite:{}", folder.path().join("a.db").display());
    let token = support::antiphon(&["token", "issue", "--tenant", "acme", "--user", "ann"]);
    let token = token.args(&["--database", &database]).run().stdout;
    let first = Node::serve(&["--database", &database, "--drain", "0s"]);
    let mut client = Raw::connect(&first.ws()).await.unwrap();
    let message = json!({"type": "MESSAGE", "text": "kept", "token": token.trim_end()});
    client.send_json(&message).await.unwrap();
    client.frame_of("ACCEPTED").await.unwrap();
    first.signal("KILL");
    assert_eq!(first.end().0, -1);
    let second = Node::serve(&["--database", &database]);
    let mut client = Raw::connect(&second.ws()).await.unwrap();
    let ask = json!({"type": "HISTORY", "topic": "acme", "token": token.trim_end()});
    client.send_json(&ask).await.unwrap();
    assert_eq!(client.frame_of("HISTORY").await.unwrap()["entries"][0]["text"], "kept");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_jwt_is_taken_where_its_key_is_configured_and_not_elsewhere() {
    const SECRET: &str = "a secret of more than thirty-two bytes";
    let claims = json!({"sub": "ann", "org": "acme", "exp": 4_000_000_000_u64, "iat": 1_000_000_000});
    let key = jsonwebtoken::EncodingKey::from_secret(SECRET.as_bytes());
    let token = jsonwebtoken::encode(&jsonwebtoken::Header::default(), &claims, &key).unwrap();
    let ask = json!({"type": "SUBSCRIBE", "token": token});

    let node = Node::serve_with(&format!("[jwt]\nsecret = '{SECRET}'\ntenant_claim = 'org'\n"), &[]);
    let mut client = Raw::connect(&node.ws()).await.unwrap();
    client.send_json(&ask).await.unwrap();
    assert_eq!(client.frame_of("SUBSCRIPTION_SUCCESSFUL").await.unwrap()["text"], "acme");

    let other = Node::serve(&[]);
    let mut client = Raw::connect(&other.ws()).await.unwrap();
    client.send_json(&ask).await.unwrap();
    assert_eq!(client.frame_of("TERMINATE_CONNECTION").await.unwrap()["text"], "INVALID_TOKEN");
}

#[tokio::test(flavor = "multi_thread")]
async fn one_connection_too_many_is_answered_with_503_and_when_to_come_back() {
    let node = Node::serve(&["--max-connections", "1"]);
    let _first = Raw::connect(&node.ws()).await.unwrap();
    eventually("full", || {
        let socket = node.connect();
        let mut answer = [0; 512];
        let mut socket_ref = &socket;
        std::io::Write::write_all(&mut socket_ref, UPGRADE.as_bytes()).unwrap();
        let read = std::io::Read::read(&mut socket_ref, &mut answer).unwrap();
        let answer = String::from_utf8_lossy(&answer[..read]).to_lowercase();
        answer.starts_with("http/1.1 503") && answer.contains("retry-after: ")
    });
}

#[tokio::test(flavor = "multi_thread")]
async fn a_token_is_nowhere_in_the_log_whatever_is_done_with_it() {
    let node = Node::serve(&["--log-level", "trace"]);
    let token = node.token();
    let spoilt = format!("{token}CANARY");
    for shown in [&token, &spoilt] {
        let mut client = Raw::connect(&node.ws()).await.unwrap();
        client.send_json(&json!({"type": "SUBSCRIBE", "token": shown})).await.unwrap();
        client.frame().await.unwrap();
        let header = format!("Bearer {shown}");
        let _ = Raw::connect_with(&node.ws(), &[("authorization", &header)]).await;
        node.get(&format!("/api/v1/tenants/acme?token={shown}"));
    }
    node.signal("TERM");
    node.signal("TERM");
    let log = node.end_with_log();
    assert!(log.contains("draining"), "{log}");
    for secret in [&token[4..], "CANARY"] {
        let line = log.lines().find(|line| line.contains(secret));
        assert_eq!(line, None);
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_conversation_through_tls_of_our_own_is_the_same() {
    let certificate = Certificate::new();
    let node = Node::serve(&certificate.flags());
    let url = format!("wss://localhost:{}", node.address.port());
    let client = Client::builder(url).tls(certificate.client()).token(node.token());
    let client = client.connect().await.unwrap();
    let mut own = client.subscribe(["acme"]).await.unwrap();
    client.publish(Draft::text("through TLS").topic("acme")).await.unwrap();
    loop {
        match own.next().await {
            Some(Event::Message(message)) => {
                assert_eq!(message.content, Content::Text("through TLS".into()));
                return;
            }
            Some(_) => {}
            None => panic!("the subscription ended"),
        }
    }
}

#[test]
fn whoever_idles_after_a_request_gives_his_place_to_the_next_one() {
    let node = Node::serve_with("[limits]\nhalf_open = 2\n", &[]);
    let asked = || {
        let mut socket = node.connect();
        socket.write_all(b"GET /health/live HTTP/1.1\r\nhost: a\r\n\r\n").unwrap();
        socket.set_read_timeout(Some(Duration::from_secs(4))).unwrap();
        let answered = socket.read(&mut [0; 12]).is_ok_and(|read| read > 0);
        answered.then_some(socket)
    };
    let (first, second) = (asked(), asked());
    assert!(first.is_some() && second.is_some() && asked().is_some());
    // The rest of its answer, and the end.
    assert!(first.unwrap().read_to_end(&mut Vec::new()).is_ok());
}

#[tokio::test(flavor = "multi_thread")]
async fn a_socket_is_half_open_at_the_door_until_it_has_said_its_token() {
    let node = Node::serve_with("[limits]\nhalf_open = 2\n", &[]);
    let token = node.token();
    let mut first = Raw::connect(&node.ws()).await.unwrap();
    let _second = Raw::connect(&node.ws()).await.unwrap();
    // One with a place would be waited for until its handshake's time is over.
    let closed_at_once = || {
        let mut socket = node.connect();
        socket.set_read_timeout(Some(Duration::from_secs(4))).unwrap();
        socket.read(&mut [0; 1]).is_ok_and(|read| read == 0)
    };
    assert!(closed_at_once());
    first.send_json(&json!({"type": "SUBSCRIBE", "token": token})).await.unwrap();
    first.frame_of("SUBSCRIPTION_SUCCESSFUL").await.unwrap();
    let third = Raw::connect(&node.ws()).await.unwrap();
    assert!(closed_at_once());
    third.close().await.unwrap();
    eventually("a place is free", || node.status("/health/live") == Some(200));
}
