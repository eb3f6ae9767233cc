//! An application beside antiphon, on the same PostgreSQL: its own user with its own table, and sockets of its users.

use std::{
    io::{BufRead, BufReader, Write},
    process::{Child, ChildStdin, ChildStdout, Command, Stdio},
};

use antiphon_client::Raw;
use antiphon_testkit::{Database, shared_postgres, shared_redis, unique};
use serde_json::{Value, json};

use super::{
    antiphon,
    node::{Node, PATIENCE, eventually},
};

/// A migrated database, a Redis, and a role of the application that has antiphon's two.
pub struct Place {
    pub database: Database,
    pub redis: String,
    role: String,
}

impl Place {
    pub fn new(test: &str) -> Option<Self> {
        let (Some(database), Some(redis)) = (shared_postgres(test), shared_redis(test)) else { return None };
        let migrated = antiphon(&["migrate", "--database", &database.url()]).run();
        assert_eq!(migrated.code, 0, "{}", migrated.stderr);
        let role = unique("app");
        database.sql(&format!("create role {role} login in role antiphon_publisher, antiphon_directory"));
        database.sql(&format!("create schema app authorization {role}"));
        database.sql(&format!("set role {role}; create table app.orders (id int primary key)"));
        Some(Self { database, redis: redis.url(), role })
    }

    /// The ways in which nodes hear of each other: through the database, and through Redis.
    pub fn ways(&self) -> [Vec<&str>; 2] {
        [Vec::new(), vec!["--redis", &self.redis]]
    }

    /// Two nodes, of which the first one tails.
    pub async fn nodes(&self, args: &[&str]) -> [Node; 2] {
        // The lock of a node that was killed goes when its server notices.
        eventually("nobody tails", || self.tails().is_empty());
        let first = self.node(args);
        eventually("a node tails", || !self.tails().is_empty());
        [first, self.node(args)]
    }

    pub fn node(&self, args: &[&str]) -> Node {
        let node = Node::serve(&[&["--database", &self.database.url()], args].concat());
        eventually("the other nodes are heard", || node.get("/health/ready").contains("\"broker\":true"));
        node
    }

    /// The process of PostgreSQL that holds the tail's lock.
    pub fn tails(&self) -> String {
        self.database.sql(
            "select pid from pg_locks where locktype = 'advisory' and granted and objid = x'7461696c'::bigint::oid \
             and database = (select oid from pg_database where datname = current_database())",
        )
    }

    /// A token of one of `tenant`'s users.
    pub fn token(&self, tenant: &str, user: &str) -> String {
        let issue =
            ["token", "issue", "--tenant", tenant, "--user", user, "--database", &self.database.url()];
        antiphon(&issue).run().stdout.trim_end().to_owned()
    }

    /// A connection of the application, with no right but its own.
    pub fn app(&self) -> Psql {
        let mut app = Psql::open(&self.database.url());
        app.say(&format!("set role {}", self.role));
        app
    }
}

impl Drop for Place {
    fn drop(&mut self) {
        if !std::thread::panicking() {
            self.database.sql(&format!("drop owned by {0}; drop role {0}", self.role));
        }
    }
}

/// A psql that stays connected, so that a transaction may last over several calls.
pub struct Psql {
    child: Child,
    to: ChildStdin,
    from: BufReader<ChildStdout>,
}

impl Psql {
    pub fn open(url: &str) -> Self {
        // Debian keeps the programs of PostgreSQL in a folder for each version.
        let script = "PATH=$PATH:$(echo /usr/lib/postgresql/*/bin | tr ' ' ':') exec psql \"$@\" 2>&1";
        let mut child = Command::new("/bin/sh")
            .args(["-c", script, "psql", "--no-psqlrc", "--quiet", "--no-align", "--tuples-only", url])
            .stdin(Stdio::piped())
            .stdout(Stdio::piped())
            .spawn()
            .unwrap();
        let (to, from) = (child.stdin.take().unwrap(), BufReader::new(child.stdout.take().unwrap()));
        Self { child, to, from }
    }

    /// What it printed for this.
    #[track_caller]
    pub fn say(&mut self, sql: &str) -> String {
        let said = self.try_say(sql);
        assert!(!said.contains("ERROR:"), "{sql}\n{said}");
        said
    }

    /// The same, or the error.
    pub fn try_say(&mut self, sql: &str) -> String {
        writeln!(self.to, "{sql};\n\\echo said").unwrap();
        let mut said = Vec::new();
        loop {
            let mut line = String::new();
            assert!(self.from.read_line(&mut line).unwrap() > 0, "psql ended: {said:?}");
            match line.trim_end() {
                "said" => return said.join("\n"),
                line => said.push(line.to_owned()),
            }
        }
    }

    /// Publishes this text, in the transaction if there is one; tells whether it was there already.
    #[track_caller]
    pub fn publish(&mut self, topic: &str, text: &str) -> bool {
        self.say(&format!(
            "select duplicate from antiphon.publish(tenant => 'acme', topic => '{topic}', text => '{text}')"
        )) == "t"
    }
}

impl Drop for Psql {
    fn drop(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

/// A user's socket at a node, and what it was subscribed with.
pub struct Ear {
    pub raw: Raw,
    said: Value,
}

impl Ear {
    pub async fn at(node: &Node, token: &str, topics: &[&str]) -> Self {
        Self::with(node, json!({"type": "SUBSCRIBE", "token": token, "topics": topics})).await
    }

    async fn with(node: &Node, said: Value) -> Self {
        let mut raw = Raw::connect(&node.ws()).await.unwrap().deadline(PATIENCE);
        raw.send_json(&said).await.unwrap();
        raw.frame_of("SUBSCRIPTION_SUCCESSFUL").await.unwrap();
        Self { raw, said }
    }

    /// The next entry.
    pub async fn hear(&mut self) -> Value {
        self.raw.frame_of("MESSAGE").await.unwrap()
    }

    /// The next entry's text.
    pub async fn text(&mut self) -> String {
        self.hear().await["text"].as_str().unwrap().to_owned()
    }

    /// Entries of one topic until so many are here; comes back at `other` where its node is gone.
    pub async fn collect(mut self, topic: &str, count: usize, other: &Node) -> (Self, Vec<Value>) {
        let mut heard: Vec<Value> = Vec::new();
        while heard.len() < count {
            match self.raw.frame_of("MESSAGE").await {
                Ok(frame) => heard.push(frame),
                Err(antiphon_client::Error::Disconnected) => {
                    let mut said = self.said.clone();
                    if let Some(last) = heard.last() {
                        said["positions"] = json!({topic: last["position"]});
                    }
                    self = Self::with(other, said).await;
                }
                Err(error) => panic!("{error}; {} of {count} were heard", heard.len()),
            }
        }
        (self, heard)
    }
}
