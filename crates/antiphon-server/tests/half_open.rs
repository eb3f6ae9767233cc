//! Thousands who come and say nothing, or not who they are: others get in, and nothing of them stays.

#![allow(clippy::unwrap_used)]

mod crowd;

use std::{
    io::{Read, Write},
    net::{SocketAddr, TcpStream},
    sync::{
        Mutex, PoisonError,
        atomic::{AtomicBool, Ordering},
    },
    time::{Duration, Instant},
};

use crowd::{Ear, PATIENCE, Server, frame_of, jwt};
use serde_json::json;

/// One crowd at a time: what they see of the clock is of one server.
static ALONE: Mutex<()> = Mutex::new(());

const SILENT: usize = 3000;
const TOKENLESS: usize = 3000;
const ROUNDS: usize = 4;
/// Clients that come in while thousands are half open.
const GOOD: usize = 100;
/// What an allocator may keep of two rounds once two have taken what they need.
const KEPT_KIB: u64 = 6 * 1024;
/// Nothing else ends one who says nothing as long as anybody waits here. How late the last is gone is the long form's figure.
const CONFIG: &str = "[limits]\nhandshake_timeout = '3s'\nfirst_token_timeout = '4s'\n\
                      keep_alive = '1h'\nprogress_timeout = '1h'\n";

#[test]
fn six_thousand_half_open_sockets_keep_nobody_out_and_are_gone_in_time() {
    let _alone = ALONE.lock().unwrap_or_else(PoisonError::into_inner);
    let server = Server::start(CONFIG, &[]);
    let token = jwt("acme", "ann");
    let mut slowest = Duration::ZERO;
    let mut resident = Vec::new();
    let sockets = server.sockets();
    for _ in 0..ROUNDS {
        let silent: Vec<Ear> = (0..SILENT).map(|_| Ear::silent(server.address()).unwrap()).collect();
        let silent_since = Instant::now();
        let mut tokenless: Vec<Ear> = (0..TOKENLESS).map(|_| Ear::connect(server.address())).collect();
        let tokenless_since = Instant::now();
        // Meanwhile others come, say who they are, and are served.
        for number in 0..20 {
            let began = Instant::now();
            let mut good = Ear::connect(server.address());
            good.say(&json!({"type": "SUBSCRIBE", "token": token}));
            good.wait_for("SUBSCRIPTION_SUCCESSFUL");
            good.say(&json!({"type": "MESSAGE", "text": number.to_string()}));
            good.wait_for("ACCEPTED");
            slowest = slowest.max(began.elapsed());
        }
        let others_took = tokenless_since.elapsed();
        let mut silent = silent;
        let (mut last_silent, mut last_tokenless) = (None, None);
        crowd::wait("all half-open ones are gone", || {
            silent.iter_mut().chain(&mut tokenless).for_each(Ear::listen);
            if last_silent.is_none() && silent.iter().all(|ear| ear.is_over) {
                last_silent = Some(silent_since.elapsed());
            }
            if last_tokenless.is_none() && tokenless.iter().all(|ear| ear.closed.is_some()) {
                last_tokenless = Some(tokenless_since.elapsed());
            }
            last_silent.is_some() && last_tokenless.is_some()
        });
        let (last_silent, last_tokenless) = (last_silent.unwrap(), last_tokenless.unwrap());
        println!(
            "silent ones seen gone after {last_silent:?}, tokenless ones after {last_tokenless:?}; others {others_took:?}"
        );
        for ear in &tokenless {
            assert!(ear.heard.iter().any(|text| text.contains("NO_TOKEN_PROVIDED")), "{:?}", ear.heard);
            assert_eq!(ear.closed, Some(4401));
        }
        drop((silent, tokenless));
        crowd::wait("no connection is left", || server.figure("connections") == 0);
        crowd::wait("no socket is left", || server.sockets() <= sockets);
        resident.push(server.resident_kib());
    }
    println!("resident after each round: {resident:?} KiB; the slowest of the others took {slowest:?}");
    assert!(resident[ROUNDS - 1] <= resident[1] + KEPT_KIB, "{resident:?}");
}

/// What good clients and half-open ones met.
struct Seen {
    /// A good client's whole way, from the connect to the answer of its SUBSCRIBE; in order.
    ways: Vec<Duration>,
    /// The longest that a half-open one was there.
    longest: Duration,
}

impl Seen {
    fn share(&self, percent: usize) -> Duration {
        self.ways[(self.ways.len() - 1) * percent / 100]
    }
}

