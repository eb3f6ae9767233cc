//! Who plays: a tenant with two projects and four users, each with a token.

use std::time::Duration;

use antiphon_auth::issue;
use antiphon_core::{MemberSettings, SeamError};
use antiphon_protocol::{ProjectId, TenantId, UserId};
use serde::Serialize;

/// A demo's tokens live for a day.
const TTL: Duration = Duration::from_secs(24 * 3600);

/// The tenant.
pub const TENANT: &str = "demo";
const PROJECTS: [(&str, &str); 2] = [("apollo", "Apollo"), ("borealis", "Borealis")];
const USERS: [(&str, &str, usize); 4] =
    [("ann", "Ann", 0), ("bob", "Bob", 0), ("cleo", "Cleo", 1), ("dan", "Dan", 1)];

/// A project on the page.
#[derive(Clone, Serialize)]
pub struct Project {
    id: &'static str,
    name: &'static str,
}

/// A user on the page.
#[derive(Clone, Serialize)]
pub struct User {
    id: &'static str,
    name: &'static str,
    token: String,
    /// The node that its pane connects to first.
    node: usize,
}

/// The projects.
pub fn projects() -> Vec<Project> {
    PROJECTS.map(|(id, name)| Project { id, name }).to_vec()
}

/// Makes everybody, all of them members of both projects.
pub async fn users(database: &antiphon_sql::Engines) -> Result<Vec<User>, SeamError> {
    let name = "the demo's own names are valid";
    let tenant = TenantId::parse(TENANT).expect(name);
    let mut users = Vec::new();
    for (id, shown, node) in USERS {
        let user = UserId::parse(id).expect(name);
        let (token, _) = issue(database.tokens.as_ref(), &tenant, &user, Some(TTL)).await?;
        users.push(User { id, name: shown, token, node });
    }
    for (project, _) in PROJECTS {
        let members = USERS.map(|(id, _, _)| MemberSettings {
            user: UserId::parse(id).expect(name),
            deliver: None,
            push: None,
        });
        let project = ProjectId::parse(project).expect(name);
        database.directory.put_members(&tenant, &project, &members).await?;
    }
    Ok(users)
}
