//! Appending in a transaction that an application has begun itself, on its own connection to the database of the log:
//! its rows and the entry are committed together, or neither is.

use antiphon_protocol::{ContentKind, Draft, Position};
use sqlx::PgConnection;
use uuid::Uuid;

/// What was appended, if the transaction commits.
#[derive(Debug, Clone, Copy)]
pub struct AppendedIn {
    /// The entry's id.
    pub id: Uuid,
    /// Its place in its topic.
    pub position: Position,
    /// Its key had been used before for the same content: nothing was written, and the id and position are the first one's.
    pub duplicate: bool,
}

/// Why nothing was appended. Each of these is an error of SQL: PostgreSQL has ended the transaction, unless a savepoint
/// stands before the call.
#[derive(Debug, thiserror::Error)]
pub enum AppendInError {
    /// The draft or its tenant: to be mended.
    #[error("it can't be appended: {0}")]
    Invalid(String),
    /// The key was used for other content.
    #[error("its key was used before for another entry of this topic and author")]
    Conflict,
    /// Another transaction holds the topic, for longer than the connection's `lock_timeout` (2 seconds where there is none).
    #[error("another transaction holds the topic for too long: roll back, and repeat the whole transaction")]
    Locked,
    /// PostgreSQL chose this transaction to end a deadlock, or could not serialize it.
    #[error(
        "PostgreSQL has ended this transaction for another one ({0}): repeat the whole transaction; \
         publish last, to several topics in the order of their names"
    )]
    Interrupted(String),
    /// The connection's role may not, or its database has not antiphon's schema.
    #[error(
        "{0}: the connection must be one to antiphon's database, migrated, and its role must have antiphon_publisher"
    )]
    NotHere(String),
    /// The database did not answer in time: what became of the call is not known, so the transaction has to be rolled back.
    #[error("the database did not answer in time: roll back, and repeat the whole transaction")]
    Silent,
    /// The database fails.
    #[error("the database failed: {0}")]
    Database(#[source] sqlx::Error),
}

impl AppendInError {
    /// Whether the same transaction may succeed when it is repeated as a whole.
    pub fn is_worth_a_repeat(&self) -> bool {
        match self {
            Self::Locked | Self::Interrupted(_) | Self::Silent => true,
            Self::Database(error) => crate::error::is_temporary(error),
            Self::Invalid(_) | Self::Conflict | Self::NotHere(_) => false,
        }
    }
}

impl From<sqlx::Error> for AppendInError {
    fn from(error: sqlx::Error) -> Self {
        let Some(said) = error.as_database_error() else { return Self::Database(error) };
        let text = said.message().to_owned();
        match said.code().as_deref() {
            Some("22023") => Self::Invalid(text.trim_start_matches("antiphon: ").to_owned()),
            Some("23505") => Self::Conflict,
            Some("55P03") => Self::Locked,
            Some("40P01" | "40001") => Self::Interrupted(text),
            Some("42501" | "42883" | "3F000" | "42P01") => Self::NotHere(text),
            _ => Self::Database(error),
        }
    }
}

/// Appends in the caller's transaction. The topic is locked until that ends. Where tenants are kept in this database, the
/// tenant has to be there, and stays until then.
pub async fn append_in(
    connection: &mut PgConnection,
    draft: &Draft,
    keeps_directory: bool,
) -> Result<AppendedIn, AppendInError> {
    let json = draft.content.json();
    let (text, body) = match draft.content.kind() {
        ContentKind::Body => (None, Some(json)),
        ContentKind::Text => (Some(text_of(json)?), None),
    };
    let (id, position, duplicate): (Uuid, String, bool) = sqlx::query_as(
        "select id, position, duplicate from antiphon.append_entry($1, $2, $3, $4::text::json, $5, $6, $7, $8)",
    )
    .bind(draft.topic.tenant().as_str())
    .bind(draft.topic.name().as_str())
    .bind(text)
    .bind(body)
    .bind(draft.project().as_ref().map(|project| project.as_str()))
    .bind(draft.author.as_ref().map(|author| author.as_str()))
    .bind(draft.key.as_ref().map(|key| key.as_str()))
    .bind(keeps_directory)
    .fetch_one(connection)
    .await?;
    let position = Position::parse(&position)
        .map_err(|error| AppendInError::Database(sqlx::Error::Decode(error.into())))?;
    Ok(AppendedIn { id, position, duplicate })
}

/// The text that this JSON stands for, as PostgreSQL can hold it.
fn text_of(json: &str) -> Result<String, AppendInError> {
    match serde_json::from_str::<String>(json) {
        Ok(text) if !text.contains('\0') => Ok(text),
        _ => Err(AppendInError::Invalid("PostgreSQL's text can't have the character U+0000".into())),
    }
}
