//! The tail: what other programs have committed by `antiphon.publish`, each entry once. A look remembers which transactions
//! it could not see yet; the next one takes what these and later ones have written. So nothing is missed that was given its
//! number early and committed late, and an open transaction costs an element of an array.
//!
//! Those that are later and those that were open are asked for apart: an `or` of both is no condition of the index, and would
//! read all of it at each look.
//!
//! One node of a database looks: the one whose connection holds the advisory lock.

use antiphon_core::{SeamError, Tail, Tailed};
use antiphon_protocol::{Entry, TenantId, Topic, TopicName};
use async_trait::async_trait;
use sqlx::{ConnectOptions, FromRow, PgConnection, Row, postgres::PgRow};
use tokio::sync::Mutex;

use super::{POSTGRES, PostgresUrl};
use crate::{
    error::Fault,
    options::OpenOptions,
    row::{self, EntryRow},
};

/// The advisory lock of the node that looks: "tail".
const LOCK: i64 = 0x7461_696c;
/// Entries of one look.
const PAGE: i64 = 500;

/// Looks over a connection of its own.
pub struct PostgresTail {
    url: PostgresUrl,
    options: OpenOptions,
    /// None while there is no connection. Held over a look.
    held: Mutex<Option<Held>>,
}

struct Held {
    connection: PgConnection,
    /// Where the last look ended; none: the lock is not ours yet.
    mark: Option<Mark>,
}

/// Entries up to `seen` are told. `page` is the rest of a look that found too many.
struct Mark {
    seen: String,
    page: Option<Page>,
}

/// What is left between `seen` and the later snapshot `upto`: the entries behind this one.
struct Page {
    upto: String,
    topic_id: i64,
    offset: i64,
}

impl PostgresTail {
    /// On this database; connects with the first look.
    pub fn new(url: &PostgresUrl, options: OpenOptions) -> Self {
        Self { url: url.clone(), options, held: Mutex::new(None) }
    }

    async fn look_once(&self, held: &mut Option<Held>) -> Result<Tailed, Fault> {
        let held = match held {
            Some(held) => held,
            None => held.insert(Held { connection: self.connect().await?, mark: None }),
        };
        if let Some(mark) = &mut held.mark {
            return mark.next(&mut held.connection, self.options.keeps_directory).await;
        }
        let is_ours: bool = sqlx::query_scalar("select pg_try_advisory_lock($1)")
            .bind(LOCK)
            .fetch_one(&mut held.connection)
            .await?;
        if !is_ours {
            return Ok(Tailed::Elsewhere);
        }
        let seen =
            sqlx::query_scalar("select pg_current_snapshot()::text").fetch_one(&mut held.connection).await?;
        held.mark = Some(Mark { seen, page: None });
        Ok(Tailed::Entries { entries: Vec::new(), more: false })
    }

    async fn connect(&self) -> Result<PgConnection, Fault> {
        let mut connection = self.url.connect_options().connect().await?;
        super::configure(&mut connection, &self.options).await?;
        // What it asks is a few rows at an index' end, of which the statistics know nothing: a plan from them reads the whole log.
        sqlx::query("select set_config('enable_seqscan', 'off', false)").execute(&mut connection).await?;
        Ok(connection)
    }
}

