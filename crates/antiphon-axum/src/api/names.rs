//! Names in paths, checked at the door.

use antiphon_core::Page;
use antiphon_protocol::{ProjectId, TenantId, Topic, TopicName, UserId};
use serde::Deserialize;

use crate::problem::Problem;

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

/// Which page of a list.
#[derive(Debug, Default, Deserialize, utoipa::IntoParams)]
#[serde(deny_unknown_fields)]
#[into_params(parameter_in = Query)]
pub(crate) struct PageQuery {
    /// How many at most: 1 to 1000, 100 if left out.
    limit: Option<u32>,
    /// The `next` of the page before.
    cursor: Option<String>,
}

impl PageQuery {
    pub fn page(self) -> Named<Page> {
        match self.limit {
            Some(0) => Err(Problem::invalid("`limit` must be a whole number from 1 to 1000")),
            // A cursor is the last id of the page before, and all ids have one alphabet.
            limit => {
                let after = self.cursor.map(|cursor| user(&cursor)).transpose();
                let after = after.map_err(|_| Problem::invalid("`cursor` must be the `next` of a page"))?;
                let after = after.map(|id| id.as_str().to_owned());
                Ok(Page { limit: limit.unwrap_or(100).min(1000), after })
            }
        }
    }
}
