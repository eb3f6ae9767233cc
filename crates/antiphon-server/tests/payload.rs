//! A body is kept as it was written: what parsers differ about is the receivers' to decide.

#![allow(clippy::unwrap_used)]

mod crowd;

use antiphon_testkit::{Database, postgres_or_skip, run_antiphon};
use crowd::{Ear, Server, frame_of, jwt, wait};

/// A field twice, numbers that no double holds, escapes that could be written otherwise, half a character.
const ODD: &str = r#"{"a":1,"a":[2],"n":1e400,"m":-0.0,"f":1.0,"i":12345678901234567890123456789,"s":"\u00e9\/\u0000","h":"\ud800","e":{}}"#;

fn count(text: &str) -> usize {
    text.matches(&format!(r#""body":{ODD}"#)).count()
}

fn is_kept(server: &Server, database: Option<&Database>) {
    let token = jwt("acme", "ann");
    let mut ann = Ear::connect(server.address());
    let say = |ann: &mut Ear, frame: String| assert!(ann.raw(&frame_of(1, frame.as_bytes())));
    say(&mut ann, format!(r#"{{"type":"SUBSCRIBE","topics":["news"],"token":"{token}"}}"#));
    ann.wait_for("SUBSCRIPTION_SUCCESSFUL");
    let mut published = 1;
    say(&mut ann, format!(r#"{{"type":"MESSAGE","topic":"news","body":{ODD}}}"#));
    let (path, bearer) = ("/api/v1/tenants/acme/topics/news/entries", format!("Bearer {token}"));
    let made = server.call(&format!("POST {path}"), &bearer, &format!(r#"{{"body":{ODD}}}"#));
    assert!(made.starts_with("HTTP/1.1 201"), "{made}");
    published += 1;
    if let Some(database) = database {
        database.sql(&format!(
            "select antiphon.publish(tenant => 'acme', topic => 'news', body => '{ODD}'::json)"
        ));
        published += 1;
    }
    wait("all are heard as they were written", || {
        ann.listen();
        ann.heard.iter().map(|text| count(text)).sum::<usize>() == published
    });
    ann.heard.clear();
    say(&mut ann, r#"{"type":"HISTORY","topic":"news"}"#.to_owned());
    wait("a page of history", || {
        ann.listen();
        ann.heard.iter().any(|text| count(text) == published)
    });
    let page = server.call(&format!("GET {path}"), &bearer, "");
    assert_eq!(count(&page), published, "{page}");
}

#[test]
fn a_body_comes_back_byte_for_byte_from_sqlite_by_either_door() {
    is_kept(&Server::start("", &[]), None);
}

#[test]
fn a_body_comes_back_byte_for_byte_from_postgresql_by_either_door_and_from_sql() {
    let Some(postgres) = postgres_or_skip("a_body_comes_back_byte_for_byte_from_postgresql") else { return };
    let database = postgres.create_database();
    let url = database.url();
    assert!(run_antiphon(&["migrate", "--database", &url], &[]).unwrap().status.success());
    is_kept(&Server::start("", &["--database", &url]), Some(&database));
}
