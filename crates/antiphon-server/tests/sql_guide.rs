//! The blocks of docs/guide/sql.md, as they are printed, on a PostgreSQL with a running node.
#![allow(clippy::unwrap_used)]

mod support;

use std::{
    path::Path,
    process::{Command, Output},
};

use antiphon_testkit::{Database, Postgres, postgres_or_skip, skipped};
use serde_json::json;
use support::{
    antiphon,
    node::{Node, eventually},
    sql::{Ear, Psql},
};

const GUIDE: &str = include_str!("../../../docs/guide/sql.md");

/// The page's blocks of a language.
fn blocks(language: &str) -> Vec<String> {
    let mut blocks = Vec::new();
    let mut open: Option<(bool, String)> = None;
    for line in GUIDE.lines() {
        match (&mut open, line.strip_prefix("```")) {
            (None, Some(named)) => open = Some((named == language, String::new())),
            (Some((true, block)), Some(_)) => {
                blocks.push(std::mem::take(block));
                open = None;
            }
            (Some(_), Some(_)) => open = None,
            (Some((_, block)), None) => *block += &format!("{line}\n"),
            (None, None) => {}
        }
    }
    assert!(!blocks.is_empty(), "no block of {language}");
    blocks
}

/// A database that is migrated by a user who may not make roles, and a node.
struct Shop {
    // Dropped first.
    node: Node,
    database: Database,
    owner: String,
    url: String,
    _server: Postgres,
}

impl Shop {
    fn new(test: &str) -> Option<Self> {
        let server = postgres_or_skip(test)?;
        let database = server.create_database();
        database.sql("create role owner login");
        database.sql(&format!("alter database {} owner to owner", database.name()));
        let of = |user: &str| format!("postgres://{user}@127.0.0.1:{}/{}", server.port(), database.name());
        let (owner, url) = (of("owner"), of("shop"));
        let migrated = antiphon(&["migrate", "--database", &owner]).run();
        assert_eq!(migrated.code, 0, "{}", migrated.stderr);
        assert_eq!(database.sql("select count(*) from pg_roles where rolname like 'antiphon%\\_%'"), "0");
        let node = Node::serve(&["--database", &owner]);
        eventually("the other nodes are heard", || node.get("/health/ready").contains("\"broker\":true"));
        Some(Self { node, database, owner, url, _server: server })
    }

    /// Runs the page's SQL, in its order.
    async fn open(&self) -> Ear {
        let blocks = blocks("sql");
        let (first, rest) = blocks.split_at(3);
        self.run(&first[..2]);
        // The tenant, so that there is an ear for the first entry.
        let ann = self.token("ann");
        let mut ear = Ear::at(&self.node, &ann, &["news"]).await;
        self.run(&first[2..]);
        assert_eq!(ear.hear().await["body"], json!({"order": 16}));
        self.run(rest);
        ear
    }

    fn run(&self, blocks: &[String]) {
        for block in blocks {
            if block.starts_with("-- as a superuser\n") {
                self.database.sql(block);
            } else {
                Psql::open(&self.url).say(block);
            }
        }
    }

