//! The proxy forwards, counts, cuts, freezes and refuses.

use antiphon_testkit::{Direction, FaultProxy, wait_until};
use std::io::{ErrorKind, Read, Write};
use std::net::{Ipv4Addr, SocketAddr, TcpListener, TcpStream};
use std::sync::mpsc;
use std::time::Duration;

const SOON: Duration = Duration::from_secs(10);

/// A server that echoes, and tells what each connection had said when it ended.
fn echo() -> (SocketAddr, mpsc::Receiver<Vec<u8>>) {
    let listener = TcpListener::bind((Ipv4Addr::LOCALHOST, 0)).expect("a port");
    let address = listener.local_addr().expect("an address");
    let (ended, all) = mpsc::channel();
    std::thread::spawn(move || {
        for mut link in listener.incoming().flatten() {
            let ended = ended.clone();
            std::thread::spawn(move || {
                let (mut said, mut buffer) = (Vec::new(), [0; 1024]);
                while let Ok(count @ 1..) = link.read(&mut buffer) {
                    said.extend_from_slice(&buffer[..count]);
                    if link.write_all(&buffer[..count]).is_err() {
                        break;
                    }
                }
                let _ = ended.send(said);
            });
        }
    });
    (address, all)
}

fn connect(proxy: &FaultProxy) -> TcpStream {
    let link = TcpStream::connect(proxy.address()).expect("connects");
    link.set_read_timeout(Some(SOON)).expect("a timeout");
    link
}

fn echoes(link: &mut TcpStream, text: &[u8]) -> bool {
    let mut answer = vec![0; text.len()];
    link.write_all(text).is_ok() && link.read_exact(&mut answer).is_ok() && answer == text
}

#[test]
fn bytes_pass_and_are_counted() {
    let (upstream, _) = echo();
    let proxy = FaultProxy::start(upstream).expect("starts");
    let mut link = connect(&proxy);
    assert!(echoes(&mut link, b"hello"));
    let counters = proxy.counters();
    assert_eq!((counters.accepted, counters.open, counters.up, counters.down), (1, 1, 5, 5));
    drop(link);
    wait_until(SOON, "the connection is over", || proxy.counters().open == 0);
}

#[test]
fn a_cut_resets_what_is_open_and_serves_what_is_new() {
    let (upstream, ended) = echo();
    let proxy = FaultProxy::start(upstream).expect("starts");
    let mut link = connect(&proxy);
    assert!(echoes(&mut link, b"before"));
    proxy.cut();
    assert_eq!(link.read(&mut [0; 1]).expect_err("a reset").kind(), ErrorKind::ConnectionReset);
    assert_eq!(ended.recv_timeout(SOON).expect("the server hears of it"), b"before");
    assert!(echoes(&mut connect(&proxy), b"after"));
}

#[test]
fn a_cut_after_five_bytes_lets_exactly_five_pass() {
    let (upstream, ended) = echo();
    let proxy = FaultProxy::start(upstream).expect("starts");
    let mut link = connect(&proxy);
    proxy.cut_after(Direction::Up, 5);
    link.write_all(b"hello world").expect("the kernel takes it");
    assert_eq!(ended.recv_timeout(SOON).expect("the server hears of it"), b"hello");
    assert!(echoes(&mut connect(&proxy), b"only one cut was ordered"));
}

#[test]
fn a_paused_proxy_keeps_connections_and_delivers_later() {
    let (upstream, _) = echo();
    let proxy = FaultProxy::start(upstream).expect("starts");
    let mut link = connect(&proxy);
    assert!(echoes(&mut link, b"before"));
    proxy.pause();
    link.write_all(b"during").expect("the kernel takes it");
    link.set_read_timeout(Some(Duration::from_millis(200))).expect("a timeout");
    assert!(link.read(&mut [0; 1]).is_err());
    link.set_read_timeout(Some(SOON)).expect("a timeout");
    proxy.resume();
    let mut answer = [0; 6];
    link.read_exact(&mut answer).expect("it arrives");
    assert_eq!(&answer, b"during");
}

#[test]
fn a_refusing_proxy_refuses_new_ones_alone() {
    let (upstream, _) = echo();
    let proxy = FaultProxy::start(upstream).expect("starts");
    let mut link = connect(&proxy);
    assert!(echoes(&mut link, b"before"));
    proxy.refuse();
    wait_until(SOON, "new connections are refused", || TcpStream::connect(proxy.address()).is_err());
    assert!(echoes(&mut link, b"still here"));
    proxy.resume();
    wait_until(SOON, "new connections are served", || {
        TcpStream::connect(proxy.address()).is_ok_and(|mut new| echoes(&mut new, b"hello"))
    });
}

#[tokio::test]
async fn a_proxy_starts_inside_a_runtime_too() {
    let (upstream, _) = echo();
    let proxy = FaultProxy::start(upstream).expect("starts");
    assert!(tokio::net::TcpStream::connect(proxy.address()).await.is_ok());
}

#[test]
fn a_url_is_rewritten_to_lead_through_the_proxy() {
    let (upstream, _) = echo();
    let proxy = FaultProxy::start(upstream).expect("starts");
    let at = proxy.address();
    assert_eq!(proxy.url_for("redis://:pw@127.0.0.1:6379"), format!("redis://:pw@{at}"));
    assert_eq!(proxy.url_for("postgres://u@127.0.0.1:5432/db"), format!("postgres://u@{at}/db"));
}
