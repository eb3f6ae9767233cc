//! Tenants do not touch each other, names are compared byte by byte, and what is not there says so and stays away.

use antiphon_core::{Directory, Page};
use antiphon_protocol::TenantId;

use crate::{
    Promises,
    names::{answered, project, revision, tenant, user, wants},
};

pub(super) async fn check(directory: &dyn Directory, promises: &mut Promises) {
    foreign(directory, promises).await;
    absent(directory, promises).await;
    names(directory, promises).await;
}

async fn foreign(directory: &dyn Directory, promises: &mut Promises) {
    let (acme, globex, ghost) = (tenant("acme"), tenant("globex"), tenant("ghost"));
    let (p, ann) = (project("p"), user("ann"));
    answered(directory.put_members(&acme, &p, &[wants("ann", Some(false))]).await);
    answered(directory.put_tenant(&globex).await);
    // A tenant that is there and one that is not answer the same about what is acme's.
    for other in [&globex, &ghost] {
        let page = Page { limit: 10, after: None };
        promises.keep(
            "another tenant's project and member answer as if there were none",
            !answered(directory.project_exists(other, &p).await)
                && answered(directory.member(other, &p, &ann).await).is_none()
                && answered(directory.list_users(other, &page).await).items.is_empty()
                && answered(directory.list_projects(other, &page).await).items.is_empty()
                && answered(directory.list_members(other, &p, &page).await).items.is_empty(),
        );
        let (_, states) = answered(directory.user_states(other, std::slice::from_ref(&ann)).await);
        let (_, changed) = answered(directory.changed_users(other, std::slice::from_ref(&ann), 0).await);
        promises.keep(
            "so does its user",
            states == [antiphon_core::UserState::default()] && changed.iter().all(|(_, state)| !state.exists),
        );
        promises.keep(
            "nothing of it can be changed from there",
            !answered(directory.delete_user(other, &ann).await)
                && !answered(directory.delete_project(other, &p).await)
                && !answered(directory.delete_member(other, &p, &ann).await)
                && !answered(directory.disconnect_user(other, &ann).await),
        );
    }
    let before = answered(directory.user_states(&acme, std::slice::from_ref(&ann)).await).1;
    answered(directory.put_members(&globex, &p, &[wants("ann", None)]).await);
    answered(directory.disconnect_user(&globex, &ann).await);
    answered(directory.delete_user(&globex, &ann).await);
    answered(directory.delete_project(&globex, &p).await);
    answered(directory.delete_tenant(&globex).await);
    let after = answered(directory.user_states(&acme, std::slice::from_ref(&ann)).await).1;
    promises.keep(
        "what becomes of a namesake elsewhere changes nothing",
        before == after && after[0].projects.get(&p).is_some_and(|settings| !settings.deliver),
    );
}

async fn absent(directory: &dyn Directory, promises: &mut Promises) {
    let acme = tenant("acme");
    let (p, ann) = (project("p"), user("ann"));
    let nothing = !answered(directory.delete_tenant(&acme).await)
        && !answered(directory.delete_user(&acme, &ann).await)
        && !answered(directory.delete_project(&acme, &p).await)
        && !answered(directory.delete_member(&acme, &p, &ann).await)
        && !answered(directory.disconnect_user(&acme, &ann).await);
    promises.keep(
        "what is not there can't be deleted or disconnected, and is not made by trying",
        nothing && !answered(directory.tenant_exists(&acme).await) && revision(directory, &acme).await == 0,
    );
    promises.keep(
        "a user's and a project's PUT make the tenant",
        answered(directory.put_user(&acme, &ann).await)
            && answered(directory.tenant_exists(&acme).await)
            && answered(directory.delete_tenant(&acme).await)
            && answered(directory.put_project(&acme, &p).await)
            && answered(directory.tenant_exists(&acme).await),
    );
    promises.keep(
        "and may be repeated",
        !answered(directory.put_project(&acme, &p).await)
            && answered(directory.put_user(&acme, &ann).await)
            && !answered(directory.put_user(&acme, &ann).await),
    );
    promises
        .keep("of no tenants there are no revisions", answered(directory.revisions(&[]).await).is_empty());
}

async fn names(directory: &dyn Directory, promises: &mut Promises) {
    let acme = tenant("acme");
    let ids = ["~", "_", "a", "B", "A", "b", "%", "'--", "\"", "\\", "10", "9", "a|b@c.example", "Z", "-"];
    for id in ids {
        answered(directory.put_user(&acme, &user(id)).await);
        answered(directory.put_project(&acme, &project(id)).await);
        answered(directory.put_members(&acme, &project("all"), &[wants(id, None)]).await);
    }
    let mut sorted = ids.to_vec();
    sorted.sort_unstable();
    for limit in [1, 4, 5, 15, 16] {
        let (mut users, mut members, mut projects) = (Vec::new(), Vec::new(), Vec::new());
        let mut page = Page { limit, after: None };
        loop {
            let listed = answered(directory.list_users(&acme, &page).await);
            users.extend(listed.items.iter().map(|id| id.as_str().to_owned()));
            page.after = users.last().cloned();
            if !listed.more {
                break;
            }
        }
        page.after = None;
        loop {
            let listed = answered(directory.list_members(&acme, &project("all"), &page).await);
            members.extend(listed.items.iter().map(|(id, _)| id.as_str().to_owned()));
            page.after = members.last().cloned();
            if !listed.more {
                break;
            }
        }
        page.after = None;
        loop {
            let listed = answered(directory.list_projects(&acme, &page).await);
            projects.extend(listed.items.iter().map(|id| id.as_str().to_owned()));
            page.after = projects.last().cloned();
            if !listed.more {
                break;
            }
        }
        projects.retain(|id| id != "all");
        promises.keep(
            "pages of whatever size make up the whole list, in the bytes' order",
            users == sorted && members == sorted && projects == sorted,
        );
    }
    let after = |id: &str| Page { limit: 2, after: Some(id.to_owned()) };
    let between = answered(directory.list_users(&acme, &after("AA")).await);
    promises.keep(
        "a page may begin behind an id that nobody has",
        between.items == [user("B"), user("Z")] && between.more,
    );
    let last = answered(directory.list_users(&acme, &after("~")).await);
    promises.keep("behind the last id there is nothing", last.items.is_empty() && !last.more);
    let cased = TenantId::parse(&acme.as_str().to_uppercase()).expect("a suite's names are valid");
    promises.keep(
        "a tenant in other letters is another",
        !answered(directory.tenant_exists(&cased).await)
            && !answered(directory.project_exists(&acme, &project("ALL")).await),
    );
}
