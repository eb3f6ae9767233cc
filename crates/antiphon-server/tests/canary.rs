//! Whatever is done with tokens, keys and passwords, they are nowhere that somebody could read them.

#![allow(clippy::unwrap_used)]

mod crowd;

use std::{
    io::{Read, Write},
    net::TcpStream,
    time::Duration,
};

use antiphon_testkit::{Finished, Postgres, PostgresOptions, Redis, RedisOptions, or_skip, run_antiphon};
use base64::{Engine, engine::general_purpose::URL_SAFE_NO_PAD};
use crowd::{Ear, PATIENCE, SECRET, Server, jwt};
use serde_json::json;
use sha2::{Digest, Sha256};

/// What must not be seen: its name, and its forms.
struct Watched(Vec<(&'static str, Vec<u8>)>);

impl Watched {
    fn new() -> Self {
        Self(vec![("the JWTs' secret", SECRET.into())])
    }

    fn text(&mut self, name: &'static str, text: &str) {
        self.0.push((name, text.into()));
    }

    /// A token or key: what makes it one, as text, as bytes and as the hexadecimal of a dump.
    fn credential(&mut self, name: &'static str, credential: &str) {
        let secret = &credential[credential.find('_').unwrap() + 1..];
        let bytes = URL_SAFE_NO_PAD.decode(secret).unwrap();
        self.0.push((name, secret.into()));
        self.0.push((name, hex(&bytes).into()));
        self.0.push((name, hex(credential.as_bytes()).into()));
        self.0.push((name, bytes));
    }

    #[track_caller]
    fn check(&self, place: &str, content: &[u8]) {
        for (name, form) in &self.0 {
            let found = content.windows(form.len()).position(|window| window == form);
            let shown = found.map(|at| {
                let around = &content[at.saturating_sub(120)..(at + form.len() + 20).min(content.len())];
                String::from_utf8_lossy(around).into_owned()
            });
            assert_eq!(shown, None, "{name} stands in {place}");
        }
    }
}

fn hex(bytes: &[u8]) -> String {
    bytes.iter().map(|byte| format!("{byte:02x}")).collect()
}

fn command(database: &str, args: &[&str]) -> Finished {
    run_antiphon(args, &[("ANTIPHON_DATABASE", database)]).unwrap()
}

fn good(database: &str, args: &[&str]) -> String {
    let finished = command(database, args);
    assert!(finished.status.success(), "{args:?}: {}", finished.stderr);
    finished.stdout
}

/// What a run was given and what it said.
struct Run<'a> {
    server: &'a Server,
    watched: &'a Watched,
    answers: usize,
}

impl Run<'_> {
    fn saw(&mut self, what: &str, said: &str) {
        self.answers += 1;
        self.watched.check(&format!("the answer to {what}"), said.as_bytes());
    }

    /// Upgrades with these headers, says these frames and takes all that comes until the answer to a last one, or the end.
    fn converse(&mut self, what: &str, query: &str, headers: &str, frames: &[String]) {
        let mut ear = Ear::silent(self.server.address()).unwrap();
        let request = format!(
            "GET /ws{query} HTTP/1.1\r\nhost: a\r\nconnection: upgrade\r\nupgrade: websocket\r\n{headers}\
             sec-websocket-version: 13\r\nsec-websocket-key: AAAAAAAAAAAAAAAAAAAAAA==\r\n\r\n"
        );
        ear.raw(request.as_bytes());
        crowd::wait("an answer to the upgrade", || {
            ear.listen();
            ear.answered.is_some() || ear.is_over
        });
        for frame in frames.iter().map(String::as_str).chain([r#"{"type":"PING","ref":"last"}"#]) {
            ear.raw(&crowd::frame_of(1, frame.as_bytes()));
        }
        crowd::wait("the last answer", || {
            ear.listen();
            ear.is_over
                || ear.closed.is_some()
                || ear.answered != Some(101)
                || ear.heard.iter().any(|text| text.contains("\"last\""))
        });
        self.saw(what, &ear.head);
        let frames = std::mem::take(&mut ear.heard);
        frames.iter().for_each(|frame| self.saw(what, frame));
    }

    fn call(&mut self, request: &str, authorization: &str, body: &str) {
        let answer = self.server.call(request, authorization, body);
        self.saw(request.split(' ').next().unwrap(), &answer);
    }

    /// A request over HTTP/2, of which other code logs.
    fn call_http2(&mut self, authorization: &str) {
        let mut block = Vec::new();
        let fields = [
            (":method", "GET"),
            (":scheme", "http"),
            (":authority", "a"),
            (":path", "/metrics"),
            ("authorization", authorization),
        ];
        for (name, value) in fields {
            // Literal, never indexed, with lengths below 127.
            block.extend_from_slice(&[0x10, name.len() as u8]);
            block.extend_from_slice(name.as_bytes());
            assert!(value.len() < 127);
            block.push(value.len() as u8);
            block.extend_from_slice(value.as_bytes());
        }
        let mut bytes = b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n\0\0\0\x04\0\0\0\0\0".to_vec();
        bytes.extend_from_slice(&[0, (block.len() >> 8) as u8, block.len() as u8, 1, 5, 0, 0, 0, 1]);
        bytes.extend_from_slice(&block);
        let mut socket = TcpStream::connect(self.server.address()).unwrap();
        socket.set_read_timeout(Some(Duration::from_secs(2))).unwrap();
        socket.write_all(&bytes).unwrap();
        let mut answer = Vec::new();
        // Its end is a frame with END_STREAM; here the first header block is enough.
        let mut chunk = [0; 4096];
        while answer.len() < 60 {
            match socket.read(&mut chunk) {
                Ok(0) | Err(_) => break,
                Ok(len) => answer.extend_from_slice(&chunk[..len]),
            }
        }
        assert!(answer.len() > 9, "HTTP/2 is answered");
        self.watched.check("an answer over HTTP/2", &answer);
    }
}

fn good_jwt_parts(token: &str) -> (String, String) {
    let (rest, signature) = token.rsplit_once('.').unwrap();
    (rest.to_owned(), signature.to_owned())
}

/// All that can be said and asked with secrets, right and wrong.
fn say_everything(server: &Server, database: &str, watched: &mut Watched) {
    let issue = |user: &str, ttl: &str| {
        good(database, &["token", "issue", "--tenant", "acme", "--user", user, "--ttl", ttl])
    };
    let key = good(database, &["key", "issue"]);
    let narrow = good(database, &["key", "issue", "--scope", "publish", "--tenant", "globex"]);
    let over = good(database, &["key", "issue", "--ttl", "1s"]);
    let tokens = [
        issue("ann", "1h"),
        issue("ann", "1h"),
        issue("bob", "1h"),
        issue("ann", "1s"),
        server.token(&key, "acme", "ann"),
    ];
    for token in &tokens {
        watched.credential("a token", token);
    }
    for key in [&key, &narrow, &over] {
        watched.credential("a key", key);
    }
    let signed = jwt("acme", "ann-canary-claim");
    let (head, signature) = good_jwt_parts(&signed);
    watched.text("a JWT's signature", &signature);
    watched.text("a JWT's payload", head.split('.').nth(1).unwrap());
    let forged = format!("{head}.{}", signature.chars().rev().collect::<String>());
    watched.text("a forged JWT's signature", forged.rsplit('.').next().unwrap());
    let unknown = format!("ant_{}", "CANARYunknown".repeat(4).get(..43).unwrap());
    watched.text("an unknown token", "CANARYunknown");
    let malformed = "CANARYmalformed and no token".to_owned();
    watched.text("a malformed token", "CANARYmalformed");

    let mut shown: Vec<String> = tokens.to_vec();
    shown.extend([signed, forged, unknown, malformed, key.clone(), narrow.clone()]);
    let mut run = Run { server, watched, answers: 0 };
    for token in &shown {
        let frame =
            |kind: &str| json!({"type": kind, "token": token, "text": "hello", "topic": "acme"}).to_string();
        let kinds = ["MESSAGE", "SIGNAL", "HISTORY", "PRESENCE", "PING", "UNSUBSCRIBE", "SHOUT"];
        let mut frames = vec![json!({"type": "SUBSCRIBE", "token": token}).to_string()];
        frames.extend(kinds.iter().map(|kind| frame(kind)));
        // The same user's other token, and another user's at last.
        frames.extend(
            [&tokens[1], &tokens[2]].map(|token| json!({"type": "PING", "token": token}).to_string()),
        );
        run.converse("frames with a token", "", "", &frames);
        let broken = [
            format!(r#"{{"type":"SUBSCRIBE","token":"{token}""#),
            format!(r#"{{"type":"SUBSCRIBE","token":["{token}"]}}"#),
            format!(r#"{{"type":"SUBSCRIBE","token":{{"token":"{token}"}}}}"#),
            format!(r#"{{"type":"SUBSCRIBE","topics":"{token}","token":"{}"}}"#, tokens[0]),
            format!(r#"{{"type":"MESSAGE","text":"x","projectId":["{token}"]}}"#),
            format!(r#"{{"type":"SUBSCRIBE","positions":{{"acme":"{token}"}}}}"#),
            token.clone(),
        ];
        run.converse("broken frames", "", "", &broken);
        run.converse("a token in the URL", &format!("?token={}", token.replace(' ', "+")), "", &[]);
        for header in [
            "authorization: Bearer",
            "authorization: Basic",
            "cookie: token=",
            "sec-websocket-protocol: bearer,",
        ] {
            run.converse(header, "", &format!("{header} {token}\r\n"), &[]);
        }
        let bearer = format!("Bearer {token}");
        for request in [
            "GET /metrics",
            "GET /api/v1/connections",
            "GET /api/v1/tenants/acme/topics/acme/entries",
            "GET /api/v1/tenants/acme/topics/acme/presence",
            "PUT /api/v1/tenants/acme/users/cleo",
            "GET /api/v1/nowhere",
            "PATCH /api/v1/tenants/acme",
            "GET /api/v1/tenants/globex/users",
        ] {
            run.call(request, &bearer, "");
        }
        let entries = "POST /api/v1/tenants/acme/topics/acme/entries";
        let tokens_of = "POST /api/v1/tenants/acme/users/ann/tokens";
        for body in [
            format!("\"{token}\""),
            format!("[\"{token}\"]"),
            format!("{{\"token\":\"{token}\"}}"),
            format!("{{\"text\":\"x\",\"token\":\"{token}\"}}"),
            format!("{{\"text\":\"x\",\"projectId\":[\"{token}\"]}}"),
            format!("{{\"ttlSeconds\":\"{token}\"}}"),
            token.clone(),
        ] {
            run.call(entries, &bearer, &body);
            run.call(entries, &format!("Bearer {key}"), &body);
            run.call(tokens_of, &format!("Bearer {key}"), &body);
        }
        run.call_http2(&bearer.chars().take(120).collect::<String>());
    }
    let bearer = format!("Bearer {key}");
    run.call("DELETE /api/v1/tenants/acme/users/ann/tokens", &bearer, "");
    run.call("DELETE /api/v1/tenants/acme/users/bob", &bearer, "");
    let figures = server.operations("/metrics");
    assert!(figures.contains("antiphon_panics_total 0"), "{figures}");
    for path in ["/metrics", "/health/ready", "/health/live", "/nowhere"] {
        let said = server.operations(path);
        run.saw(path, &said);
    }
    let list = command(database, &["key", "list"]);
    run.saw("key list", &format!("{}{}", list.stdout, list.stderr));
    println!("{} answers and frames were read", run.answers);
    assert!(run.answers > 500);
}

/// Ends it as an operator would and reads all that it wrote.
fn end(mut server: Server, watched: &Watched) {
    assert_eq!(server.process.terminate(PATIENCE).code(), Some(0));
    let log = server.process.log().text();
    assert!(log.contains("draining") && log.contains("DEBUG"), "{log}");
    println!("{} lines of log were read", log.lines().count());
    watched.check("the log", log.as_bytes());
}

#[test]
fn no_token_key_or_password_is_in_a_log_an_answer_a_frame_a_figure_or_a_sqlite_file() {
    let folder = tempfile::tempdir().unwrap();
    let database = format!("sqlite:{}", folder.path().join("kept.db").display());
    let mut watched = Watched::new();
    let args = ["--database", &database, "--log", "json", "--log-level", "debug", "--rate-limit", "0"];
    let server = Server::start("", &args);
    say_everything(&server, &database, &mut watched);
    let token = good(&database, &["token", "issue", "--tenant", "acme", "--user", "eve"]);
    watched.credential("a token", &token);
    // The write-ahead log is there while the server runs.
    let mut kept = Vec::new();
    for file in std::fs::read_dir(folder.path()).unwrap().flatten() {
        let content = std::fs::read(file.path()).unwrap();
        watched.check(&format!("{:?}", file.file_name()), &content);
        kept.extend(content);
    }
    let hash = Sha256::digest(token.as_bytes());
    assert!(kept.windows(32).any(|window| window == &hash[..]), "its hash is where it was looked for");
    end(server, &watched);
}

#[test]
fn no_token_key_or_password_is_in_a_log_an_answer_a_frame_a_figure_or_a_dump_of_postgresql() {
    let test = "no_token_key_or_password_is_in_a_dump_of_postgresql";
    const OF_POSTGRES: &str = "CANARYofPostgres";
    const OF_REDIS: &str = "CANARYofRedis";
    let options = PostgresOptions { password: Some(OF_POSTGRES.into()), ..PostgresOptions::default() };
    let Some(postgres) = or_skip(test, Postgres::start_with(options)) else { return };
    let options = RedisOptions { password: Some(OF_REDIS.into()), ..RedisOptions::default() };
    let Some(mut redis) = or_skip(test, Redis::start_with(options)) else { return };
    let held = postgres.create_database();
    let database = held.url();
    assert!(database.contains(OF_POSTGRES) && redis.url().contains(OF_REDIS));
    let mut watched = Watched::new();
    watched.text("PostgreSQL's password", OF_POSTGRES);
    watched.text("Redis' password", OF_REDIS);
    good(&database, &["migrate"]);
    // Passwords that are wrong, and URLs that are none.
    let wrong = database.replace(OF_POSTGRES, "CANARYwrong");
    watched.text("a wrong password", "CANARYwrong");
    for url in
        [&wrong, "postgres://app:CANARYwrong@127.0.0.1:port/d", "CANARYwrong", "mysql://app:CANARYwrong@h/d"]
    {
        for args in [&["key", "list"][..], &["migrate"], &["config", "check"], &["config", "show"]] {
            let said = command(url, args);
            watched
                .check(&format!("what {args:?} said"), format!("{}{}", said.stdout, said.stderr).as_bytes());
        }
    }
    let redis_url = redis.url();
    let args = ["--database", &database, "--redis", &redis_url, "--log-level", "trace", "--rate-limit", "0"];
    let server = Server::start("", &args);
    say_everything(&server, &database, &mut watched);
    // What is lost is told, and comes back.
    redis.kill9();
    crowd::wait("Redis is missed", || server.figure("broker_up") == 0);
    redis.restart().unwrap();
    crowd::wait("Redis is back", || server.figure("broker_up") == 1);
    held.sql(
        "select pg_terminate_backend(pid) from pg_stat_activity where datname = current_database() and pid <> pg_backend_pid()",
    );
    let token = good(&database, &["token", "issue", "--tenant", "acme", "--user", "eve"]);
    watched.credential("a token", &token);
    let tables = held.sql("select tablename from pg_tables where schemaname = 'antiphon'");
    let rows: String =
        tables.lines().map(|table| held.sql(&format!("select t::text from antiphon.{table} t"))).collect();
    watched.check("the rows of PostgreSQL", rows.as_bytes());
    let hash = hex(&Sha256::digest(token.as_bytes()));
    assert!(rows.contains(&hash), "its hash is where it was looked for");
    end(server, &watched);
    watched.check("PostgreSQL's log", postgres.log().text().as_bytes());
}
