//! HTTP connections that nobody uses: where there is no place or no file left, the oldest of them gives way.

#![allow(clippy::unwrap_used)]

mod crowd;
mod support;

use std::{
    io::{Read, Write},
    net::{SocketAddr, TcpStream},
    time::{Duration, Instant},
};

use crowd::{Ear, PATIENCE, Server, jwt};
use serde_json::json;
use support::tls::Certificate;

/// In which a newcomer must be in: far more than it takes, and far less than an idle connection may stay.
const SOON: Duration = Duration::from_secs(5);
const FILES: u32 = 200;

/// Idle connections, each after one good answer; it ends where the server takes no more.
fn fill(address: SocketAddr, most: usize) -> Vec<TcpStream> {
    let ask = |_| {
        let mut socket = TcpStream::connect(address).ok()?;
        socket.set_read_timeout(Some(Duration::from_secs(2))).ok()?;
        socket.write_all(b"GET /health/live HTTP/1.1\r\nhost: a\r\n\r\n").ok()?;
        let read = socket.read(&mut [0; 1024]).ok()?;
        (read > 0).then_some(socket)
    };
    (0..most).map_while(ask).collect()
}

fn is_open(socket: &TcpStream) -> bool {
    socket.set_nonblocking(true).unwrap();
    let read = socket.peek(&mut [0; 1]);
    socket.set_nonblocking(false).unwrap();
    read.is_err_and(|error| error.kind() == std::io::ErrorKind::WouldBlock)
}

/// Someone who comes, says who it is, and is served.
fn comes_in(server: &Server) -> Ear {
    let began = Instant::now();
    let mut good = Ear::connect(server.address());
    good.say(&json!({"type": "SUBSCRIBE", "token": jwt("acme", "ann")}));
    good.wait_for("SUBSCRIPTION_SUCCESSFUL");
    println!("in after {:?}", began.elapsed());
    assert!(began.elapsed() < SOON, "{:?}", began.elapsed());
    good
}

fn operator_sees(server: &Server) {
    let began = Instant::now();
    assert!(server.operations("/health/ready").starts_with("HTTP/1.1 200"));
    assert!(server.figure("connections") < 1000);
    assert!(began.elapsed() < SOON, "{:?}", began.elapsed());
}

/// A publish whose body has not come whole.
fn active(server: &Server) -> TcpStream {
    let mut socket = TcpStream::connect(server.address()).unwrap();
    socket.set_read_timeout(Some(PATIENCE)).unwrap();
    let (path, token) = ("/api/v1/tenants/acme/topics/news/entries", jwt("acme", "ann"));
    let length = r#"{"text":"hello"}"#.len();
    let head = format!(
        "POST {path} HTTP/1.1\r\nhost: a\r\nauthorization: Bearer {token}\r\ncontent-length: {length}\r\n\r\n{{"
    );
    socket.write_all(head.as_bytes()).unwrap();
    socket
}

