//! Entries and signals.

use std::{collections::BTreeMap, sync::Arc};

use antiphon_core::{Appended, HistoryPage, Scope};
use antiphon_node::By;
use antiphon_protocol::{
    Content, Draft, Entry, ErrorCode, HistoryAsk, Key, Position, ProjectId, Refusal, Signal, Topic,
    TopicName, UserId, encode_message, message_with_key,
};
use axum::{
    Json,
    extract::State,
    http::StatusCode,
    response::{IntoResponse, Response},
};
use serde::Serialize;
use serde_json::value::RawValue;
use utoipa::{IntoParams, ToSchema};

use super::{
    asked::{Asked, Ids, Plain},
    body::{Bodies, Body},
    fields::{self, Fields, FromFields},
    names,
    query::FromQuery,
};
use crate::{
    asker::Asker,
    problem::{Problem, ProblemBody},
    server::Doors,
};

/// An entry to be published.
#[derive(ToSchema)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub(crate) struct NewEntry {
    /// A text; or else `body`.
    #[schema(value_type = Option<String>)]
    text: Option<Box<RawValue>>,
    /// Any JSON, kept as it is written; or else `text`.
    #[schema(value_type = Option<serde_json::Value>)]
    body: Option<Box<RawValue>>,
    /// The project it belongs to.
    #[schema(value_type = Option<String>)]
    project_id: Option<ProjectId>,
    /// Its author.
    #[schema(value_type = Option<String>)]
    user_id: Option<UserId>,
    /// The idempotency key.
    #[schema(value_type = Option<String>)]
    key: Option<Key>,
}

/// An entry of a batch.
#[derive(ToSchema)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub(crate) struct BatchEntry {
    /// The topic.
    #[schema(value_type = String)]
    topic: TopicName,
    /// A text; or else `body`.
    #[schema(value_type = Option<String>)]
    text: Option<Box<RawValue>>,
    /// Any JSON, kept as it is written; or else `text`.
    #[schema(value_type = Option<serde_json::Value>)]
    body: Option<Box<RawValue>>,
    /// The project it belongs to.
    #[schema(value_type = Option<String>)]
    project_id: Option<ProjectId>,
    /// Its author.
    #[schema(value_type = Option<String>)]
    user_id: Option<UserId>,
    /// The idempotency key.
    #[schema(value_type = Option<String>)]
    key: Option<Key>,
}

/// A signal to be sent.
#[derive(ToSchema)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub(crate) struct NewSignal {
    /// A text; or else `body`.
    #[schema(value_type = Option<String>)]
    text: Option<Box<RawValue>>,
    /// Any JSON, kept as it is written; or else `text`.
    #[schema(value_type = Option<serde_json::Value>)]
    body: Option<Box<RawValue>>,
    /// The project it belongs to.
    #[schema(value_type = Option<String>)]
    project_id: Option<ProjectId>,
    /// Its author.
    #[schema(value_type = Option<String>)]
    user_id: Option<UserId>,
}

impl FromFields for NewSignal {
    fn from_fields(fields: &mut Fields) -> Result<Self, Refusal> {
        Ok(Self {
            text: fields.value("text"),
            body: fields.written("body"),
            project_id: fields.name("projectId", ProjectId::parse)?,
            user_id: fields.name("userId", UserId::parse)?,
        })
    }
}

impl FromFields for NewEntry {
    fn from_fields(fields: &mut Fields) -> Result<Self, Refusal> {
        let NewSignal { text, body, project_id, user_id } = NewSignal::from_fields(fields)?;
        Ok(Self { text, body, project_id, user_id, key: fields.name("key", Key::parse)? })
    }
}

impl FromFields for BatchEntry {
    fn from_fields(fields: &mut Fields) -> Result<Self, Refusal> {
        let NewEntry { text, body, project_id, user_id, key } = NewEntry::from_fields(fields)?;
        let topic = fields.name("topic", TopicName::parse)?;
        let topic = topic.ok_or_else(|| Refusal::invalid("`topic` is missing"))?;
        Ok(Self { topic, text, body, project_id, user_id, key })
    }
}

impl BatchEntry {
    /// The topic, and the entry without it.
    fn parted(self) -> (TopicName, NewEntry) {
        let Self { topic, text, body, project_id, user_id, key } = self;
        (topic, NewEntry { text, body, project_id, user_id, key })
    }
}

/// A published entry.
#[derive(Serialize, ToSchema)]
pub(crate) struct Published {
    /// Its id: a UUID.
    #[schema(value_type = String)]
    id: uuid::Uuid,
    /// Its position.
    #[schema(value_type = String)]
    position: Position,
    /// Its number in the topic.
    offset: u64,
    /// The key had been used before for the same content.
    #[serde(skip_serializing_if = "std::ops::Not::not")]
    duplicate: bool,
}

