//! Thousands who come and say nothing, or not who they are: others get in, and nothing of them stays.

#![allow(clippy::unwrap_used)]

mod crowd;

use std::time::{Duration, Instant};

use crowd::{Ear, Server, jwt};
use serde_json::json;

const SILENT: usize = 3000;
const TOKENLESS: usize = 3000;
const ROUNDS: usize = 4;
const HANDSHAKE: Duration = Duration::from_secs(3);
const FIRST_TOKEN: Duration = Duration::from_secs(4);
/// How much later than their time the last ones may be gone, with thousands at once on a busy machine.
const GRACE: Duration = Duration::from_secs(4);
/// What an allocator may keep of two rounds once two have taken what they need.
const KEPT_KIB: u64 = 6 * 1024;
const CONFIG: &str = "[limits]\nhandshake_timeout = '3s'\nfirst_token_timeout = '4s'\n";

#[test]
fn six_thousand_half_open_sockets_keep_nobody_out_and_are_gone_in_time() {
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
        println!("silent ones gone after {last_silent:?}, tokenless ones after {last_tokenless:?}");
        assert!(last_silent < HANDSHAKE + GRACE && last_tokenless < FIRST_TOKEN + GRACE);
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
    assert!(slowest < Duration::from_secs(5), "{slowest:?}");
    assert!(resident[ROUNDS - 1] <= resident[1] + KEPT_KIB, "{resident:?}");
}