impl Mark {
    /// What comes next. Idle, that is one small question.
    async fn next(&mut self, connection: &mut PgConnection, keeps_directory: bool) -> Result<Tailed, Fault> {
        let page = match self.page.take() {
            Some(page) => page,
            None => {
                let (upto, is_any): (String, bool) = sqlx::query_as(
                    "select pg_current_snapshot()::text, exists (select from antiphon.entries e where e.by_sql \
                         and e.xid >= pg_snapshot_xmax($1::pg_snapshot) and pg_visible_in_snapshot(e.xid, pg_current_snapshot())) \
                     or exists (select from antiphon.entries e where e.by_sql \
                         and e.xid = any(array(select pg_snapshot_xip($1::pg_snapshot))) \
                         and pg_visible_in_snapshot(e.xid, pg_current_snapshot()))",
                )
                .bind(&self.seen)
                .fetch_one(&mut *connection)
                .await?;
                if !is_any {
                    self.seen = upto;
                    return Ok(Tailed::Entries { entries: Vec::new(), more: false });
                }
                Page { upto, topic_id: 0, offset: 0 }
            }
        };
        // The revision is read with the entry: it sees every removal that was committed before it. A tenant that is gone has a
        // space in the name of its logs.
        let rows: Vec<TailRow> = sqlx::query_as(
            r#"select t.tenant, t.name, e.topic_id, t.epoch, e."offset", e.id, e.author, e.project, e.key, e.kind, e.content,
                e.created_at, case when $6 then n.revision else 0 end, e.link
            from (
                select s.topic_id, s."offset", s.xid from antiphon.entries s
                where s.by_sql and s.xid >= pg_snapshot_xmax($1::pg_snapshot)
                union all
                select s.topic_id, s."offset", s.xid from antiphon.entries s
                where s.by_sql and s.xid = any(array(select pg_snapshot_xip($1::pg_snapshot)))
            ) s
            join antiphon.entries e on e.topic_id = s.topic_id and e."offset" = s."offset"
            join antiphon.topics t on t.id = e.topic_id and strpos(t.tenant, ' ') = 0
            left join antiphon.tenants n on n.id = t.tenant and not n.deleted
            where (n.id is not null or not $6)
            and pg_visible_in_snapshot(s.xid, $2::pg_snapshot)
            and (s.topic_id, s."offset") > ($3, $4)
            order by s.topic_id, s."offset" limit $5"#,
        )
        .bind(&self.seen)
        .bind(&page.upto)
        .bind(page.topic_id)
        .bind(page.offset)
        .bind(PAGE)
        .bind(keeps_directory)
        .fetch_all(connection)
        .await?;
        let more = rows.len() >= usize::try_from(PAGE).unwrap_or(usize::MAX);
        let last = rows.last().map(|row| (row.row.0, row.row.2));
        let entries = rows.into_iter().map(TailRow::entry).collect::<Result<_, _>>()?;
        match last.filter(|_| more) {
            Some((topic_id, offset)) => self.page = Some(Page { topic_id, offset, ..page }),
            None => self.seen = page.upto,
        }
        Ok(Tailed::Entries { entries, more })
    }
}

/// An entry's row behind its topic's names.
struct TailRow {
    tenant: String,
    name: String,
    row: EntryRow,
}

impl FromRow<'_, PgRow> for TailRow {
    fn from_row(row: &PgRow) -> Result<Self, sqlx::Error> {
        let entry = (
            row.try_get(2)?,
            row.try_get(3)?,
            row.try_get(4)?,
            row.try_get(5)?,
            row.try_get(6)?,
            row.try_get(7)?,
            row.try_get(8)?,
            row.try_get(9)?,
            row.try_get(10)?,
            row.try_get(11)?,
            row.try_get(12)?,
            row.try_get(13)?,
        );
        Ok(Self { tenant: row.try_get(0)?, name: row.try_get(1)?, row: entry })
    }
}

impl TailRow {
    fn entry(self) -> Result<Entry, Fault> {
        let topic = Topic::new(TenantId::parse(&self.tenant)?, TopicName::parse(&self.name)?);
        row::entry(&topic, self.row)
    }
}

#[async_trait]
impl Tail for PostgresTail {
    async fn look(&self) -> Result<Tailed, SeamError> {
        let mut held = self.held.lock().await;
        let looked = POSTGRES.within(self.options.operation_timeout, self.look_once(&mut held)).await;
        if looked.is_err() {
            // With its connection the lock is gone, and what was seen is worth nothing on another server.
            *held = None;
        }
        looked
    }
}
