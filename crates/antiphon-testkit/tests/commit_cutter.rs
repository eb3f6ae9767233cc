//! The proxy cuts after the commit and before its answer, and nothing else.

use antiphon_testkit::{CommitCutter, Postgres, postgres_or_skip};
use std::net::SocketAddr;
use std::process::Command;

/// Runs statements on one connection through the proxy; tells whether all were answered, and what was said.
fn psql(url: &str, statements: &[&str]) -> (bool, String) {
    let script = "PATH=$PATH:$(echo /usr/lib/postgresql/*/bin | tr ' ' ':') exec psql \"$@\" 2>&1";
    let mut command = Command::new("/bin/sh");
    command.args(["-c", script, "psql", "--no-psqlrc", "--quiet", "--no-align", "--tuples-only"]);
    command.args(["--set=ON_ERROR_STOP=1", url]);
    for statement in statements {
        command.args(["--command", statement]);
    }
    let output = command.output().expect("psql runs");
    (output.status.success(), String::from_utf8_lossy(&output.stdout).trim().to_owned())
}

fn cutter(postgres: &Postgres) -> CommitCutter {
    let upstream = SocketAddr::from(([127, 0, 0, 1], postgres.port()));
    CommitCutter::start(upstream, &["insert into kept"]).expect("starts")
}

#[test]
fn a_commit_is_done_and_its_answer_is_lost() {
    let Some(postgres) = postgres_or_skip("a_commit_is_done_and_its_answer_is_lost") else { return };
    let database = postgres.create_database();
    let cutter = cutter(&postgres);
    let url = cutter.url_for(&database.url());
    database.sql("create table kept (id int)");
    let count = || database.sql("select count(*) from kept");

    // Nothing was ordered.
    assert_eq!(psql(&url, &["insert into kept values (1)", "select 7"]), (true, "7".to_owned()));
    // What does not write is not cut; then an implicit transaction is.
    cutter.cut_next(1);
    assert_eq!(psql(&url, &["select count(*) from kept"]), (true, "1".to_owned()));
    assert_eq!(cutter.cuts(), 0);
    let (answered, said) = psql(&url, &["insert into kept values (2)"]);
    assert!(!answered && said.contains("connection"), "{said}");
    assert_eq!((cutter.cuts(), count().as_str()), (1, "2"));
    // One order, one cut. Then an explicit transaction: its insert is answered, its commit is not.
    cutter.cut_next(1);
    let (answered, said) =
        psql(&url, &["begin", "insert into kept values (3) returning id", "commit", "select 8"]);
    assert!(!answered && said.starts_with('3') && !said.contains('8'), "{said}");
    assert_eq!((cutter.cuts(), count().as_str()), (2, "3"));
}

#[test]
fn what_fails_or_is_rolled_back_is_answered() {
    let Some(postgres) = postgres_or_skip("what_fails_or_is_rolled_back_is_answered") else { return };
    let database = postgres.create_database();
    let cutter = cutter(&postgres);
    let url = cutter.url_for(&database.url());
    database.sql("create table kept (id int primary key)");
    cutter.cut_next(1);
    assert_eq!(psql(&url, &["begin", "insert into kept values (1)", "rollback", "select 7"]).1, "7");
    let (answered, said) = psql(&url, &["insert into kept values (1), (1)"]);
    assert!(!answered && said.contains("duplicate key"), "{said}");
    assert_eq!(cutter.cuts(), 0);
    // The order that was not used holds on: a statement that only names what is looked for uses it.
    let (answered, _) = psql(&url, &["prepare p as insert into kept values (1)", "execute p"]);
    assert!(!answered);
    assert_eq!((cutter.cuts(), database.sql("select count(*) from kept").as_str()), (1, "0"));
    cutter.cut_next(1);
    cutter.cut_no_more();
    assert!(psql(&url, &["insert into kept values (1)"]).0);
}