impl From<&Appended> for Published {
    fn from(appended: &Appended) -> Self {
        let position = appended.entry.position;
        Self { id: appended.entry.id, position, offset: position.offset, duplicate: appended.duplicate }
    }
}

/// The author: the user itself, or whom a key names.
fn author(by: &By, named: Option<UserId>) -> Result<Option<UserId>, Refusal> {
    match by {
        By::Key => Ok(named),
        By::User(caller) => {
            let own = &caller.identity.user;
            if named.is_some_and(|named| named != *own) {
                Err(Refusal::forbidden())
            } else {
                Ok(Some(own.clone()))
            }
        }
    }
}

impl NewEntry {
    fn draft(self, by: &By, topic: Topic) -> Result<Draft, Refusal> {
        let most = Content::MAX_ENTRY_BYTES;
        let content = Content::from_fields(self.text.as_deref(), self.body.as_deref(), most)?;
        let author = author(by, self.user_id)?;
        Ok(Draft { topic, author, named_project: self.project_id, key: self.key, content })
    }
}

/// A refusal for a tenant that is not there is said as such to who may know.
async fn explain(doors: &Doors, by: &By, topic: &Topic, refusal: Refusal) -> Problem {
    if refusal.code == ErrorCode::Forbidden
        && matches!(by, By::Key)
        && let Ok(false) = doors.node.tenant_exists(topic.tenant()).await
    {
        return Problem::no_tenant();
    }
    refusal.into()
}

#[utoipa::path(post, path = "/api/v1/tenants/{tenant}/topics/{topic}/entries", tag = "entries",
    params(("tenant" = String, Path), ("topic" = String, Path)),
    request_body(content = NewEntry, example = json!({"text": "hello"})),
    responses((status = 201, body = Published), (status = 200, description = "a repeat", body = Published),
        (status = 409, description = "the key was used with other content", body = ProblemBody)))]
/// Publishes an entry; answers after the commit.
pub(crate) async fn publish(
    State(doors): State<Arc<Doors>>,
    Ids((tenant, topic)): Ids<(String, String)>,
    asker: Asker,
    Body(entry): Body<NewEntry>,
) -> Result<Response, Problem> {
    let topic = names::topic(&tenant, &topic)?;
    let by = asker.acts(Scope::Publish, topic.tenant())?;
    let draft = entry.draft(&by, topic.clone())?;
    let appended = match doors.node.publish(&by, vec![draft]).await {
        Ok(appended) => appended,
        Err(refusal) => return Err(explain(&doors, &by, &topic, refusal).await),
    };
    let published = appended.first().map(Published::from).ok_or_else(|| Problem::unavailable(1000))?;
    let status = if published.duplicate { StatusCode::OK } else { StatusCode::CREATED };
    Ok((status, Json(published)).into_response())
}

#[utoipa::path(post, path = "/api/v1/tenants/{tenant}/entries", tag = "entries",
    params(("tenant" = String, Path)), request_body(content = Vec<BatchEntry>,
        example = json!([{"topic": "news", "text": "hello"}, {"topic": "news", "text": "again"}])),
    responses((status = 201, body = Vec<Published>)))]
/// Publishes several entries, each with its `topic`: all or none.
pub(crate) async fn publish_batch(
    State(doors): State<Arc<Doors>>,
    Ids(tenant): Ids<String>,
    asker: Asker,
    Bodies(entries): Bodies<BatchEntry>,
) -> Result<Response, Problem> {
    let tenant = names::tenant(&tenant)?;
    let by = asker.acts(Scope::Publish, &tenant)?;
    let most = doors.node.limits().batch_entries;
    if entries.is_empty() || entries.len() > most {
        return Err(Problem::invalid(format!("a batch has 1 to {most} entries")));
    }
    let mut drafts = Vec::with_capacity(entries.len());
    for (index, entry) in entries.into_iter().enumerate() {
        let (name, entry) = entry.parted();
        let draft = entry.draft(&by, Topic::new(tenant.clone(), name));
        drafts.push(draft.map_err(|refusal| fields::at(index, refusal))?);
    }
    let appended = match doors.node.publish(&by, drafts).await {
        Ok(appended) => appended,
        Err(refusal) => return Err(explain(&doors, &by, &Topic::of_tenant(&tenant), refusal).await),
    };
    let published: Vec<Published> = appended.iter().map(Published::from).collect();
    let status = if published.iter().all(|one| one.duplicate) { StatusCode::OK } else { StatusCode::CREATED };
    Ok((status, Json(published)).into_response())
}

#[utoipa::path(post, path = "/api/v1/tenants/{tenant}/topics/{topic}/signals", tag = "entries",
    params(("tenant" = String, Path), ("topic" = String, Path)), request_body(content = NewSignal, example = json!({"text": "hello"})),
    responses((status = 202, description = "on its way, at most once")))]