/// Connects, upgrades, says who it is, and waits for the answer.
fn comes_in(address: SocketAddr, token: &str) {
    let mut socket = TcpStream::connect(address).unwrap();
    socket.set_nodelay(true).unwrap();
    socket.set_read_timeout(Some(PATIENCE)).unwrap();
    socket
        .write_all(
            b"GET /ws HTTP/1.1\r\nhost: a\r\nconnection: upgrade\r\nupgrade: websocket\r\n\
              sec-websocket-version: 13\r\nsec-websocket-key: AAAAAAAAAAAAAAAAAAAAAA==\r\n\r\n",
        )
        .unwrap();
    let mut wait = |word: &[u8]| {
        let mut got = Vec::new();
        while !got.windows(word.len()).any(|part| part == word) {
            let mut chunk = [0; 4096];
            let read = socket.read(&mut chunk).unwrap();
            assert!(read > 0, "ended after {:?}", String::from_utf8_lossy(&got));
            got.extend_from_slice(&chunk[..read]);
        }
        socket.try_clone().unwrap()
    };
    let subscribe = json!({"type": "SUBSCRIBE", "token": token}).to_string();
    wait(b"\r\n\r\n").write_all(&frame_of(1, subscribe.as_bytes())).unwrap();
    wait(b"SUBSCRIPTION_SUCCESSFUL");
}

/// A connection from one of some addresses of the loopback: one alone runs out of ports that are found quickly.
fn from_somewhere(number: usize, to: SocketAddr) -> TcpStream {
    let socket = socket2::Socket::new(socket2::Domain::IPV4, socket2::Type::STREAM, None).unwrap();
    let from = SocketAddr::from(([127, 0, 0, 2 + u8::try_from(number % 6).unwrap()], 0));
    socket.bind(&from.into()).unwrap();
    socket.connect(&to.into()).unwrap();
    socket.into()
}

/// So many open a connection and say nothing, or half a head.
fn half_open(count: usize, address: SocketAddr) -> Vec<(Instant, TcpStream)> {
    let open = |number: usize| {
        let mut socket = from_somewhere(number, address);
        let since = Instant::now();
        if number.is_multiple_of(2) {
            socket.write_all(b"GET /ws HTTP/1.1\r\nhost: a\r\nconnec").unwrap();
        }
        socket.set_read_timeout(Some(PATIENCE)).unwrap();
        (since, socket)
    };
    (0..count).map(open).collect()
}

/// So many are half open at once; meanwhile good clients come one after the other.
fn besieged_by(count: usize) -> Seen {
    let _alone = ALONE.lock().unwrap_or_else(PoisonError::into_inner);
    // One process holds the server's files, another the clients': each has a limit of its own.
    let server = Server::start("", &[]);
    let (address, token) = (server.address(), jwt("acme", "ann"));
    comes_in(address, &token);
    let is_over = AtomicBool::new(false);
    std::thread::scope(|scope| {
        let sockets = half_open(count, address);
        println!("{count} opened in {:?}", sockets[0].0.elapsed());
        crowd::wait("all are half open at once", || server.sockets() >= count);
        let good = scope.spawn(|| {
            let mut ways = Vec::new();
            while !is_over.load(Ordering::Relaxed) {
                let began = Instant::now();
                comes_in(address, &token);
                ways.push(began.elapsed());
            }
            ways
        });
        // The oldest ends first, so that whoever waits for them in their order sees each when it ends.
        let mut longest = Duration::ZERO;
        for (number, (since, mut socket)) in sockets.into_iter().enumerate() {
            while socket.read(&mut [0; 256]).is_ok_and(|read| read > 0) {}
            longest = longest.max(since.elapsed());
            if number == 0 {
                // From now on there are fewer of them.
                is_over.store(true, Ordering::Relaxed);
            }
        }
        is_over.store(true, Ordering::Relaxed);
        let mut ways = good.join().unwrap();
        ways.sort_unstable();
        let seen = Seen { ways, longest };
        let (half, most) = (seen.share(50), seen.share(99));
        println!(
            "{count} half open: {} came in, p50 {half:?}, p99 {most:?}; the last was gone after {longest:?}",
            seen.ways.len()
        );
        crowd::wait("no connection is left", || server.figure("connections") == 0);
        seen
    })
}

#[test]
fn a_good_client_gets_in_while_thousands_are_half_open() {
    const HALF_OPEN: usize = 2500;
    let _alone = ALONE.lock().unwrap_or_else(PoisonError::into_inner);
    // None of them gives up its place by itself.
    let server = Server::start("[limits]\nhandshake_timeout = '1h'\n", &[]);
    let (address, token) = (server.address(), jwt("acme", "ann"));
    let sockets = half_open(HALF_OPEN, address);
    crowd::wait("all are half open at once", || server.sockets() >= HALF_OPEN);
    for _ in 0..GOOD {
        comes_in(address, &token);
    }
    assert!(server.sockets() >= HALF_OPEN, "they are all there still");
    drop(sockets);
    crowd::wait("no connection is left", || server.figure("connections") == 0);
}

/// The figure of docs/operations/security.md; for a machine with nothing else to do.
#[test]
#[ignore = "takes 20,000 files in each of two processes, and bounds time"]
fn fifteen_thousand_half_open_sockets_keep_a_good_client_waiting_for_half_a_second_at_most() {
    let seen = besieged_by(15_000);
    assert!(seen.share(99) <= Duration::from_millis(500) && seen.longest <= Duration::from_secs(6));
}
