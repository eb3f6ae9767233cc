//! Each server starts, answers, is frozen, killed and restarted, and leaves nothing behind.

use antiphon_testkit::{
    Haproxy, PostgresOptions, Redis, RedisOptions, RedisTls, or_skip, postgres_or_skip, redis_or_skip,
    shared_postgres, shared_redis, skipped, small_disk_or_skip, unique, wait_until,
};
use std::io::{Read, Write};
use std::net::{Ipv4Addr, SocketAddr, TcpListener, TcpStream};
use std::path::Path;
use std::process::Command;
use std::sync::mpsc;
use std::time::Duration;

const SOON: Duration = Duration::from_secs(10);

fn runs(pid: u32) -> bool {
    Path::new(&format!("/proc/{pid}")).exists()
}

#[test]
fn a_dropped_redis_is_gone() {
    let Some(redis) = redis_or_skip("a_dropped_redis_is_gone") else { return };
    let pid = redis.pid();
    assert_eq!(redis.cli(&["PING"]), "PONG");
    drop(redis);
    assert!(!runs(pid));
}

#[test]
fn a_killed_redis_comes_back_empty_on_its_port() {
    let Some(mut redis) = redis_or_skip("a_killed_redis_comes_back_empty_on_its_port") else { return };
    let url = redis.url();
    assert_eq!(redis.cli(&["SET", "key", "value"]), "OK");
    redis.kill9();
    assert!(TcpStream::connect((Ipv4Addr::LOCALHOST, redis.port())).is_err());
    redis.restart().expect("restarts");
    assert_eq!(redis.url(), url);
    assert_eq!(redis.cli(&["EXISTS", "key"]), "0");
}

#[test]
fn a_frozen_redis_answers_only_after_it_goes_on() {
    let Some(mut redis) = redis_or_skip("a_frozen_redis_answers_only_after_it_goes_on") else { return };
    redis.stop();
    let mut link = TcpStream::connect((Ipv4Addr::LOCALHOST, redis.port())).expect("the kernel accepts");
    link.write_all(b"PING\r\n").expect("the kernel takes it");
    link.set_read_timeout(Some(Duration::from_millis(200))).expect("a timeout");
    assert!(link.read(&mut [0; 16]).is_err());
    redis.cont();
    link.set_read_timeout(Some(SOON)).expect("a timeout");
    let mut answer = [0; 7];
    link.read_exact(&mut answer).expect("it answers");
    assert_eq!(&answer, b"+PONG\r\n");
}

#[test]
fn a_redis_with_a_password_tells_nothing_without_it() {
    let options = RedisOptions { password: Some("secret".into()), ..RedisOptions::default() };
    let test = "a_redis_with_a_password_tells_nothing_without_it";
    let Some(redis) = or_skip(test, Redis::start_with(options)) else { return };
    assert_eq!(redis.cli(&["PING"]), "PONG");
    assert_eq!(redis.url(), format!("redis://:secret@127.0.0.1:{}", redis.port()));
    let mut link = TcpStream::connect((Ipv4Addr::LOCALHOST, redis.port())).expect("connects");
    link.write_all(b"PING\r\n").expect("writes");
    let mut answer = [0; 7];
    link.read_exact(&mut answer).expect("it answers");
    assert_eq!(&answer, b"-NOAUTH");
}

#[test]
fn a_redis_with_tls_speaks_tls_alone() {
    let test = "a_redis_with_tls_speaks_tls_alone";
    let folder = tempfile::tempdir().expect("a folder");
    let (cert, key) = (folder.path().join("cert.pem"), folder.path().join("key.pem"));
    let made = Command::new("openssl")
        .args(["req", "-x509", "-newkey", "rsa:2048", "-nodes", "-subj", "/CN=localhost", "-days", "1"])
        .args(["-addext", "subjectAltName=IP:127.0.0.1", "-out"])
        .arg(&cert)
        .arg("-keyout")
        .arg(&key)
        .output();
    if !made.is_ok_and(|output| output.status.success()) {
        return skipped(test, "openssl is not installed");
    }
    let tls = Some(RedisTls { ca: cert.clone(), cert, key });
    let Some(redis) = or_skip(test, Redis::start_with(RedisOptions { tls, ..RedisOptions::default() }))
    else {
        return;
    };
    assert_eq!(redis.cli(&["PING"]), "PONG");
    assert!(redis.url().starts_with("rediss://127.0.0.1:"));
    let mut link = TcpStream::connect((Ipv4Addr::LOCALHOST, redis.port())).expect("connects");
    link.write_all(b"PING\r\n").expect("writes");
    let mut answer = Vec::new();
    let _ = link.read_to_end(&mut answer);
    assert!(!answer.starts_with(b"+PONG"));
}

