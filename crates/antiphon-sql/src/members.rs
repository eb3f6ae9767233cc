//! What both engines do with rows of the directory and of identities.

use std::collections::HashMap;

use antiphon_core::{ApiKey, Listed, MemberSettings, Page, Scope, Settings, UserState};
use antiphon_protocol::{ProjectId, TenantId, UserId};

use crate::{error::Fault, row};

/// The tenant's revision, and one user with one of its memberships, where there are any:
/// id, exists, revocations, disconnects, project, deliver, push.
pub(crate) type StateRow =
    (i64, Option<String>, Option<bool>, Option<i64>, Option<i64>, Option<String>, Option<bool>, Option<bool>);

/// Gathers the rows of users into their states, with the revision they belong to (0: no such tenant).
pub(crate) fn states(rows: Vec<StateRow>) -> Result<(u64, HashMap<UserId, UserState>), Fault> {
    let revision = rows.first().map_or(0, |row| row.0.cast_unsigned());
    let mut states: HashMap<UserId, UserState> = HashMap::new();
    for (_, id, exists, revocations, disconnects, project, deliver, push) in rows {
        let Some(id) = id else { continue };
        let state = states.entry(UserId::parse(&id)?).or_insert_with(|| UserState {
            exists: exists.unwrap_or_default(),
            revocations: revocations.unwrap_or_default().cast_unsigned(),
            disconnects: disconnects.unwrap_or_default().cast_unsigned(),
            projects: HashMap::new(),
        });
        if let (Some(project), Some(deliver), Some(push)) = (project, deliver, push) {
            state.projects.insert(ProjectId::parse(&project)?, Settings { deliver, push });
        }
    }
    Ok((revision, states))
}

/// The states in the order asked for; who was never there has the default one.
pub(crate) fn in_order(users: &[UserId], states: &HashMap<UserId, UserState>) -> Vec<UserState> {
    users.iter().map(|user| states.get(user).cloned().unwrap_or_default()).collect()
}

/// Each user once, with what is asked for it last.
pub(crate) fn each_once(members: &[MemberSettings]) -> Vec<MemberSettings> {
    let mut merged: Vec<MemberSettings> = Vec::with_capacity(members.len());
    let mut places: HashMap<&UserId, usize> = HashMap::with_capacity(members.len());
    for member in members {
        let place = *places.entry(&member.user).or_insert(merged.len());
        match merged.get_mut(place) {
            None => merged.push(member.clone()),
            Some(earlier) => {
                earlier.deliver = member.deliver.or(earlier.deliver);
                earlier.push = member.push.or(earlier.push);
            }
        }
    }
    merged
}

/// How many rows to ask for: one more than wanted tells whether there are more.
pub(crate) fn page_rows(page: &Page) -> i64 {
    i64::from(page.limit) + 1
}

/// Cuts the row too many.
pub(crate) fn listed<R, T>(
    mut rows: Vec<R>,
    page: &Page,
    read: impl FnMut(R) -> Result<T, Fault>,
) -> Result<Listed<T>, Fault> {
    let more = rows.len() > page.limit as usize;
    rows.truncate(page.limit as usize);
    let items = rows.into_iter().map(read).collect::<Result<_, _>>()?;
    Ok(Listed { items, more })
}

/// An API key's columns: id, hash, scopes, tenant, expiry, made at.
pub(crate) type KeyRow = (String, Vec<u8>, String, Option<String>, Option<i64>, i64);

pub(crate) fn api_key(row: KeyRow) -> Result<ApiKey, Fault> {
    let (id, hash, scopes, tenant, expires_at, created_at) = row;
    let scope = |text| Scope::parse(text).ok_or_else(|| Fault::Row("a key of an unknown scope".into()));
    Ok(ApiKey {
        id,
        hash: row::hash(&hash)?,
        scopes: scopes.split_whitespace().map(scope).collect::<Result<_, _>>()?,
        tenant: tenant.as_deref().map(TenantId::parse).transpose()?,
        expires_at,
        created_at,
    })
}

pub(crate) fn scopes_text(scopes: &[Scope]) -> String {
    scopes.iter().map(|scope| scope.as_str()).collect::<Vec<_>>().join(" ")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_member_that_is_named_twice_gets_what_was_said_last() {
        let member = |deliver, push| MemberSettings { user: UserId::parse("ann").unwrap(), deliver, push };
        let merged = each_once(&[member(Some(true), Some(false)), member(Some(false), None)]);
        assert_eq!(merged, [member(Some(false), Some(false))]);
    }
}
