//! Passwords and TLS: what is refused is said, and never with the password.

#![allow(missing_docs, clippy::unwrap_used)]

mod support;

use std::{
    io::Write,
    path::Path,
    sync::{Arc, OnceLock},
};

use antiphon_redis::{RedisBroker, RedisError, RedisOptions};
use antiphon_testkit::{Redis, RedisCluster, RedisTls, or_skip, redis_or_skip, wait_until};
use parking_lot::Mutex;
use support::{PATIENCE, channel, node, node_with};

#[derive(Clone, Default)]
struct Log(Arc<Mutex<Vec<u8>>>);

impl Write for Log {
    fn write(&mut self, bytes: &[u8]) -> std::io::Result<usize> {
        self.0.lock().extend_from_slice(bytes);
        Ok(bytes.len())
    }
    fn flush(&mut self) -> std::io::Result<()> {
        Ok(())
    }
}

impl Log {
    fn text(&self) -> String {
        String::from_utf8_lossy(&self.0.lock()).into_owned()
    }
}

/// All that any crate of this process logs, at any level.
fn log() -> Log {
    static LOG: OnceLock<Log> = OnceLock::new();
    let made = LOG.get_or_init(|| {
        let log = Log::default();
        let to = log.clone();
        let lines = tracing_subscriber::fmt().with_ansi(false).with_max_level(tracing::Level::TRACE);
        lines.with_writer(move || to.clone()).init();
        log
    });
    made.clone()
}