/// Sends a signal: never stored, at most once.
pub(crate) async fn signal(
    State(doors): State<Arc<Doors>>,
    Ids((tenant, topic)): Ids<(String, String)>,
    asker: Asker,
    Body(signal): Body<NewSignal>,
) -> Result<StatusCode, Problem> {
    let topic = names::topic(&tenant, &topic)?;
    asker.needs_key(Scope::Publish, Some(topic.tenant()))?;
    let NewSignal { text, body, project_id, user_id } = signal;
    let content = Content::from_fields(text.as_deref(), body.as_deref(), Content::MAX_SIGNAL_BYTES)
        .map_err(Refusal::from)?;
    let signal = Signal { topic: topic.clone(), author: user_id, named_project: project_id, content };
    match doors.node.signal(&By::Key, signal).await {
        Ok(()) => Ok(StatusCode::ACCEPTED),
        Err(refusal) => Err(explain(&doors, &By::Key, &topic, refusal).await),
    }
}

/// Which page of history.
#[derive(Debug, IntoParams)]
#[into_params(parameter_in = Query)]
pub(crate) struct HistoryQuery {
    /// Entries before this position.
    #[param(value_type = Option<String>)]
    before: Option<Position>,
    /// Entries after this position.
    #[param(value_type = Option<String>)]
    after: Option<Position>,
    /// How many at most: 1 to 200, 50 if left out; more is 200.
    limit: Option<u32>,
}

impl FromQuery for HistoryQuery {
    const NAMES: &'static [&'static str] = &["before", "after", "limit"];

    fn from_query(mut values: BTreeMap<String, String>) -> Result<Self, Problem> {
        let mut position = |name: &str| {
            let wrong = |error| Problem::invalid(format!("`{name}`: {error}"));
            values.remove(name).map(|text| Position::parse(&text).map_err(wrong)).transpose()
        };
        let (before, after) = (position("before")?, position("after")?);
        Ok(Self { before, after, limit: names::limit(&values, HistoryAsk::LIMIT_MAX)? })
    }
}

/// A page of history.
#[derive(Serialize, ToSchema)]
pub(crate) struct Entries {
    /// MESSAGE frames, oldest first.
    #[schema(value_type = Vec<Object>)]
    entries: Vec<Box<RawValue>>,
    /// There is more in the direction that was asked for.
    more: bool,
}

/// A MESSAGE frame as the asker sees it.
fn frame(by: &By, entry: &Entry) -> Box<RawValue> {
    let mut json = encode_message(entry);
    if let (By::User(caller), Some(key), Some(author)) = (by, &entry.key, &entry.author)
        && caller.identity.user == *author
    {
        json = message_with_key(&json, key);
    }
    let text = String::from_utf8(json).expect("JSON is UTF-8");
    RawValue::from_string(text).expect("a MESSAGE frame is JSON")
}

#[utoipa::path(get, path = "/api/v1/tenants/{tenant}/topics/{topic}/entries", tag = "entries",
    params(("tenant" = String, Path), ("topic" = String, Path), HistoryQuery),
    responses((status = 200, body = Entries)))]
/// A page of a topic's past; without `before` and `after` the newest.
pub(crate) async fn list(
    State(doors): State<Arc<Doors>>,
    Ids((tenant, topic)): Ids<(String, String)>,
    asker: Asker,
    Asked(query): Asked<HistoryQuery>,
) -> Result<Json<Entries>, Problem> {
    let topic = names::topic(&tenant, &topic)?;
    let by = asker.acts(Scope::Publish, topic.tenant())?;
    names::tenant_there(&doors, &by, topic.tenant()).await?;
    let HistoryQuery { before, after, limit } = query;
    let page = doors.node.history(&by, &topic, before, after, limit.unwrap_or(HistoryAsk::LIMIT)).await?;
    let HistoryPage { entries, more } = page;
    Ok(Json(Entries { entries: entries.iter().map(|entry| frame(&by, entry)).collect(), more }))
}

#[utoipa::path(get, path = "/api/v1/tenants/{tenant}/topics/{topic}/entries/{id}", tag = "entries",
    params(("tenant" = String, Path), ("topic" = String, Path), ("id" = String, Path)),
    responses((status = 200, description = "a MESSAGE frame", body = Object), (status = 404, body = ProblemBody)))]
/// One entry.
pub(crate) async fn read(
    State(doors): State<Arc<Doors>>,
    Ids((tenant, topic, id)): Ids<(String, String, String)>,
    asker: Asker,
    _: Plain,
) -> Result<Json<Box<RawValue>>, Problem> {
    let topic = names::topic(&tenant, &topic)?;
    let by = asker.acts(Scope::Publish, topic.tenant())?;
    names::tenant_there(&doors, &by, topic.tenant()).await?;
    let id = uuid::Uuid::parse_str(&id).map_err(|_| Problem::invalid("an entry's id is a UUID"))?;
    let entry = doors.node.entry(&by, &topic, id).await?.ok_or_else(|| Problem::no_such("entry"))?;
    Ok(Json(frame(&by, &entry)))
}