#[test]
fn a_frozen_postgres_answers_only_after_it_goes_on() {
    let test = "a_frozen_postgres_answers_only_after_it_goes_on";
    let Some(mut postgres) = postgres_or_skip(test) else { return };
    let database = postgres.create_database();
    postgres.stop();
    let (answered, answer) = mpsc::channel();
    std::thread::spawn(move || answered.send(database.sql("select 1")));
    assert!(answer.recv_timeout(Duration::from_millis(300)).is_err());
    postgres.cont();
    assert_eq!(answer.recv_timeout(SOON).expect("it answers"), "1");
}

#[test]
fn a_crashed_postgres_keeps_what_was_committed() {
    let Some(mut postgres) = postgres_or_skip("a_crashed_postgres_keeps_what_was_committed") else { return };
    let database = postgres.create_database();
    database.sql("create table kept (id int); insert into kept values (7)");
    let pid = postgres.pid();
    postgres.kill9();
    assert!(!runs(pid));
    postgres.restart().expect("recovers");
    assert_eq!(database.sql("select id from kept"), "7");
    let pid = postgres.pid();
    drop(postgres);
    assert!(!runs(pid));
}

#[test]
fn a_postgres_with_a_password_takes_its_own_url() {
    let options = PostgresOptions { password: Some("secret".into()), durable: true, ..Default::default() };
    let test = "a_postgres_with_a_password_takes_its_own_url";
    let Some(mut postgres) = or_skip(test, antiphon_testkit::Postgres::start_with(options)) else { return };
    let database = postgres.create_database();
    assert_eq!(database.sql("show fsync"), "on");
    assert!(postgres.shut_down(SOON).is_some_and(|status| status.success()));
}

#[test]
fn databases_of_the_shared_postgres_are_strangers() {
    let test = "databases_of_the_shared_postgres_are_strangers";
    let (Some(one), Some(other)) = (shared_postgres(test), shared_postgres(test)) else { return };
    one.sql("create table mine (id int)");
    assert_ne!(one.url(), other.url());
    assert_eq!(other.sql("select count(*) from pg_tables where tablename = 'mine'"), "0");
}

#[test]
fn the_shared_redis_is_one_for_all() {
    let test = "the_shared_redis_is_one_for_all";
    let (Some(one), Some(other)) = (shared_redis(test), shared_redis(test)) else { return };
    let key = unique("key");
    one.cli(&["SET", &key, "value"]);
    assert_eq!(other.cli(&["GET", &key]), "value");
}

#[test]
fn haproxy_balances_over_the_nodes_that_are_ready() {
    let node = TcpListener::bind((Ipv4Addr::LOCALHOST, 0)).expect("a port");
    let address = node.local_addr().expect("an address");
    std::thread::spawn(move || {
        for mut link in node.incoming().flatten() {
            let _ = link.read(&mut [0; 1024]);
            let _ = link.write_all(b"HTTP/1.1 200 OK\r\ncontent-length: 4\r\nconnection: close\r\n\r\nhere");
        }
    });
    let nobody = SocketAddr::from((Ipv4Addr::LOCALHOST, antiphon_testkit::free_port()));
    let test = "haproxy_balances_over_the_nodes_that_are_ready";
    let Some(mut haproxy) = or_skip(test, Haproxy::in_front_of(&[nobody, address])) else { return };
    let ask = |port| {
        let mut answer = String::new();
        let mut link = TcpStream::connect((Ipv4Addr::LOCALHOST, port)).ok()?;
        link.write_all(b"GET / HTTP/1.1\r\nhost: nodes\r\nconnection: close\r\n\r\n").ok()?;
        link.read_to_string(&mut answer).ok()?;
        Some(answer)
    };
    let port = haproxy.port();
    wait_until(SOON, "the node answers through haproxy", || {
        ask(port).is_some_and(|text| text.ends_with("here"))
    });
    haproxy.restart().expect("restarts on its port");
    wait_until(SOON, "it answers again", || ask(port).is_some_and(|text| text.ends_with("here")));
}

#[test]
fn a_small_disk_is_full_until_it_is_freed_and_gone_when_it_is_dropped() {
    let Some(disk) = small_disk_or_skip("a_small_disk", 1) else { return };
    let (folder, file) = (disk.path().to_owned(), disk.path().join("file"));
    disk.fill();
    let full = std::fs::write(&file, [0; 4096]).expect_err("nothing fits");
    assert_eq!(full.kind(), std::io::ErrorKind::StorageFull);
    disk.free();
    std::fs::write(&file, [0; 4096]).expect("it fits");
    drop(disk);
    assert!(!folder.exists());
}