fn is_answered(mut socket: TcpStream) {
    socket.write_all(br#""text":"hello"}"#).unwrap();
    let mut answer = [0; 1024];
    let read = socket.read(&mut answer).unwrap();
    let answer = String::from_utf8_lossy(&answer[..read]);
    assert!(answer.starts_with("HTTP/1.1 201"), "{answer}");
}

#[test]
fn idle_connections_that_hold_all_files_give_way_and_operators_always_find_one() {
    let server = Server::start_with_files(FILES, "", &[]);
    comes_in(&server);
    let request = active(&server);
    let idle = fill(server.address(), 300);
    // Whoever comes later gets in, and of those that were there it is the oldest that went.
    assert_eq!(idle.len(), 300);
    assert!(!is_open(&idle[0]) && is_open(&idle[299]));
    operator_sees(&server);
    let good: Vec<Ear> = (0..40).map(|_| comes_in(&server)).collect();
    is_answered(request);
    drop(good);
    let log = server.process.log().text();
    assert!(!log.contains("can't be accepted"), "{log}");
}

#[test]
fn operators_find_a_file_while_sockets_and_those_that_say_nothing_hold_all_that_clients_may_have() {
    let server = Server::start_with_files(FILES, "", &[]);
    let mut ears: Vec<Ear> = (0..300).map(|_| Ear::connect(server.address())).collect();
    server.process.wait_for_line(PATIENCE, "can't be accepted");
    for _ in 0..20 {
        operator_sees(&server);
    }
    ears.iter_mut().for_each(Ear::listen);
    assert!(ears.iter().any(|ear| ear.answered.is_none() && !ear.is_over), "some still wait");
}

#[test]
fn idle_connections_that_hold_all_places_give_way_but_neither_a_request_nor_a_half_open_one_does() {
    let server = Server::start("[limits]\nhalf_open = 30\nhandshake_timeout = '30s'\n", &[]);
    comes_in(&server);
    let (request, silent) = (active(&server), Ear::silent(server.address()).unwrap());
    let idle = fill(server.address(), 60);
    assert_eq!(idle.len(), 60);
    comes_in(&server);
    assert_eq!(idle.iter().filter(|socket| is_open(socket)).count(), 27, "one place was for the last");
    assert!(is_open(&silent.socket));
    is_answered(request);
}

#[test]
fn a_second_request_that_comes_byte_by_byte_is_idle_too() {
    let server = Server::start("[limits]\nhalf_open = 10\n", &[]);
    let mut slow = fill(server.address(), 10);
    for socket in &mut slow {
        socket.write_all(b"GET / HTTP/1.1\r\nhost:").unwrap();
    }
    comes_in(&server);
    crowd::wait("the oldest is gone", || !is_open(&slow[0]));
    assert!(slow[1..].iter().all(is_open));
}

#[test]
fn idle_connections_through_tls_give_way_over_http_1_and_over_http_2() {
    let certificate = Certificate::new();
    for protocol in ["http/1.1", "h2"] {
        let server = Server::start_with_files(FILES, "", &certificate.flags());
        let mut client = std::sync::Arc::unwrap_or_clone(certificate.client());
        client.alpn_protocols = vec![protocol.as_bytes().to_vec()];
        let client = std::sync::Arc::new(client);
        let ask = |_| {
            let socket = TcpStream::connect(server.address()).unwrap();
            socket.set_read_timeout(Some(SOON)).unwrap();
            let name = "localhost".try_into().unwrap();
            let session = rustls::ClientConnection::new(client.clone(), name).unwrap();
            let mut stream = rustls::StreamOwned::new(session, socket);
            stream.write_all(if protocol == "h2" { H2_REQUEST } else { H1_REQUEST }).unwrap();
            let mut got = Vec::new();
            let is_answer = |got: &[u8]| got.windows(11).any(|part| part == br#"{"live":tru"#);
            while !is_answer(&got) {
                let mut chunk = [0; 1024];
                let read = stream.read(&mut chunk).expect("an answer comes soon");
                assert!(read > 0, "{protocol}: ended after {}", String::from_utf8_lossy(&got));
                got.extend_from_slice(&chunk[..read]);
            }
            stream
        };
        let idle: Vec<_> = (0..300).map(ask).collect();
        assert!(is_open(&idle[299].sock));
        operator_sees(&server);
        if protocol == "http/1.1" {
            // A socket through TLS takes three files: idle ones give way for those too.
            let mut sockets = idle;
            let newest = sockets.split_off(260);
            for mut stream in newest {
                stream.write_all(UPGRADE).unwrap();
                let mut head = [0; 12];
                stream.read_exact(&mut head).unwrap();
                assert_eq!(String::from_utf8_lossy(&head), "HTTP/1.1 101");
                sockets.push(stream);
            }
            operator_sees(&server);
            assert!(server.sockets() < FILES as usize);
        }
        let log = server.process.log().text();
        assert!(!log.contains("can't be accepted"), "{log}");
    }
}

const H1_REQUEST: &[u8] = b"GET /health/live HTTP/1.1\r\nhost: a\r\n\r\n";
const UPGRADE: &[u8] = b"GET /ws HTTP/1.1\r\nhost: a\r\nconnection: upgrade\r\nupgrade: websocket\r\n\
    sec-websocket-version: 13\r\nsec-websocket-key: AAAAAAAAAAAAAAAAAAAAAA==\r\n\r\n";
/// The preface, empty SETTINGS, and HEADERS of a GET of /health/live at `a` (literals without Huffman's code).
const H2_REQUEST: &[u8] = b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n\
    \x00\x00\x00\x04\x00\x00\x00\x00\x00\
    \x00\x00\x13\x01\x05\x00\x00\x00\x01\
    \x82\x87\x04\x0c/health/live\x01\x01a";
