//! Names in paths, checked at the door.

use std::collections::BTreeMap;

use antiphon_core::Page;
use antiphon_node::By;
use antiphon_protocol::{ProjectId, TenantId, Topic, TopicName, UserId, page_limit};

use super::query::FromQuery;
use crate::{problem::Problem, server::Doors};

/// The most items of a page of a list.
const LIMIT_MAX: u32 = 1000;

/// Whoever may know is told that there is no such tenant. A user's own is there, or its token would not be good.
pub(crate) async fn tenant_there(doors: &Doors, by: &By, tenant: &TenantId) -> Named<()> {
    if matches!(by, By::Key) && !doors.node.tenant_exists(tenant).await? {
        return Err(Problem::no_tenant());
    }
    Ok(())
}

type Named<T> = Result<T, Problem>;

pub(crate) fn tenant(text: &str) -> Named<TenantId> {
    TenantId::parse(text).map_err(|error| Problem::invalid(error.to_string()))
}

pub(crate) fn user(text: &str) -> Named<UserId> {
    UserId::parse(text).map_err(|error| Problem::invalid(error.to_string()))
}

pub(crate) fn project(text: &str) -> Named<ProjectId> {
    ProjectId::parse(text).map_err(|error| Problem::invalid(error.to_string()))
}

pub(crate) fn topic(tenant_id: &str, name: &str) -> Named<Topic> {
    let name = TopicName::parse(name).map_err(|error| Problem::invalid(error.to_string()))?;
    Ok(Topic::new(tenant(tenant_id)?, name))
}

/// The `limit` of a query.
pub(crate) fn limit(query: &BTreeMap<String, String>, most: u32) -> Named<Option<u32>> {
    let wrong = || Problem::invalid(format!("`limit` must be a whole number from 1 to {most}"));
    query.get("limit").map(|text| page_limit(text, most).ok_or_else(wrong)).transpose()
}

/// Which page of a list.
#[derive(Debug, utoipa::IntoParams)]
#[into_params(parameter_in = Query)]
pub(crate) struct PageQuery {
    /// How many at most: 1 to 1000, 100 if left out; more is 1000.
    limit: Option<u32>,
    /// The `next` of the page before.
    cursor: Option<String>,
}

impl FromQuery for PageQuery {
    const NAMES: &'static [&'static str] = &["limit", "cursor"];

    fn from_query(mut values: BTreeMap<String, String>) -> Named<Self> {
        let cursor = values.remove("cursor");
        // A cursor is the last id of the page before, and all ids have one alphabet.
        if cursor.as_deref().is_some_and(|cursor| UserId::parse(cursor).is_err()) {
            return Err(Problem::invalid("`cursor` must be the `next` of a page"));
        }
        Ok(Self { limit: limit(&values, LIMIT_MAX)?, cursor })
    }
}

impl PageQuery {
    pub fn page(self) -> Page {
        Page { limit: self.limit.unwrap_or(100), after: self.cursor }
    }
}
