//! A server that may open 200 files, and a thousand clients that want to be with it.

#![allow(clippy::unwrap_used)]

mod crowd;

use std::time::{Duration, Instant};

use antiphon_testkit::{postgres_or_skip, redis_or_skip, run_antiphon};
use crowd::{Ear, Server, listen_until};
use serde_json::{Value, json};

const FILES: u32 = 200;
const CLIENTS: usize = 1000;
const SILENT: usize = 200;
/// For how long the processor's time is looked at while the server is full.
const FULL: Duration = Duration::from_secs(3);
/// What it may use of one processor then, in a debug build: accepting is tried ten times a second, and a busy loop would
/// use it whole.
const SHARE_MAX: f64 = 0.5;

fn is_in(ear: &Ear) -> bool {
    ear.heard.iter().any(|text| text.contains("SUBSCRIPTION_SUCCESSFUL"))
}

/// How many are in, refused, ended without a word, and left where they wait.
fn counts(ears: &[Ear]) -> [usize; 4] {
    let taken = ears.iter().filter(|ear| is_in(ear)).count();
    let refused = ears.iter().filter(|ear| ear.answered == Some(503)).count();
    let ended = ears.iter().filter(|ear| ear.answered.is_none() && ear.is_over).count();
    [taken, refused, ended, ears.len() - taken - refused - ended]
}

/// Says it until it is accepted, and waits until the other has heard it.
fn is_heard(from: &mut Ear, text: &str, to: &mut Ear) {
    let said = json!({"type": "MESSAGE", "text": text, "key": text});
    crowd::wait("it is accepted", || {
        from.say(&said);
        let answer: Value = loop {
            from.listen();
            let is_answer = |text: &String| text.contains(r#""ACCEPTED""#) || text.contains(r#""ERROR""#);
            if let Some(at) = from.heard.iter().position(is_answer) {
                break serde_json::from_str(&from.heard.remove(at)).unwrap();
            }
            assert!(!from.is_over);
            std::thread::yield_now();
        };
        answer["type"] == "ACCEPTED"
    });
    crowd::wait("it is heard", || {
        to.listen();
        to.heard.iter().any(|heard| heard.contains(text))
    });
}

#[test]
fn a_thousand_clients_at_a_server_with_two_hundred_files_cost_those_that_are_too_many_and_nobody_else() {
    let test = "a_thousand_clients_at_a_server_with_two_hundred_files";
    let (Some(postgres), Some(redis)) = (postgres_or_skip(test), redis_or_skip(test)) else { return };
    let database = postgres.create_database();
    let url = database.url();
    assert!(run_antiphon(&["migrate", "--database", &url], &[]).unwrap().status.success());
    let key = crowd::key(&url);
    let args = ["--database", &url, "--redis", &redis.url()];
    let mut server = Server::start_with_files(FILES, "", &args);
    let other = Server::start("", &args);
    let subscribe = json!({"type": "SUBSCRIBE", "token": other.token(&key, "acme", "ann")});
    let [mut here, mut there] = [&server, &other].map(|server| Ear::connect(server.address()));
    for ear in [&mut here, &mut there] {
        ear.say(&subscribe);
        ear.wait_for("SUBSCRIPTION_SUCCESSFUL");
    }

    let mut ears: Vec<Ear> = (0..CLIENTS).map(|_| Ear::connect(server.address())).collect();
    for ear in &mut ears {
        ear.say(&subscribe);
    }
    // Whoever is too many is refused in words or left where it waits.
    listen_until(&mut ears, "it is full", |ears| {
        let [taken, refused, ended, waiting] = counts(ears);
        assert!(taken < FILES as usize && ended == 0, "{:?}", counts(ears));
        taken >= 100 && refused + waiting == CLIENTS - taken
    });
    // Those that say nothing hold whatever place is left, for a time; behind them others wait.
    let silent: Vec<Ear> = (0..SILENT).map(|_| Ear::silent(server.address()).unwrap()).collect();
    let (began, used) = (Instant::now(), server.processor_time());
    crowd::wait("time has passed", || began.elapsed() >= FULL);
    let share = (server.processor_time() - used).as_secs_f64() / began.elapsed().as_secs_f64();
    ears.iter_mut().for_each(Ear::listen);
    println!("in, refused, ended, waiting: {:?}; {share:.2} of a processor", counts(&ears));
    assert!(share < SHARE_MAX, "{share}");

    // Its own connections go on, and come back when they are lost.
    is_heard(&mut here, "from the full one", &mut there);
    is_heard(&mut there, "to the full one", &mut here);
    let log = server.process.log().text();
    assert!(!log.contains("the database is away"), "{log}");
    assert!(log.matches("can't be accepted").count() <= 3, "{log}");
    let others = "datname = current_database() and pid <> pg_backend_pid()";
    database.sql(&format!("select pg_terminate_backend(pid) from pg_stat_activity where {others}"));
    redis.cli(&["CLIENT", "KILL", "TYPE", "pubsub"]);
    redis.cli(&["CLIENT", "KILL", "TYPE", "normal"]);
    is_heard(&mut here, "from the full one again", &mut there);
    is_heard(&mut there, "to the full one again", &mut here);
    drop(silent);
    crowd::wait("Redis is there again", || server.figure("broker_up") == 1);
    let log = server.process.log().text();
    assert!(!log.contains("Too many open files"), "{log}");

    // Those that were in leave, and one that waited or one that comes gets in.
    ears.retain(|ear| !is_in(ear));
    let mut late = Ear::connect(server.address());
    crowd::wait("another one gets in", || {
        late.listen();
        if late.answered == Some(503) || late.is_over {
            late = Ear::connect(server.address());
        }
        ears.iter_mut().for_each(Ear::listen);
        late.answered == Some(101) || ears.iter().any(is_in)
    });
    drop((ears, late));
    crowd::wait("only one is left", || server.figure("connections") == 1);
    let mut late = Ear::connect(server.address());
    late.say(&subscribe);
    late.wait_for("SUBSCRIPTION_SUCCESSFUL");
    assert_eq!(server.process.exited(), None);
    is_heard(&mut there, "to the empty one", &mut late);
}
