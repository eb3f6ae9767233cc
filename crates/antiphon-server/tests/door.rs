//! What strangers may do to the door: be slow, be huge, be many.

mod support;

use std::{
    io::{Read, Write},
    net::TcpStream,
    time::{Duration, Instant},
};

use support::{
    node::{Node, PATIENCE, exchange},
    tls::Certificate,
};

const QUICK: &str = "[limits]\nhandshake_timeout = '400ms'\n";

#[test]
fn a_client_that_says_nothing_is_let_go_after_the_handshake_timeout() {
    let node = Node::serve_with(QUICK, &[]);
    let (began, mut silent) = (Instant::now(), node.connect());
    assert_eq!(silent.read(&mut [0; 1]).unwrap_or(0), 0);
    assert!(began.elapsed().as_millis() >= 300 && began.elapsed() < PATIENCE);
}

#[test]
fn a_client_that_sends_its_head_byte_by_byte_is_let_go_too() {
    let node = Node::serve_with(QUICK, &[]);
    let mut slow = node.connect();
    slow.write_all(b"GET / HTTP/1.1\r\n").unwrap();
    // Looking for an answer is what makes this client slow.
    slow.set_read_timeout(Some(Duration::from_millis(50))).unwrap();
    let is_let_go = (0..400).any(|_| {
        let nothing_yet = |error: &std::io::Error| {
            matches!(error.kind(), std::io::ErrorKind::WouldBlock | std::io::ErrorKind::TimedOut)
        };
        slow.write_all(b"a").is_err() || !slow.read(&mut [0; 1]).is_err_and(|error| nothing_yet(&error))
    });
    assert!(is_let_go);
}

#[test]
fn a_huge_head_and_too_many_headers_are_refused_without_being_kept() {
    let node = Node::serve(&[]);
    let huge = format!("GET / HTTP/1.1\r\nhost: a\r\nx: {}\r\n\r\n", "x".repeat(64 * 1024 * 1024));
    let answer = exchange(node.connect(), &huge);
    assert!(answer.is_empty() || answer.starts_with("HTTP/1.1 431"), "{answer}");
    let many: String = (0..100).map(|n| format!("x-{n}: y\r\n")).collect();
    let answer = exchange(node.connect(), &format!("GET / HTTP/1.1\r\nhost: a\r\n{many}\r\n"));
    assert!(answer.starts_with("HTTP/1.1 431"), "{answer}");
    assert_eq!(node.status("/health/live"), Some(200));
}

#[test]
fn what_is_half_open_is_bounded_and_goes_away() {
    let node = Node::serve_with("[limits]\nhandshake_timeout = '1s'\nhalf_open = 20\n", &[]);
    let crowd: Vec<TcpStream> = (0..60).map(|_| node.connect()).collect();
    let began = Instant::now();
    let gone_at_once = crowd
        .into_iter()
        .map(|mut socket| socket.read(&mut [0; 1]).map_or(true, |read| read == 0))
        .filter(|gone| *gone)
        .count();
    assert_eq!(gone_at_once, 60);
    assert!(began.elapsed().as_millis() >= 500);
    assert_eq!(node.status("/health/live"), Some(200));
}

#[test]
fn running_out_of_files_is_survived_and_logged_once() {
    let node = Node::serve_with_files(64, "[limits]\nhandshake_timeout = '1s'\n");
    let crowd: Vec<TcpStream> = (0..200).filter_map(|_| TcpStream::connect(node.address).ok()).collect();
    node.logged("can't be accepted");
    drop(crowd);
    let line = node.logged("connections are ");
    assert!(line.contains("accepted again"), "{line}");
    assert_eq!(node.status("/health/live"), Some(200));
}

#[test]
fn tls_is_spoken_where_a_certificate_is_configured_and_nothing_else() {
    let certificate = Certificate::new();
    let node = Node::serve(&certificate.flags());
    assert_eq!(node.first_line, format!("listening on https://{}\n", node.address));
    let answer = through_tls(&node, &certificate);
    assert!(answer.starts_with("HTTP/1.1 200"), "{answer}");
    assert!(!node.get("/health/live").starts_with("HTTP/1.1 200"));
}

#[test]
fn a_renewed_certificate_is_in_use_after_sighup_without_a_restart() {
    let mut certificate = Certificate::new();
    let node = Node::serve(&certificate.flags());
    assert!(through_tls(&node, &certificate).starts_with("HTTP/1.1 200"));
    certificate.renew();
    // Its client trusts the new certificate alone.
    assert_eq!(through_tls(&node, &certificate), "");
    node.signal("HUP");
    node.logged("the new certificate is in use");
    assert!(through_tls(&node, &certificate).starts_with("HTTP/1.1 200"));
    node.signal("HUP");
    node.logged("the certificate is still the same");
}

/// The answer to a GET of the readiness; empty if there is no TLS with this certificate.
fn through_tls(node: &Node, certificate: &Certificate) -> String {
    let name = "localhost".try_into().expect("it is a name");
    let session = rustls::ClientConnection::new(certificate.client(), name).expect("it has a provider");
    let stream = rustls::StreamOwned::new(session, node.connect());
    exchange(stream, "GET /health/ready HTTP/1.1\r\nhost: a\r\nconnection: close\r\n\r\n")
}