    fn token(&self, user: &str) -> String {
        let issue = ["token", "issue", "--tenant", "acme", "--user", user, "--database", &self.owner];
        antiphon(&issue).run().stdout.trim_end().to_owned()
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn the_sql_of_the_page_runs_in_its_order_and_who_has_left_hears_no_more() {
    let Some(shop) = Shop::new("the_sql_of_the_page_runs") else { return };
    let mut ear = shop.open().await;
    let log = shop
        .database
        .sql("select content, author from antiphon.entries where project = 'kitchen' order by 1");
    assert_eq!(log, "\"ben is gone\"|\n\"ben is here\"|ben");
    assert_eq!(shop.database.sql("select count(*) from antiphon.members"), "0");
    let mut app = Psql::open(&shop.url);
    assert!(!app.publish("news", "of the shop"));
    assert_eq!(ear.text().await, "of the shop");
}

#[tokio::test(flavor = "multi_thread")]
async fn the_python_of_the_page_publishes_in_its_transaction() {
    let test = "the_python_of_the_page";
    let folder = support::folder();
    let venv = folder.path().join("venv");
    let python = venv.join("bin/python");
    let install = [
        run(Command::new("python3").args(["-m", "venv"]).arg(&venv)),
        run(Command::new(&python).args(["-m", "pip", "install", "--quiet", "psycopg[binary]"])),
    ];
    let Some(()) = installed(test, "psycopg", &install) else { return };
    let Some(shop) = Shop::new(test) else { return };
    let mut ear = shop.open().await;
    let [program] = &blocks("python")[..] else { panic!("one program") };
    let said = finish(Command::new(python).args(["-c", program]).env("DATABASE_URL", &shop.url));
    let entry = ear.hear().await;
    assert_eq!(entry["body"], json!({"order": 17}));
    is_answered(&said, &entry);
    assert_eq!(shop.database.sql("select item from shop.orders where id = 17"), "tea");
}

#[tokio::test(flavor = "multi_thread")]
async fn the_javascript_of_the_page_publishes_in_its_transaction() {
    let test = "the_javascript_of_the_page";
    let folder = support::folder();
    let npm = ["install", "--no-audit", "--no-fund", "--no-package-lock", "--loglevel=error", "pg@8"];
    let install = [
        write(folder.path(), "package.json", "{\"private\": true}"),
        run(Command::new("npm").args(npm).current_dir(folder.path())),
    ];
    let Some(()) = installed(test, "pg", &install) else { return };
    let Some(shop) = Shop::new(test) else { return };
    let mut ear = shop.open().await;
    let [program] = &blocks("js")[..] else { panic!("one program") };
    write(folder.path(), "page.mjs", program).unwrap();
    let mut node = Command::new("node");
    let said = finish(node.arg("page.mjs").current_dir(folder.path()).env("DATABASE_URL", &shop.url));
    let entry = ear.hear().await;
    assert_eq!(entry["body"], json!({"order": 18}));
    is_answered(&said, &entry);
    assert_eq!(shop.database.sql("select item from shop.orders where id = 18"), "coffee");
}

/// The program printed the entry's id and position, and that it is new.
fn is_answered(said: &str, entry: &serde_json::Value) {
    let fields: Vec<&str> = said.split_whitespace().collect();
    let [id, position, duplicate] = fields[..] else { panic!("{said}") };
    assert_eq!((id, position), (entry["entry"]["id"].as_str().unwrap(), entry["position"].as_str().unwrap()));
    assert_eq!(duplicate.to_lowercase(), "false");
}

/// Whether a package could be had; else it says that the test is skipped.
fn installed(test: &str, package: &str, steps: &[Result<(), String>]) -> Option<()> {
    match steps.iter().find_map(|step| step.as_ref().err()) {
        None => Some(()),
        Some(why) => {
            let line = why.lines().find(|line| line.to_lowercase().contains("error")).unwrap_or(why);
            skipped(test, &format!("{package} can't be installed here: {line}"));
            None
        }
    }
}

fn run(command: &mut Command) -> Result<(), String> {
    let output = command.output().map_err(|error| error.to_string())?;
    if output.status.success() { Ok(()) } else { Err(both(&output)) }
}

fn write(folder: &Path, name: &str, text: &str) -> Result<(), String> {
    std::fs::write(folder.join(name), text).map_err(|error| error.to_string())
}

fn finish(command: &mut Command) -> String {
    let output = command.output().unwrap();
    assert!(output.status.success(), "{}", both(&output));
    String::from_utf8(output.stdout).unwrap()
}

fn both(output: &Output) -> String {
    [&output.stdout, &output.stderr]
        .map(|text| String::from_utf8_lossy(text))
        .join("\n")
        .trim_end()
        .to_owned()
}

#[tokio::test(flavor = "multi_thread")]
async fn each_error_of_the_page_comes_when_it_says_and_no_other_does() {
    let Some(shop) = Shop::new("each_error_of_the_page") else { return };
    drop(shop.open().await);
    let open = || {
        let mut app = Psql::open(&shop.url);
        app.say("\\set VERBOSITY sqlstate\n");
        app
    };
    let (mut one, mut other) = (open(), open());
    let mut seen = std::collections::BTreeSet::new();
    let mut fails = |app: &mut Psql, sql: &str, code: &str| {
        let said = app.try_say(sql);
        assert!(said.contains(&format!("ERROR:  {code}")), "{sql}: {said}");
        app.try_say("rollback");
        seen.insert(code.to_owned());
    };
    let publish =
        |topic: &str| format!("select antiphon.publish(tenant => 'acme', topic => '{topic}', text => 'x')");

    for arguments in [
        "tenant => 'nobody', topic => 'news', text => 'x'",
        "tenant => 'acme', topic => 'a b', text => 'x'",
        "tenant => 'acme', topic => '$antiphon:x', text => 'x'",
        "tenant => 'acme', topic => 'news'",
        "tenant => 'acme', topic => 'news', text => 'x', body => '{}'",
        "tenant => 'acme', topic => 'news', text => repeat('x', 65537)",
    ] {
        fails(&mut one, &format!("select antiphon.publish({arguments})"), "22023");
    }
    let keyed = "select antiphon.publish(tenant => 'acme', topic => 'news', body => '{\"other\": 1}', key => 'order-16')";
    fails(&mut one, keyed, "23505");
    let misspelt = "select antiphon.publish(tenant => 'acme', topic => 'news', txt => 'x')";
    fails(&mut one, misspelt, "42883");
    let untyped = "select antiphon.publish(tenant => 'acme', topic => 'news', body => '{}'::varchar)";
    fails(&mut one, untyped, "42883");
    fails(&mut one, &format!("begin read only; {}", publish("news")), "25006");

    // Held by another transaction: waited for as long as the caller likes.
    other.say(&format!("begin; {}", publish("news")));
    fails(&mut one, &format!("begin; set local lock_timeout = '50ms'; {}", publish("news")), "55P03");
    one.say("begin isolation level repeatable read; select 1");
    other.say("commit");
    fails(&mut one, &publish("news"), "40001");

    // Two topics in opposite orders.
    one.say(&format!("begin; {}", publish("a")));
    other.say(&format!("begin; {}", publish("b")));
    let waits = std::thread::spawn({
        let second = publish("b");
        move || {
            let said = one.try_say(&format!("{second}; commit"));
            (one, said)
        }
    });
    let said_by_other = other.try_say(&format!("{}; commit", publish("a")));
    let (_, said_by_one) = waits.join().unwrap();
    let ended = |said: &str| said.contains("ERROR:  40P01");
    assert!(ended(&said_by_one) != ended(&said_by_other), "{said_by_one}\n{said_by_other}");
    assert_eq!(shop.database.sql("select count(*) from antiphon.entries e join antiphon.topics t on t.id = e.topic_id where t.name in ('a', 'b')"), "2");

    shop.database.sql("create role guest login");
    let mut guest = Psql::open(&shop.url.replace("shop@", "guest@"));
    guest.say("\\set VERBOSITY sqlstate\n");
    fails(&mut guest, &publish("news"), "42501");

    seen.insert("40P01".into());
    let told: std::collections::BTreeSet<String> = GUIDE
        .lines()
        .filter_map(|line| line.strip_prefix("| `")?.split_once("` | "))
        .filter(|(code, _)| code.len() == 5 && code.starts_with(|first: char| first.is_ascii_digit()))
        .map(|(code, _)| code.to_owned())
        .collect();
    assert_eq!(seen, told);
}