#[tokio::test(flavor = "multi_thread")]
async fn a_wrong_password_is_told_without_it_and_tried_again() {
    let log = log();
    let Some(redis) = redis_or_skip("a_wrong_password_is_told_without_it_and_tried_again") else { return };
    redis.cli(&["ACL", "SETUSER", "default", "resetpass", ">right-pass"]);
    let node = node(&redis.url().replace("redis://", "redis://default:hunter2%21@"));
    wait_until(PATIENCE, "it is told", || log.text().contains("refuses the user or the password"));
    assert!(!node.is_up());
    assert!(log.text().contains(&format!("redis://127.0.0.1:{}", redis.port())));
    let mut admin = std::process::Command::new("redis-cli");
    admin.args(["-p", &redis.port().to_string(), "--no-auth-warning", "-a", "right-pass"]);
    assert!(admin.args(["ACL", "SETUSER", "default", ">hunter2!"]).output().unwrap().status.success());
    wait_until(PATIENCE, "up with what is right now", || node.is_up());
    node.hear(&channel("news"));
    node.is_heard_on(&channel("news"), "with a password");
    for secret in ["hunter2", "right-pass"] {
        assert!(!log.text().contains(secret), "{}", log.text());
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_redis_that_is_not_there_is_told_with_its_address_alone() {
    let log = log();
    let port = antiphon_testkit::free_port();
    let node = node(&format!("redis://user:topsecret@127.0.0.1:{port}/3"));
    wait_until(PATIENCE, "it is told", || {
        log.text().lines().any(|line| line.contains(&port.to_string()) && line.contains("refused"))
    });
    assert!(!node.is_up() && !log.text().contains("topsecret"));
}

fn certificates(folder: &Path) -> RedisTls {
    let of_authority = rcgen::KeyPair::generate().unwrap();
    let mut authority = rcgen::CertificateParams::new(Vec::new()).unwrap();
    authority.is_ca = rcgen::IsCa::Ca(rcgen::BasicConstraints::Unconstrained);
    // Not the name that a certificate has by default: OpenSSL takes one that names itself for its own authority.
    authority.distinguished_name.push(rcgen::DnType::CommonName, "authority");
    let certificate = authority.self_signed(&of_authority).unwrap();
    let issuer = rcgen::Issuer::new(authority, of_authority);
    let of_redis = rcgen::KeyPair::generate().unwrap();
    let signed = rcgen::CertificateParams::new(vec!["127.0.0.1".into()])
        .unwrap()
        .signed_by(&of_redis, &issuer)
        .unwrap();
    let file = |name: &str, text: String| {
        let path = folder.join(name);
        std::fs::write(&path, text).unwrap();
        path
    };
    RedisTls {
        ca: file("ca.pem", certificate.pem()),
        cert: file("cert.pem", signed.pem()),
        key: file("key.pem", of_redis.serialize_pem()),
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn redis_is_spoken_to_by_tls_if_its_authority_is_known_and_not_otherwise() {
    let log = log();
    let test = "redis_is_spoken_to_by_tls_if_its_authority_is_known_and_not_otherwise";
    let folder = tempfile::tempdir().unwrap();
    let tls = certificates(folder.path());
    let options = antiphon_testkit::RedisOptions {
        password: Some("over-tls".into()),
        tls: Some(tls.clone()),
        ..Default::default()
    };
    let Some(redis) = or_skip(test, Redis::start_with(options)) else { return };
    let stranger = node(&redis.url());
    wait_until(PATIENCE, "an unknown authority is told", || log.text().contains("UnknownIssuer"));
    let known = node_with(&RedisOptions { ca_file: Some(tls.ca), ..RedisOptions::new(redis.url()) });
    known.hear(&channel("news"));
    known.is_heard_on(&channel("news"), "by TLS");
    assert!(!stranger.is_up() && !log.text().contains("over-tls"));
}

/// What a user of Redis needs, as docs/operations/redis.md has it.
const RULES: [&str; 6] =
    ["on", ">acl-pass", "resetchannels", "&antiphon*", "-@all", "+subscribe +unsubscribe +publish +ping"];
const CLUSTER_RULES: &str = "+ssubscribe +sunsubscribe +spublish +cluster|slots +cluster|info";

fn set_user(redis: &Redis, more: &str) {
    let rules = RULES.iter().flat_map(|rule| rule.split(' ')).chain(more.split(' '));
    let rules: Vec<&str> = ["ACL", "SETUSER", "node"].into_iter().chain(rules).collect();
    assert_eq!(redis.cli(&rules), "OK");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_user_with_only_what_the_docs_name_is_enough_for_one_redis_and_for_a_cluster_by_tls() {
    let test = "a_user_with_only_what_the_docs_name";
    let docs = include_str!("../../../docs/operations/redis.md");
    for rule in RULES[2..].iter().chain([&CLUSTER_RULES, &"+role"]) {
        assert!(docs.contains(*rule), "{rule} is not in the docs");
    }
    let Some(redis) = redis_or_skip(test) else { return };
    set_user(&redis, "+role");
    let tasks = antiphon_core::Tasks::new(tokio::runtime::Handle::current());
    let options = RedisOptions::new(redis.url().replace("://", "://node:acl-pass@"));
    let broker = || RedisBroker::start(&options, &tasks).unwrap();
    assert_eq!(antiphon_contract::broker::suite(broker(), broker()).await, 19);

    let folder = tempfile::tempdir().unwrap();
    let tls = certificates(folder.path());
    let Some(cluster) = or_skip(test, RedisCluster::start(Some("admin"), Some(tls.clone()))) else { return };
    cluster.servers.iter().for_each(|server| set_user(server, CLUSTER_RULES));
    let mut options = RedisOptions::new(cluster.url().replace("://:admin@", "://node:acl-pass@"));
    assert!(options.url.starts_with("rediss-cluster://node:"));
    options.ca_file = Some(tls.ca);
    let broker = || RedisBroker::start(&options, &tasks).unwrap();
    assert_eq!(antiphon_contract::broker::suite(broker(), broker()).await, 19);
}

#[tokio::test]
async fn what_is_wrong_with_the_options_is_told_at_once_and_without_a_password() {
    let tasks = antiphon_core::Tasks::new(tokio::runtime::Handle::current());
    let start = |url: &str, ca: Option<&str>| {
        let options = RedisOptions { ca_file: ca.map(Into::into), ..RedisOptions::new(url) };
        assert!(!format!("{options:?}").contains("pass1"));
        RedisBroker::start(&options, &tasks).map(|_| url.to_owned()).unwrap_err()
    };
    for url in [
        "",
        "pass1",
        "http://u:pass1@x",
        "redis-sentinel://u:pass1@x",
        "redis-cluster://u:pass1@x/1",
        "redis://u:pass1@h:port",
        "redis://:pass1@h/x",
    ] {
        let error = start(url, None);
        assert!(
            matches!(error, RedisError::Url(_)) && !error.to_string().contains("pass1"),
            "{url}: {error}"
        );
    }
    let folder = tempfile::tempdir().unwrap();
    let garbage = folder.path().join("ca.pem");
    std::fs::write(&garbage, "no certificate").unwrap();
    for path in [garbage.to_str().unwrap(), "/nowhere/ca.pem"] {
        let error = start("rediss://u:pass1@h", Some(path));
        assert!(matches!(error, RedisError::Certificate { .. }), "{path}: {error:?}");
        assert!(error.to_string().contains(path) && !error.to_string().contains("pass1"));
    }
    let good = certificates(folder.path()).ca;
    let error = start("redis://u:pass1@h", good.to_str());
    assert!(matches!(error, RedisError::AuthorityWithoutTls) && !error.to_string().contains("pass1"));
}
