//! The application's own table of orders, and how an order and what its company hears of it are one thing.

use std::time::Duration;

use antiphon::{
    Antiphon, AppendError, Content, Draft, Key, Position, TenantId, Topic,
    sqlx::{self, PgPool, postgres::PgPoolOptions},
};

/// How long a request waits for a connection.
const ACQUIRE_TIMEOUT: Duration = Duration::from_secs(5);

/// Orders, in the PostgreSQL where antiphon's log is.
pub struct Orders(PgPool);

/// Why there is no order.
#[derive(Debug)]
pub enum NoOrder {
    /// What the company should hear of it.
    Entry(AppendError),
    /// The order itself.
    Database(sqlx::Error),
}

impl From<AppendError> for NoOrder {
    fn from(error: AppendError) -> Self {
        Self::Entry(error)
    }
}

impl From<sqlx::Error> for NoOrder {
    fn from(error: sqlx::Error) -> Self {
        Self::Database(error)
    }
}

impl Orders {
    /// In this database, whose table is made where it is missing.
    pub async fn open(url: &str) -> Result<Self, sqlx::Error> {
        let pool =
            PgPoolOptions::new().max_connections(5).acquire_timeout(ACQUIRE_TIMEOUT).connect(url).await?;
        let table = "create table if not exists orders (id bigint generated always as identity primary key, \
            company text not null)";
        sqlx::query(table).execute(&pool).await?;
        Ok(Self(pool))
    }

    /// Takes an order. Everybody at the company hears of it if it is there, and nobody does if it is not.
    pub async fn take(&self, antiphon: &Antiphon, company: &TenantId) -> Result<Position, NoOrder> {
        let mut transaction = self.0.begin().await?;
        let id: i64 = sqlx::query_scalar("insert into orders (company) values ($1) returning id")
            .bind(company.as_str())
            .fetch_one(&mut *transaction)
            .await?;
        let draft = Draft {
            topic: Topic::of_tenant(company),
            author: None,
            named_project: None,
            key: Key::parse(&format!("order-{id}")).ok(),
            content: Content::text(&format!("a new order: {id}")).expect("it is short"),
        };
        // Last: its topic is locked from here to the commit.
        let receipt = antiphon.append_in(&mut transaction, draft).await?;
        transaction.commit().await?;
        receipt.ring().await;
        Ok(receipt.position)
    }
}
