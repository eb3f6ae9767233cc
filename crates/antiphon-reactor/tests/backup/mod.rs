//! Backups of a topic's log that are put back under a running node.

#![allow(dead_code, missing_docs, clippy::unwrap_used)]

use std::sync::Arc;

use antiphon_memory::{LogCopy, MemoryStore};
use antiphon_protocol::Topic;
use antiphon_testkit::Database;

pub trait Backups {
    /// Takes one; its number.
    fn copy(&mut self, topic: &Topic) -> usize;
    /// Puts it in the place of the log.
    fn restore(&mut self, topic: &Topic, copy: usize);
}

pub struct InMemory {
    pub store: Arc<MemoryStore>,
    pub copies: Vec<LogCopy>,
}

impl Backups for InMemory {
    fn copy(&mut self, topic: &Topic) -> usize {
        self.copies.push(self.store.copy(topic));
        self.copies.len() - 1
    }

    fn restore(&mut self, topic: &Topic, copy: usize) {
        self.store.restore(topic, &self.copies[copy]);
    }
}

/// By the rows of a database on PostgreSQL.
pub struct InPostgres {
    database: Database,
    copies: usize,
}

impl InPostgres {
    pub fn new(database: Database) -> Self {
        database.sql(
            "create table kept_topics as select 0 as copy, t.* from antiphon.topics t with no data; \
             create table kept_entries as select 0 as copy, e.* from antiphon.entries e with no data",
        );
        Self { database, copies: 0 }
    }
}

impl Backups for InPostgres {
    fn copy(&mut self, topic: &Topic) -> usize {
        self.copies += 1;
        let (copy, name) = (self.copies.to_string(), topic.name().as_str());
        self.database.sql(
            &[
                "insert into kept_topics select ",
                &copy,
                ", t.* from antiphon.topics t where t.name = '",
                name,
                "'; insert into kept_entries select ",
                &copy,
                ", e.* from antiphon.entries e join antiphon.topics t on t.id = e.topic_id where t.name = '",
                name,
                "'",
            ]
            .concat(),
        );
        self.copies
    }

    fn restore(&mut self, topic: &Topic, copy: usize) {
        let (copy, name) = (copy.to_string(), topic.name().as_str());
        self.database.sql(
            &[
                "begin; delete from antiphon.entries e using antiphon.topics t where t.id = e.topic_id and t.name = '",
                name,
                "'; update antiphon.topics t set epoch = k.epoch, head = k.head, link = k.link, trimmed = k.trimmed, ",
                "trimmed_link = k.trimmed_link, oldest_at = k.oldest_at, sized = k.sized, bytes = k.bytes ",
                "from kept_topics k where k.id = t.id and k.copy = ",
                &copy,
                "; insert into antiphon.entries (topic_id, \"offset\", id, author, project, key, kind, content, created_at, ",
                "revision, link) select topic_id, \"offset\", id, author, project, key, kind, content, created_at, ",
                "revision, link from kept_entries where copy = ",
                &copy,
                "; commit",
            ]
            .concat(),
        );
    }
}
